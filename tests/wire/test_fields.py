from __future__ import annotations

import gc

import pytest

from feedmux.model.event import Envelope, EventKind
from feedmux.wire.fields import Dissection
from feedmux.wire.frame import text_frame
from feedmux.wire.stream import StreamFormat
from support.places import PLACES

TICKER = PLACES.parse("ticker:BTCUSDT")
TICK = b'{"symbol":"BTCUSDT","price":"83023.80","bid":{"price":"83023.70","size":"10.253"},"n":1.10}'
TRADES = b'[{"id":"a","price":"1","time":5},{"id":"b","price":"2"}]'


def event(payload: bytes, kind: EventKind = EventKind.UPDATE, seq: int = 42) -> Envelope:
    return Envelope(TICKER, 7, seq, kind, 5_000_000, 0, "key", payload)


def message(data: bytes) -> bytes:
    return (
        b'{"stream":"mudrex.futures.ticker.BTCUSDT","type":"update","data":%b,'
        b'"timestamp":5,"source":"mudrex","seq":42}' % data
    )


@pytest.mark.parametrize(
    ("payload", "fields", "data"),
    [
        (TICK, "price bid", b'{"price":"83023.80","bid":{"price":"83023.70","size":"10.253"}}'),
        (TICK, "bid price", b'{"price":"83023.80","bid":{"price":"83023.70","size":"10.253"}}'),
        (TICK, "n", b'{"n":1.10}'),
        (TICK, "symbol markPrice", b'{"symbol":"BTCUSDT"}'),
        (TICK, "markPrice", b"{}"),
        (TRADES, "price time", b'[{"price":"1","time":5},{"price":"2"}]'),
        (TRADES, "side", b"[{},{}]"),
        (b"[]", "price", b"[]"),
        (b'{"\\u0070rice":"\xc3\xa9","x":null}', "price", b'{"price":"\xc3\xa9"}'),
        (b'{"price":1e400,"bid":100000000000000000000000000000.10}', "bid",
         b'{"bid":100000000000000000000000000000.10}'),
        (b"7", "price", b"7"),
        (b"[1,2]", "price", b"[1,2]"),
        (b"no JSON", "price", b"no JSON"),
    ],
    ids=["two", "in the order of the data", "digits are kept", "one is not there", "none is there",
         "each of a list", "none of a list", "an empty list", "escapes", "numbers of any size",
         "a number", "a list of numbers", "an opaque body"],
)  # fmt: skip
def test_a_value_carries_the_fields_that_are_asked_for(payload: bytes, fields: str, data: bytes) -> None:
    layout = StreamFormat(PLACES).only(frozenset(fields.split()))
    assert layout.frame(event(payload)) == text_frame(message(data))


def test_snapshots_are_projected_and_gaps_and_statuses_are_not() -> None:
    whole = StreamFormat(PLACES)
    layout = whole.only(frozenset({"price"}))
    shown = layout.frame(event(TICK, EventKind.SNAPSHOT))
    assert shown == whole.frame(event(b'{"price":"83023.80"}', EventKind.SNAPSHOT))
    for kind in (EventKind.GAP, EventKind.STATUS):
        other = event(b'{"from":1,"price":2}', kind)
        assert layout.frame(other) == whole.frame(other)


def test_who_cannot_bear_statuses_gets_none_with_fields_either() -> None:
    layout = StreamFormat(PLACES, statuses=False).only(frozenset({"price"}))
    assert layout.frame(event(b"{}", EventKind.STATUS)) is None


def test_equal_sets_are_one_format_as_long_as_somebody_has_it() -> None:
    whole = StreamFormat(PLACES)
    first = whole.only(frozenset({"price", "bid"}))
    assert whole.only(frozenset(["bid", "price"])) is first
    other = first.only(frozenset({"price"}))
    assert other is whole.only(frozenset({"price"})) is not first
    assert (whole.fields, other.fields) == (frozenset(), frozenset({"price"}))
    assert whole.statistics()["field_sets"] == 2
    del first
    gc.collect()
    assert whole.statistics()["field_sets"] == 1


def test_a_frame_is_built_once_for_all_rows_of_a_set() -> None:
    layout = StreamFormat(PLACES).only(frozenset({"price"}))
    once, other = event(TICK), event(TICK, seq=43)
    assert layout.frame(once) is layout.frame(once)
    assert layout.frame(other) != layout.frame(once)


def test_a_value_is_taken_apart_once_for_all_sets() -> None:
    dissection = Dissection()
    parts = dissection.of(TICK)
    assert isinstance(parts, dict)
    assert dissection.of(TICK) is parts
    assert dissection.of(TRADES) is not parts


def test_forgetting_a_topic_leaves_the_set_as_it_is() -> None:
    layout = StreamFormat(PLACES).only(frozenset({"price"}))
    frame = layout.frame(event(TICK))
    layout.forget(TICKER)
    assert layout.frame(event(TICK)) == frame
