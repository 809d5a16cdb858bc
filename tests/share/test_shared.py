"""What clients of one WebSocket read, send and want; each meets a real broker and a real server."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any

import pytest

from support.share_client import BINARY, ERROR, IS_CLOSED, IS_OPEN, TEXT, Item
from support.share_scene import ShareScene, wait_until

AGAIN = 1


@pytest.fixture(autouse=True)
def _broker(scene: ShareScene) -> None:
    scene.broker(beat_s=0.1)


def entry(data: bytes) -> tuple[int, bytes]:
    return data[0], data[24:]


# Joining


def test_all_read_what_the_websocket_brings(scene: ShareScene) -> None:
    first, second = scene.client(), scene.client()
    number, is_new, ring, last = first.open(scene.url)
    assert (is_new, last) == (1, [])
    other, is_new, other_ring, _ = second.open(scene.url)
    assert (number, 0) == (other, is_new)
    scene.upstream.say("text", b"\x00binary")
    for found in (ring, other_ring):
        items = [found.wait(), found.wait()]
        assert [(item.what, item.payload) for item in items] == [(TEXT, b"text"), (BINARY, b"\x00binary")]
        assert 0 < items[0].received_ns <= items[1].received_ns
        assert {(item.flags, item.code, item.remaining, item.client) for item in items} == {(0, 0, 0, 0)}
    assert scene.upstream.connections == 1


def test_ten_who_open_the_same_at_once_share_one_connection(scene: ShareScene) -> None:
    scene.upstream.hold()
    clients = [scene.client() for _ in range(10)]
    for client in clients:
        client.begin_open(scene.url)
    wait_until(lambda: scene.upstream.requests)
    scene.upstream.let()
    opened = [client.opened() for client in clients]
    assert {number for number, *_ in opened} == {1}
    assert sum(is_new for _, is_new, *_ in opened) == 1
    scene.upstream.say("news")
    assert [ring.message() for _, _, ring, _ in opened] == 10 * [b"news"]
    assert len(scene.upstream.requests) == 1


def test_what_the_server_says_at_once_is_not_missed(scene: ShareScene) -> None:
    scene.upstream.greeting = ["welcome"]
    *_, ring, _ = scene.client().open(scene.url)
    assert ring.message() == b"welcome"


def test_who_comes_late_begins_at_the_present(scene: ShareScene) -> None:
    *_, ring, _ = scene.client().open(scene.url)
    scene.upstream.say("before")
    ring.message()
    *_, late, _ = scene.client().open(scene.url)
    scene.upstream.say("after")
    assert late.message() == b"after"


@pytest.mark.parametrize(
    "other",
    [{"key": "k"}, {"headers": [("X-A", "1")]}, {"subprotocols": ["v1"]}],
    ids=["key", "headers", "subprotocols"],
)
def test_what_is_asked_for_differently_is_not_shared(scene: ShareScene, other: dict[str, Any]) -> None:
    client = scene.client()
    first, *_ = client.open(scene.url)
    second, is_new, *_ = client.open(scene.url, **other)
    assert second != first
    assert is_new
    assert scene.upstream.connections == 2


def test_headers_and_subprotocols_are_sent_and_the_key_is_not(scene: ShareScene) -> None:
    options: dict[str, Any] = {"headers": [("X-A", "1"), ("X-B", "2")], "subprotocols": ["v2", "v1"]}
    scene.client().open(scene.url, key="very-secret-key", **options)
    [request] = scene.upstream.requests
    assert (request.headers["X-A"], request.headers["X-B"]) == ("1", "2")
    assert request.headers["Sec-WebSocket-Protocol"] == "v2, v1"
    assert "very-secret-key" not in str(request)


def test_who_opens_twice_shares_once(scene: ShareScene) -> None:
    client = scene.client()
    number, _, ring, _ = client.open(scene.url)
    again, is_new, same, _ = client.open(scene.url)
    assert (number, 0, True) == (again, is_new, ring is same)
    client.leave(number)
    wait_until(lambda: scene.upstream.codes == [1000])


# Ends


def test_the_last_who_leaves_closes_it(scene: ShareScene) -> None:
    first, second = scene.client(), scene.client()
    number, *_ = first.open(scene.url)
    second.open(scene.url)
    first.leave(number)
    first.leave(number)
    assert scene.upstream.open == 1
    second.close()
    wait_until(lambda: scene.upstream.codes == [1000])


def test_leaving_nothing_in_particular_leaves_all(scene: ShareScene) -> None:
    client = scene.client()
    client.open(scene.url)
    client.open(scene.url, key="other")
    client.leave()
    wait_until(lambda: scene.upstream.codes == [1000, 1000])


def test_who_opens_what_is_being_closed_gets_another_one_afterwards(scene: ShareScene) -> None:
    client = scene.client()
    number, *_ = client.open(scene.url)
    client.leave(number)
    other, is_new, ring, _ = client.open(scene.url)
    assert other != number
    assert is_new
    assert scene.upstream.open == 1
    scene.upstream.say("news")
    assert ring.message() == b"news"


def test_who_dies_while_it_opens_leaves_nothing(scene: ShareScene) -> None:
    scene.upstream.hold()
    client, other = scene.client(), scene.client()
    client.begin_open(scene.url)
    wait_until(lambda: scene.upstream.requests)
    client.close()
    wait_until(lambda: len(json.loads(other.ask(1))["clients"]) == 1)
    scene.upstream.let()
    wait_until(lambda: not json.loads(other.ask(1))["websockets"])


@pytest.mark.parametrize(
    ("status", "reason"), [(401, "HTTP 401"), (403, "HTTP 403"), (404, "HTTP 404"), (503, "HTTP 503")]
)
def test_a_refused_connection_is_told_to_all_who_wait_and_not_tried_again(
    scene: ShareScene, status: int, reason: str
) -> None:
    scene.upstream.status = HTTPStatus(status)
    scene.upstream.hold()
    clients = [scene.client(), scene.client()]
    requests = [client.begin_open(scene.url) for client in clients]
    wait_until(lambda: scene.upstream.requests)
    scene.upstream.let()
    for client, request in zip(clients, requests, strict=True):
        failed, code, said = client.failed()
        assert (failed, code) == (request, "CONNECT_FAILED")
        assert reason in said
    assert json.loads(clients[0].ask(1))["websockets"] == []
    assert len(scene.upstream.requests) == 1
    scene.upstream.status = None
    assert clients[0].open(scene.url)[1] == 1


def test_nobody_there_is_told(scene: ShareScene) -> None:
    client = scene.client()
    client.begin_open("ws://127.0.0.1:1/")
    assert client.failed()[1:] == (
        "CONNECT_FAILED",
        "connection refused; is the server running, and is the port right?",
    )


@pytest.mark.parametrize(
    ("url", "options", "what"),
    [
        ("http://x/", {}, "url"),
        ("", {}, "url"),
        ("ws://user:very-secret@/", {}, "url"),
        ("ws://x/", {"headers": [("a b", "1")]}, "headers"),
        ("ws://x/", {"headers": [("Upgrade", "1")]}, "headers"),
        ("ws://x/", {"headers": [("A", "very-secret\r\nB: 2")]}, "headers"),
        ("ws://x/", {"subprotocols": ["a, b"]}, "subprotocols"),
        ("ws://x/", {"opening": [b"\xff"]}, "opening"),
    ],
)
def test_what_cannot_be_opened_is_named(
    scene: ShareScene, url: str, options: dict[str, Any], what: str
) -> None:
    client = scene.client()
    client.begin_open(url, **options)
    _, code, reason = client.failed()
    assert code == "INVALID_SETTING"
    assert reason.startswith(f"{what}: ")
    assert "very-secret" not in reason


# Sending


def test_messages_are_sent_as_they_are(scene: ShareScene) -> None:
    client = scene.client()
    number, *_ = client.open(scene.url)
    client.send(number, "grün".encode())
    client.send(number, b"\xff\x00", binary=True)
    client.send(number, b"")
    scene.upstream.hears("grün", b"\xff\x00", "")


def test_text_that_is_none_is_not_sent_and_told_to_its_sender(scene: ShareScene) -> None:
    client = scene.client()
    number, _, ring, _ = client.open(scene.url)
    client.send(number, b"\xff")
    item = ring.wait()
    assert (item.what, item.client) == (ERROR, client.number)
    assert item.payload == b"not sent: the text is not UTF-8: invalid start byte"
    assert scene.upstream.open == 1


def test_nobody_sends_to_what_it_does_not_share(scene: ShareScene) -> None:
    client, other = scene.client(), scene.client()
    number, *_ = client.open(scene.url)
    other.send(number, b"intruder")
    request = other.begin_subscribe(number, "BTC", b"intruder")
    assert other.failed() == (request, "UNKNOWN_ID", f"it does not share the WebSocket {number}")
    client.send(number, b"friend")
    scene.upstream.hears("friend")


def test_a_message_of_five_megabytes_comes_in_parts_and_whole(scene: ShareScene) -> None:
    first, second = scene.client(), scene.client()
    *_, ring, _ = first.open(scene.url)
    *_, other, _ = second.open(scene.url)
    message = bytes(range(256)) * (5 * 4096)
    scene.upstream.say("before", message, "after")
    for found in (ring, other):
        assert found.message() == b"before"
        assert found.message() == message
        assert found.message() == b"after"
        assert found.missed == 0


def test_a_message_that_the_ring_cannot_hold_is_left_out_and_told(scene: ShareScene) -> None:
    *_, ring, _ = scene.client().open(scene.url)
    scene.upstream.say(bytes(8 * 1024 * 1024), "after")
    item = ring.wait()
    assert (item.what, item.client) == (ERROR, 0)
    assert b"a message was left out: a record of 8388608 bytes does not fit" in item.payload
    assert ring.message() == b"after"


# Symbols


def test_what_somebody_wants_already_is_not_sent_again(scene: ShareScene) -> None:
    first, second = scene.client(), scene.client()
    number, *_ = first.open(scene.url)
    second.open(scene.url)
    assert first.subscribe(number, "BTC", b"quotes", b"stop quotes", kinds=1) == 0
    assert second.subscribe(number, "BTC", b"quotes", kinds=1) == 1
    assert second.subscribe(number, "BTC", b"trades", b"stop trades", kinds=2) == 0
    assert first.unsubscribe(number, "BTC", b"unsubscribe") == 1
    assert first.unsubscribe(number, "ETH", b"unsubscribe") == 0
    scene.upstream.hears("quotes", "trades")
    assert second.unsubscribe(number, "BTC", b"unsubscribe") == 0
    scene.upstream.hears("quotes", "trades", "unsubscribe")


def test_what_a_dead_client_wanted_is_released(scene: ShareScene) -> None:
    first, second = scene.client(), scene.client()
    number, *_ = first.open(scene.url)
    second.open(scene.url)
    for symbol in ("BTC", "ETH"):
        first.subscribe(number, symbol, f"want {symbol}".encode(), f"stop {symbol}".encode())
    first.subscribe(number, "SOL", b"want SOL")
    second.subscribe(number, "ETH", b"want ETH")
    first.close()
    scene.upstream.hears("want BTC", "want ETH", "want SOL", "stop BTC")
    assert second.subscribe(number, "SOL", b"want SOL") == 0


def test_a_subscription_that_is_no_text_is_refused(scene: ShareScene) -> None:
    client = scene.client()
    number, *_ = client.open(scene.url)
    for message, release in ((b"\xff", b""), (b"want", b"\xff")):
        request = client.begin_subscribe(number, "BTC", message, release)
        failed, code, _ = client.failed()
        assert (failed, code) == (request, "MALFORMED_MESSAGE")
    assert client.subscribe(number, "BTC", b"want") == 0
    scene.upstream.hears("want")


def test_what_is_kept_of_subscriptions_is_bounded(scene: ShareScene) -> None:
    client = scene.client()
    number, *_ = client.open(scene.url)
    client.subscribe(number, "BTC", b"want" + bytes(12 * 1024 * 1024).replace(b"\0", b"x"))
    request = client.begin_subscribe(number, "ETH", b"x" * 5 * 1024 * 1024)
    failed, code, reason = client.failed()
    assert (failed, code) == (request, "CAPACITY")
    assert "16777216 bytes" in reason


# Last messages


def test_who_comes_late_gets_the_last_message_of_each_key(scene: ShareScene) -> None:
    first, second = scene.client(), scene.client()
    *_, ring, last = first.open(scene.url, last_by="s")
    assert last == []
    scene.upstream.say('{"s":"BTC","p":1}', '{"s":"ETH"}', "other", b'{"s":"SOL"}', '{"s":"BTC","p":2}')
    for _ in range(5):
        ring.message()
    _, _, late, last = second.open(scene.url)
    assert [entry(data) for data in last] == [(TEXT, b'{"s":"ETH"}'), (TEXT, b'{"s":"BTC","p":2}')]
    scene.upstream.say("news")
    assert late.message() == b"news"


# Reconnecting


def closed(item: Item) -> tuple[int, int, int, bytes]:
    return item.what, item.flags, item.code, item.payload


def test_opening_messages_and_subscriptions_are_said_again(scene: ShareScene) -> None:
    first, second = scene.client(), scene.client()
    number, _, ring, _ = first.open(scene.url, opening=[b"login", b"hello"])
    *_, other, _ = second.open(scene.url, opening=[b"not this"])
    first.subscribe(number, "BTC", b"want BTC")
    second.subscribe(number, "ETH", b"want ETH", kinds=1)
    second.subscribe(number, "BTC", b"want BTC too", kinds=2)
    expected = ["login", "hello", "want BTC", "want ETH", "want BTC too"]
    scene.upstream.hears(*expected, connection=1)
    scene.upstream.cut(1012, "restart")
    for found in (ring, other):
        assert closed(found.wait()) == (
            IS_CLOSED, AGAIN, 1012, b"the server closed the connection (1012: restart)",
        )  # fmt: skip
        item = found.wait_for(IS_OPEN)
        assert (item.client, item.payload) == (0, b"")
    again = ["login", "hello", "want BTC", "want BTC too", "want ETH"]
    scene.upstream.hears(*again, connection=2)


def test_without_opening_messages_one_client_logs_in_and_the_rest_follows(scene: ShareScene) -> None:
    first, second = scene.client(), scene.client()
    number, _, ring, _ = first.open(scene.url)
    *_, other, _ = second.open(scene.url)
    first.subscribe(number, "BTC", b"want BTC")
    second.subscribe(number, "ETH", b"want ETH")
    scene.upstream.cut()
    assert [found.wait_for(IS_OPEN).client for found in (ring, other)] == 2 * [first.number]
    assert second.subscribe(number, "SOL", b"want SOL") == 0  # it waits for the login, too
    first.send(number, b"login")
    scene.upstream.hears("login", connection=2)
    assert first.subscribe(number, "BTC", b"want BTC") == 1
    scene.upstream.hears("login", "want BTC", "want ETH", "want SOL", connection=2)


def test_who_has_to_log_in_and_dies_is_replaced(scene: ShareScene) -> None:
    first, second = scene.client(), scene.client()
    number, _, ring, _ = first.open(scene.url)
    *_, other, _ = second.open(scene.url)
    second.subscribe(number, "ETH", b"want ETH")
    scene.upstream.cut()
    assert ring.wait_for(IS_OPEN).client == first.number
    first.close()
    assert other.wait_for(IS_OPEN).client == first.number
    assert other.wait_for(IS_OPEN).client == second.number
    second.subscribe(number, "BTC", b"want BTC")
    scene.upstream.hears("want ETH", "want BTC", connection=2)


def test_a_refusal_after_it_was_open_is_told_and_tried_again(scene: ShareScene) -> None:
    *_, ring, _ = scene.client().open(scene.url, opening=[b"login"])
    scene.upstream.status = HTTPStatus.UNAUTHORIZED
    scene.upstream.cut()
    ring.wait_for(IS_CLOSED)
    item = ring.wait()
    assert (item.what, item.client) == (ERROR, 0)
    assert item.payload.startswith(b"not opened again: the server answered HTTP 401 Unauthorized; check")
    scene.upstream.status = None
    ring.wait_for(IS_OPEN)
    scene.upstream.say("news")
    assert ring.message() == b"news"


def test_while_it_is_lost_nothing_is_sent_and_who_comes_waits(scene: ShareScene) -> None:
    first, second = scene.client(), scene.client()
    number, _, ring, _ = first.open(scene.url, opening=[b"login"], last_by="s")
    scene.upstream.say('{"s":"BTC"}')
    ring.message()
    scene.upstream.hold()
    scene.upstream.cut()
    ring.wait_for(IS_CLOSED)
    first.send(number, b"in vain")
    item = ring.wait_for(ERROR)
    assert (item.client, item.payload[:9]) == (first.number, b"not sent:")
    assert first.subscribe(number, "BTC", b"want BTC") == 0
    assert first.subscribe(number, "ETH", b"want ETH") == 0
    assert first.unsubscribe(number, "ETH", b"stop ETH") == 0
    second.begin_open(scene.url)
    scene.upstream.let()
    number, is_new, _, last = second.opened()
    assert (is_new, last) == (0, [])  # what was before the cut is nobody's present
    scene.upstream.hears("login", "want BTC", connection=2)


def test_others_go_on_when_a_client_does_not_read(scene: ShareScene) -> None:
    lazy, reader = scene.client(), scene.client()
    *_, behind, _ = lazy.open(scene.url)
    *_, ring, _ = reader.open(scene.url)
    for _ in range(12):
        scene.upstream.say(bytes(1024 * 1024))
        assert len(ring.message()) == 1024 * 1024
    assert ring.missed == 0
    scene.upstream.say("end")
    assert ring.message() == b"end"
    assert behind.read() is None or behind.missed
