"""Who a client is, what it may say, and how it is sent away."""

from __future__ import annotations

import json
import os
import struct

import pytest

from support.share_client import (
    ANSWER,
    ASK,
    BEAT,
    CLOSE,
    FAILED,
    HELLO,
    LOG,
    LOG_LEVEL,
    MAGIC,
    OPEN,
    SEND,
    WELCOME,
    Said,
    blob,
    hello,
    record,
    text,
)
from support.share_scene import ShareScene, wait_until

USER, TOKEN, LOGIN, HEADER, KEY = (
    f"{name}-horse-battery" for name in ("user", "token", "login", "head", "key")
)
SECRETS = (USER, TOKEN, LOGIN, HEADER, KEY)


def sent_away(scene: ShareScene, *data: bytes) -> tuple[str, str]:
    """With what code and reason somebody who says this is sent away; others go on."""
    friend, stranger = scene.client(), scene.stranger()
    for part in data:
        stranger.say(part)
    [failed] = [said for said in stranger.wait_end() if said.kind not in {WELCOME, BEAT}]
    assert (failed.kind, failed.fields[0]) == (FAILED, 0)
    assert len(json.loads(friend.ask(1))["clients"]) == 1
    code, reason = failed.fields[1:]
    return code, reason


def test_a_client_is_welcomed_with_its_number(scene: ShareScene) -> None:
    scene.broker(beat_s=0.25, dead_s=7.0)
    for number in (1, 2):
        client = scene.stranger()
        client.say(hello())
        assert client.next(WELCOME) == (MAGIC, 1, os.getpid(), number, 250, 7000)


def test_a_hello_may_come_byte_by_byte(scene: ShareScene) -> None:
    scene.broker()
    client = scene.stranger()
    for byte in hello():
        client.say(bytes([byte]))
    assert client.next(WELCOME)[3] == 1


@pytest.mark.parametrize(
    ("said", "code", "reason"),
    [
        ([hello(version=2)], "VERSION", "it speaks version 2; expected 1"),
        ([hello(pid=1)], "IDENTITY", "it says that it is process 1, and is process "),
        ([b"GET / HTTP/1.1\r\n\r\n"], "MALFORMED_MESSAGE", "type 47 was not expected"),
        ([record(HELLO, b"nope" + bytes(8))], "MALFORMED_MESSAGE", "does not begin with the letters fmlo"),
        ([record(BEAT)], "MALFORMED_MESSAGE", "type 2 was not expected; expected [1]"),
        ([hello(), hello()], "MALFORMED_MESSAGE", "type 1 was not expected"),
        ([hello(), record(WELCOME)], "MALFORMED_MESSAGE", "type 33 was not expected"),
        ([hello(), struct.pack("<IB", 1 << 30, SEND)], "MALFORMED_MESSAGE", "a body of 1073741824 bytes"),
        ([hello(), record(CLOSE, b"short")], "MALFORMED_MESSAGE", "its body ends within a field"),
        ([hello(), record(BEAT, b"x")], "MALFORMED_MESSAGE", "1 bytes too many"),
        ([hello(name="x" * 5000)], "MALFORMED_MESSAGE", "a length of 5000; the bound is 4096"),
        (
            [hello(), record(SEND, bytes(9) + struct.pack("<I", 1 << 25))],
            "MALFORMED_MESSAGE",
            "a length of 33554432; the bound is 16777216",
        ),
        (
            [hello(), record(OPEN, bytes(4), text(""), text(""), struct.pack("<H", 65))],
            "MALFORMED_MESSAGE",
            "a length of 65; the bound is 64",
        ),
    ],
)
def test_who_breaks_the_protocol_is_told_how_and_sent_away(
    scene: ShareScene, said: list[bytes], code: str, reason: str
) -> None:
    scene.broker()
    found, why = sent_away(scene, *said)
    assert found == code
    assert reason in why


