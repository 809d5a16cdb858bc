"""A broker's life: who keeps it alive, what ends it, and that nothing is left."""

from __future__ import annotations

import json
import os

import pytest

from feedmux import __version__
from support.share_client import BEAT, IS_CLOSED, WELCOME, ShareClient, hello
from support.share_scene import ShareScene, open_descriptors, share_scene, wait_until


def test_it_ends_when_nobody_came(scene: ShareScene) -> None:
    scene.broker(beat_s=0.01, linger_s=0.1)
    scene.wait_over()
    with pytest.raises(ConnectionRefusedError):
        ShareClient(scene.name)


def test_it_ends_when_the_last_client_is_gone_and_not_before(scene: ShareScene) -> None:
    scene.broker(beat_s=0.01, linger_s=0.1)
    client = scene.client()
    for _ in range(30):
        assert client.hear() is not None
    assert not scene.running_is_over
    client.close()
    scene.wait_over()


def test_who_only_asks_does_not_keep_it_alive(scene: ShareScene) -> None:
    scene.broker(beat_s=0.01, linger_s=0.2)
    client = scene.client()
    client.ask(1)
    assert {said.kind for said in client.wait_end()} <= {BEAT}
    scene.wait_over()


def test_it_can_be_stopped_and_those_who_share_read_it(scene: ShareScene) -> None:
    scene.broker()
    client, other = scene.client(), scene.client()
    *_, ring, _ = client.open(scene.url)
    assert other.ask(2) == b"{}"
    scene.wait_over()
    item = ring.wait()
    assert (item.what, item.flags) == (IS_CLOSED, 0)
    assert item.payload == f"the broker ends: client {other.number} asked for it".encode()
    assert client.wait_end() == other.wait_end() == []
    assert scene.upstream.codes == [1000]


def test_who_waits_for_a_websocket_is_told_that_the_broker_ends(scene: ShareScene) -> None:
    broker = scene.broker()
    scene.upstream.hold()
    client = scene.client()
    request = client.begin_open(scene.url)
    wait_until(lambda: scene.upstream.requests)
    scene.call(lambda: broker.stop("enough"))
    assert client.failed()[:2] == (request, "CONNECT_FAILED")
    scene.wait_over()


def test_its_status_says_who_shares_what(scene: ShareScene) -> None:
    scene.broker(linger_s=9.0)
    first, second = scene.client(), scene.client()
    number, _, ring, _ = first.open(scene.url + "?token=abc", last_by="s")
    second.open(scene.url + "?token=abc")
    first.subscribe(number, "BTC", b"want")
    scene.upstream.say('{"s":1}')
    ring.message()
    status = json.loads(second.ask(1))
    assert (status["name"], status["pid"], status["version"]) == (scene.name, os.getpid(), __version__)
    assert (status["linger_s"], status["ring_bytes"], status["refused"]) == (9.0, 8 * 1024 * 1024, 0)
    assert status["clients"] == [
        {"client": 1, "pid": os.getpid(), "name": "test", "asks": False, "websockets": [number]},
        {"client": 2, "pid": os.getpid(), "name": "test", "asks": True, "websockets": [number]},
    ]
    [websocket] = status["websockets"]
    assert websocket.pop("ring")["readers"] == 2
    assert websocket == {
        "id": number,
        "url": scene.url + "?***",
        "state": "proven",
        "clients": [1, 2],
        "waiting": 0,
        "symbols": 1,
        "last_messages": 1,
        "opens": 1,
        "messages": 1,
        "last_reason": "",
    }


def test_there_are_only_so_many_clients(scene: ShareScene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("feedmux.share.broker.MOST_CLIENTS", 2)
    scene.broker()
    first = scene.client()
    scene.client()
    stranger = scene.stranger()
    assert stranger.failed() == (0, "CAPACITY", "there are 2 clients already")
    assert stranger.wait_end() == []
    first.close()

    def is_welcome() -> bool:
        stranger = scene.stranger()
        stranger.say(hello())
        said = stranger.hear()
        return said is not None and said.kind == WELCOME

    wait_until(is_welcome)


def test_there_are_only_so_many_websockets(scene: ShareScene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("feedmux.share.table.MOST_WEBSOCKETS", 1)
    scene.broker()
    client = scene.client()
    client.open(scene.url)
    request = client.begin_open(scene.url, key="other")
    assert client.failed() == (request, "CAPACITY", "there are 1 WebSockets already")


def test_a_client_can_wait_for_only_so_many(scene: ShareScene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("feedmux.share.table.MOST_OPENS", 2)
    scene.broker()
    scene.upstream.hold()
    client = scene.client()
    for key in ("a", "a", "b"):
        client.begin_open(scene.url, key=key)
    assert client.failed()[:2] == (3, "CAPACITY")
    scene.upstream.let()
    assert client.opened()[0] == client.opened()[0]


def test_nothing_is_left_of_it() -> None:
    before = open_descriptors()
    with share_scene() as scene:
        scene.broker()
        clients = [scene.client() for _ in range(3)]
        for client in clients:
            number, *_ = client.open(scene.url)
            client.open(scene.url, key="other")
            client.subscribe(number, "BTC", b"want")
        clients[0].close()
        clients[1].leave(number)
        scene.upstream.cut()
    assert open_descriptors() == before
