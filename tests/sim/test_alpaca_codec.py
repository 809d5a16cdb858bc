"""What a simulated Alpaca writes and reads, as JSON and as msgpack."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from feedmux.sim.alpaca_codec import JSON, MSGPACK, Codec, Price, Stamp, Unreadable, rfc3339, timestamp

SECOND = 1_000_000_000
MOMENT = 1_614_009_104 * SECOND
"""2021-02-22T15:51:44Z."""


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (MOMENT, "2021-02-22T15:51:44Z"),
        (MOMENT + 208_000_000, "2021-02-22T15:51:44.208Z"),
        (MOMENT + 335_689_322, "2021-02-22T15:51:44.335689322Z"),
        (MOMENT + 1, "2021-02-22T15:51:44.000000001Z"),
        (MOMENT + 100_000_000, "2021-02-22T15:51:44.1Z"),
    ],
)
def test_a_time_has_as_many_digits_as_it_needs(ns: int, text: str) -> None:
    assert rfc3339(ns) == text


@pytest.mark.parametrize(
    ("ns", "packed"),
    [
        (MOMENT, "d6ff6033d310"),
        (MOMENT + 335_689_322, "d7ff5008d9a86033d310"),
        (2**32 * SECOND, "d7ff0000000100000000"),
    ],
)
def test_a_packed_time_takes_its_shortest_form(ns: int, packed: str) -> None:
    """Source: the msgpack specification, timestamp 32 and timestamp 64."""
    assert msgspec.msgpack.encode(timestamp(ns)).hex() == packed
    seconds, rest = divmod(ns, SECOND)
    expected = datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest // 1000)
    assert msgspec.msgpack.decode(bytes.fromhex(packed)) == expected


def test_a_whole_price_has_no_point_in_json_and_is_a_double_in_msgpack() -> None:
    item: dict[str, object] = {"p": Price(1_260_000), "q": Price(1_265_501)}
    assert JSON.item(item) == b'{"p":126,"q":126.5501}'
    decoded = msgspec.msgpack.decode(MSGPACK.item(item))
    assert (type(decoded["p"]), decoded) == (float, {"p": 126.0, "q": 126.5501})


@pytest.mark.parametrize("count", [1, 15, 16, 300])
def test_an_array_holds_all_its_members_in_order(count: int) -> None:
    items: list[dict[str, object]] = [{"i": number} for number in range(count)]
    for codec, decode in ((JSON, json.loads), (MSGPACK, msgspec.msgpack.decode)):
        assert decode(codec.array([codec.item(item) for item in items])) == items


def test_json_goes_in_text_frames_and_msgpack_in_binary_ones() -> None:
    assert JSON.frame(b"[]") == b"\x81\x02[]"
    assert MSGPACK.frame(b"\x90") == b"\x82\x01\x90"


def test_an_item_may_hold_a_time() -> None:
    assert JSON.item({"t": Stamp(MOMENT)}) == b'{"t":"2021-02-22T15:51:44Z"}'


def written(codec: Codec, request: dict[str, Any]) -> bytes:
    return json.dumps(request).encode() if codec is JSON else msgspec.msgpack.encode(request)


@pytest.mark.parametrize("codec", [JSON, MSGPACK])
def test_a_request_is_read_and_what_is_unknown_passed_over(codec: Codec) -> None:
    request = codec.read(
        written(codec, {"action": "subscribe", "trades": ["A"], "updatedBars": [], "whatever": 1})
    )
    assert request.action == "subscribe"
    assert request.changes() == {"trades": ["A"], "updatedBars": []}


@pytest.mark.parametrize("codec", [JSON, MSGPACK])
def test_what_is_no_request_is_unreadable(codec: Codec) -> None:
    for message in (
        written(codec, {"trades": ["A"]}),
        written(codec, {"action": 7}),
        written(codec, {"action": "subscribe", "trades": "A"}),
        written(codec, {"action": "subscribe", "bars": [1]}),
        b"",
        b"\xc1",
        "hello",
        b"[" * 100_000,
        b"\x91" * 100_000,
    ):
        with pytest.raises(Unreadable):
            codec.read(message)


def test_neither_codec_reads_the_other() -> None:
    with pytest.raises(Unreadable):
        JSON.read(written(MSGPACK, {"action": "auth"}))
    with pytest.raises(Unreadable):
        MSGPACK.read(written(JSON, {"action": "auth"}))


def test_a_request_does_not_print_its_secret() -> None:
    request = JSON.read('{"action":"auth","key":"me","secret":"hunter2"}')
    assert request.secret == "hunter2"
    assert "hunter2" not in repr(request)
