from __future__ import annotations

import json

import pytest

from feedmux.client.recording import Direction, Entry, Kind, decode, encode, timestamp
from feedmux.model.errors import MalformedRecording, TornRecording

AT_NS = 1_763_717_400_123_456_000
TS = "2025-11-21T09:30:00.123456Z"


def text(payload: bytes, direction: Direction = Direction.IN) -> Entry:
    return Entry(at_ns=AT_NS, direction=direction, kind=Kind.TEXT, payload=payload)


@pytest.mark.parametrize(
    ("entry", "line"),
    [
        (text(b'{"op":"pong"}'), {"ts": TS, "dir": "in", "type": "text", "data": '{"op":"pong"}'}),
        (text("é\n".encode(), Direction.OUT), {"ts": TS, "dir": "out", "type": "text", "data": "é\n"}),
        (text(b"\xff"), {"ts": TS, "dir": "in", "type": "text", "data": "/w==", "binary": True}),
        (
            Entry(
                at_ns=AT_NS, direction=Direction.OUT, kind=Kind.BINARY, payload=bytes.fromhex("deadbeefef")
            ),
            {"ts": TS, "dir": "out", "type": "binary", "data": "3q2+7+8=", "binary": True},
        ),
        (
            Entry(at_ns=AT_NS, direction=Direction.IN, kind=Kind.CLOSE, code=1001, reason="maintenance"),
            {"ts": TS, "dir": "in", "type": "close", "data": '{"code":1001,"reason":"maintenance"}'},
        ),
        (
            Entry(at_ns=AT_NS, direction=Direction.IN, kind=Kind.CLOSE),
            {"ts": TS, "dir": "in", "type": "close", "data": '{"code":null,"reason":""}'},
        ),
    ],
)
def test_an_entry_is_a_line_of_json_and_is_read_from_it(entry: Entry, line: dict[str, object]) -> None:
    written = encode(entry)
    assert written.endswith(b"}\n")
    assert written.count(b"\n") == 1
    assert list(json.loads(written).items()) == list(line.items())
    assert decode(written, path="x", number=1) == entry


@pytest.mark.parametrize(
    ("at_ns", "shown"),
    [
        (0, "1970-01-01T00:00:00.000000Z"),
        (AT_NS + 999, TS),
        (1_000_000_000, "1970-01-01T00:00:01.000000Z"),
        (-1, "1969-12-31T23:59:59.999999Z"),
    ],
)
def test_times_are_cut_to_the_microsecond(at_ns: int, shown: str) -> None:
    assert timestamp(at_ns) == shown


def test_what_another_recorder_wrote_is_read() -> None:
    close = b'{"data":"{\\"code\\":1000,\\"reason\\":null}","dir":"out","type":"close"'
    line = close + b',"more":1,"ts":"2025-11-21T10:30:00.5+01:00"}\n'
    assert decode(line, path="x", number=1) == Entry(
        at_ns=1_763_717_400_500_000_000, direction=Direction.OUT, kind=Kind.CLOSE, code=1000
    )


GOOD = {"ts": TS, "dir": "in", "type": "text", "data": "x"}


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"\n", "truncated"),
        (b"[]\n", "Expected `object`, got `array`"),
        (b"{}\n", "missing required field `ts`"),
        (b"\xff\n", "malformed"),
        ({**GOOD, "dir": "up"}, "Invalid enum value 'up'"),
        ({**GOOD, "type": "ping"}, "Invalid enum value 'ping'"),
        ({**GOOD, "data": 1}, "Expected `str`, got `int`"),
        ({**GOOD, "ts": "yesterday"}, "Invalid isoformat string: 'yesterday'"),
        ({**GOOD, "ts": "2025-11-21T09:30:00"}, "a time without its zone"),
        ({**GOOD, "data": "*", "binary": True}, "base64"),
        ({**GOOD, "type": "close", "data": "bye"}, "malformed"),
        ({**GOOD, "type": "close", "data": '{"code":"1000"}'}, "Expected `int | null`, got `str`"),
    ],
)
def test_a_line_that_is_none_says_where_and_why(line: bytes | dict[str, object], reason: str) -> None:
    data = line if isinstance(line, bytes) else json.dumps(line).encode() + b"\n"
    with pytest.raises(MalformedRecording) as caught:
        decode(data, path="r.jsonl", number=7)
    assert not isinstance(caught.value, TornRecording)
    assert (caught.value.path, caught.value.line) == ("r.jsonl", 7)
    assert reason.lower() in caught.value.reason.lower()


def test_a_line_without_its_end_is_torn_unless_only_the_line_feed_is_missing() -> None:
    whole = encode(text(b"abc"))
    assert decode(whole[:-1], path="x", number=1) == text(b"abc")
    for end in range(1, len(whole) - 1):
        with pytest.raises(TornRecording):
            decode(whole[:end], path="x", number=1)