def test_who_says_nothing_is_sent_away(scene: ShareScene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("feedmux.share.visitor.HELLO_WITHIN_S", 0.05)
    scene.broker(beat_s=0.02)
    [failed] = scene.stranger().wait_end()
    assert failed == Said(FAILED, (0, "MALFORMED_MESSAGE", "it did not say who it is within 0.05 s"))


def test_who_is_sent_away_holds_nothing_any_more(scene: ShareScene) -> None:
    scene.broker()
    client, friend = scene.client(), scene.client()
    number, *_ = client.open(scene.url)
    friend.open(scene.url)
    client.subscribe(number, "BTC", b"want BTC", b"stop BTC")
    client.say(b"garbage that is no record")
    scene.upstream.hears("want BTC", "stop BTC")


def test_both_beat_and_who_is_silent_for_too_long_is_dead(scene: ShareScene) -> None:
    scene.broker(beat_s=0.02, client_dead_s=0.3)
    lively, silent = scene.client(), scene.client()
    number, *_ = silent.open(scene.url)
    silent.subscribe(number, "BTC", b"want BTC")
    for _ in range(3):
        assert lively.hear() == Said(BEAT, ())

    def is_released() -> bool:
        lively.beat()
        return scene.upstream.codes == [1000]

    wait_until(is_released)
    assert BEAT in {said.kind for said in silent.wait_end()}
    assert json.loads(lively.ask(1))["clients"][0]["client"] == lively.number


def test_questions_that_are_none_are_refused(scene: ShareScene) -> None:
    scene.broker()
    client = scene.client()
    client.say(record(ASK, struct.pack("<IB", 7, 9)))
    assert client.failed() == (7, "MALFORMED_MESSAGE", "9 is nothing that may be asked")


def test_who_wants_the_log_gets_it_and_nobody_else(scene: ShareScene) -> None:
    scene.broker()
    curious, quiet = scene.client(), scene.client()
    curious.say(record(LOG_LEVEL, b"\x02"))
    curious.ask(1)
    other = scene.client()
    said = curious.hear()
    assert said is not None
    assert said.kind == LOG
    level, line = said.fields
    assert level == 2
    assert line.endswith(f"feedmux.share.visitor: client {other.number} is process {os.getpid()}, 'test'")
    curious.say(record(LOG_LEVEL, b"\x06"))
    curious.ask(1)
    scene.client()
    quiet.say(record(ASK, struct.pack("<IB", 1, 1)))
    assert quiet.hear().kind == ANSWER  # type: ignore[union-attr]
    curious.say(record(ASK, struct.pack("<IB", 1, 1)))
    assert curious.hear().kind == ANSWER  # type: ignore[union-attr]


def test_no_secret_is_in_the_log_or_in_the_status(scene: ShareScene) -> None:
    scene.broker(beat_s=0.05)
    curious = scene.client()
    curious.say(record(LOG_LEVEL, b"\x00"))
    url = scene.url.replace("ws://", f"ws://user:{USER}@") + f"?token={TOKEN}"
    login = json.dumps({"action": "auth", "key": "id", "secret": LOGIN}).encode()
    options = {"headers": [("Authorization-Key", HEADER)], "opening": [login]}
    number, _, ring, _ = curious.open(url, key=KEY, **options)
    scene.upstream.hears(login.decode())
    scene.upstream.cut(4000, " ".join(SECRETS))
    item = ring.wait_for(4)
    assert not [secret for secret in SECRETS if secret.encode() in item.payload]
    ring.wait_for(3)
    curious.say(record(LOG_LEVEL, b"\x06"))
    curious.say(record(ASK, struct.pack("<IB", 99, 1)))
    lines = []
    while (said := curious.hear()) is not None and said.kind != ANSWER:
        lines.append(said.fields)
    assert said is not None
    assert any("link to" in str(line) for line in lines)
    assert not [secret for secret in SECRETS if secret in str(lines) + str(said.fields)]
    assert number == json.loads(said.fields[1])["websockets"][0]["id"]


def test_who_does_not_read_is_cut_and_costs_a_bounded_amount(
    scene: ShareScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("feedmux.share.line.MOST_WAITING_BYTES", 64 * 1024)
    scene.broker()
    deaf, friend = scene.client(), scene.client()
    with pytest.raises(OSError, match=r"[Bb]roken|reset"):
        for number in range(1_000_000):
            deaf.say(record(ASK, struct.pack("<IB", number + 1, 1)))
    assert len(json.loads(friend.ask(1))["clients"]) == 1


def test_a_message_may_be_as_long_as_the_protocol_says(scene: ShareScene) -> None:
    scene.broker()
    client = scene.client()
    number, *_ = client.open(scene.url)
    client.say(record(SEND, struct.pack("<QB", number, 1), blob(bytes(16 * 1024 * 1024))))
    wait_until(lambda: scene.upstream.messages() == [bytes(16 * 1024 * 1024)])
