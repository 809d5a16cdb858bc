from __future__ import annotations

from collections.abc import Mapping

import msgspec
import pytest

from feedmux.core.ticker import Unmerged
from feedmux.feed.writer import RenderedMerge, TopicWriter
from feedmux.model.event import Envelope, EventKind, Position, State
from feedmux.model.topic import PUBLIC, Topic
from feedmux.model.venue import Candle, Merge, Value

TICKER = Topic(PUBLIC, "v", "m", "ticker", "A")
KLINE = Topic(PUBLIC, "v", "m", "kline", "A", "1")
TRADE = Topic(PUBLIC, "v", "m", "trade", "A")


def render(state: Mapping[str, str]) -> bytes:
    return msgspec.json.encode(state)


def writer(topic: Topic) -> TopicWriter:
    return TopicWriter(topic, 100, lambda _: RenderedMerge(render))


def snapshot(order: int = 1, **fields: str) -> Merge:
    return Merge(TICKER, 5, True, order, fields)


def delta(order: int, **fields: str) -> Merge:
    return Merge(TICKER, 6, False, order, fields)


def test_values_are_numbered_from_one_in_their_epoch() -> None:
    ticker = writer(TICKER)
    first, second = ticker.merge(snapshot(a="1"), 9), ticker.merge(delta(2, b="2"), 9)
    assert isinstance(first, Envelope)
    assert isinstance(second, Envelope)
    assert (first.kind, first.position) == (EventKind.SNAPSHOT, Position(100, 1))
    assert (second.kind, second.position) == (EventKind.UPDATE, Position(100, 2))
    assert second.payload == b'{"a":"1","b":"2"}'
    assert second.key == TICKER.text


def test_nothing_replaces_the_first_value_of_an_epoch_which_names_it() -> None:
    ticker = writer(TICKER)

    def keys() -> list[str]:
        values = [ticker.merge(snapshot(a="1"), 9), ticker.merge(snapshot(2, a="2"), 9)]
        return [value.key for value in values if isinstance(value, Envelope)]

    assert keys() == ["", TICKER.text]
    ticker.restart(200)
    assert keys() == ["", TICKER.text]


def test_a_change_without_a_snapshot_gives_nothing() -> None:
    assert writer(TICKER).merge(delta(1, a="1"), 9) is Unmerged.WAITING


def test_a_broken_order_gives_nothing_until_the_next_snapshot() -> None:
    ticker = writer(TICKER)
    ticker.merge(snapshot(5, a="1"), 9)
    assert ticker.merge(delta(4, a="0"), 9) is Unmerged.DESYNC
    assert ticker.merge(delta(6, a="2"), 9) is Unmerged.WAITING


def test_the_last_value_is_what_a_late_reader_gets() -> None:
    ticker = writer(TICKER)
    assert ticker.snapshot() is None
    ticker.merge(snapshot(a="1"), 9)
    ticker.merge(delta(2, a="2"), 9)
    late = ticker.snapshot()
    assert late is not None
    assert (late.kind, late.position, late.payload) == (EventKind.SNAPSHOT, Position(100, 2), b'{"a":"2"}')


def test_trades_have_no_snapshot() -> None:
    trades = writer(TRADE)
    trades.take(Value(TRADE, 1, "", b"[1]"), 9)
    assert trades.snapshot() is None


def test_a_repeated_trade_message_is_not_published_twice() -> None:
    trades = writer(TRADE)
    assert trades.take(Value(TRADE, 1, "", b"[1]"), 9) is not None
    assert trades.take(Value(TRADE, 1, "", b"[1]"), 9) is None
    later = trades.take(Value(TRADE, 1, "", b"[2]"), 9)
    assert isinstance(later, Envelope)
    assert later.seq == 2


def test_where_times_are_no_order_what_came_last_is_the_latest() -> None:
    ticker = writer(TICKER)
    outcomes = [ticker.take(Value(TICKER, at, TICKER.text, b"%d" % at, ordered=False), 9) for at in (3, 2, 1)]
    assert [one.payload for one in outcomes if isinstance(one, Envelope)] == [b"3", b"2", b"1"]


def test_an_older_candle_is_not_published_after_a_newer_one() -> None:
    candles = writer(KLINE)
    assert candles.take(Value(KLINE, 20, "k", b"{}"), 9) is not None
    assert candles.take(Value(KLINE, 10, "k", b"{}"), 9) is None
    assert candles.take(Value(KLINE, 20, "k", b"{}"), 9) is not None


@pytest.mark.parametrize(("topic", "has_gap"), [(TICKER, False), (KLINE, True), (TRADE, True)])
def test_a_hole_is_told_where_no_snapshot_mends_it(topic: Topic, *, has_gap: bool) -> None:
    gap = writer(topic).gap(7)
    assert (gap is not None) is has_gap
    if gap is not None:
        assert gap.payload == b'{"from":1,"to":null,"reason":"link"}'
        assert gap.position == Position(100, 0)


def test_a_restart_forgets_what_nobody_vouches_for() -> None:
    ticker = writer(TICKER)
    ticker.merge(snapshot(a="1"), 9)
    ticker.restart(200)
    assert ticker.snapshot() is None
    assert ticker.merge(delta(9, a="2"), 9) is Unmerged.WAITING
    again = ticker.merge(snapshot(1, a="3"), 9)
    assert isinstance(again, Envelope)
    assert again.position == Position(200, 1)


def test_a_status_repeats_the_last_position_and_takes_no_seq() -> None:
    ticker = writer(TICKER)
    ticker.merge(snapshot(a="1"), 9)
    status = ticker.status(State.STALE, "quiet", 11)
    assert (status.kind, status.position) == (EventKind.STATUS, Position(100, 1))
    assert ticker.standing(12).payload == b'{"state":"stale","reason":"quiet"}'


# --- tickers that come whole, candles that nobody closes ------------------------------------------


def whole(at_ns: int) -> Value:
    return Value(TICKER, at_ns, TICKER.text, b'{"at":%d}' % at_ns)


def candle(opened_ms: int, close: int) -> Candle:
    return Candle(KLINE, opened_ms, f"k:{opened_ms}", b"%d open at %d" % (opened_ms, close), b"%d" % close)


def shown(candles: TopicWriter, *events: Candle) -> list[tuple[str, bytes]]:
    """The keys and payloads of what some candles become."""
    return [(one.key, one.payload) for event in events for one in candles.take_candle(event, 9)]


def test_a_whole_ticker_is_a_snapshot_first_in_each_epoch_and_then_an_update() -> None:
    ticker = writer(TICKER)
    first, second = ticker.take(whole(5), 9), ticker.take(whole(5), 9)
    ticker.restart(200)
    third = ticker.take(whole(4), 9)
    events = [event for event in (first, second, third) if isinstance(event, Envelope)]
    assert [(event.kind, event.key, event.epoch) for event in events] == [
        (EventKind.SNAPSHOT, "", 100), (EventKind.UPDATE, TICKER.text, 100), (EventKind.SNAPSHOT, "", 200),
    ]  # fmt: skip


def test_one_older_ticker_is_dropped_and_the_second_in_a_row_means_that_all_are_older() -> None:
    ticker = writer(TICKER)
    outcomes = [ticker.take(whole(at_ns), 9) for at_ns in (5, 4, 6, 5, 5)]
    assert [type(outcome) for outcome in outcomes] == [Envelope, type(None), Envelope, type(None), Unmerged]
    assert outcomes[-1] is Unmerged.DESYNC
    late = ticker.snapshot()
    assert late is not None
    assert late.payload == b'{"at":6}'


def test_the_candle_before_is_closed_first_without_a_key() -> None:
    candles = writer(KLINE)
    assert shown(candles, candle(1, 5), candle(2, 6), candle(2, 7)) == [
        ("k:1", b"1 open at 5"), ("k:2", b"2 open at 6"), ("k:2", b"2 open at 7"),
    ]  # fmt: skip
    closed, running = candles.take_candle(candle(3, 8), 9)
    assert (closed.key, closed.payload, closed.seq) == ("", b"7", 4)
    assert (running.key, running.seq) == ("k:3", 5)
    assert {closed.kind, running.kind} == {EventKind.UPDATE}
    late = candles.snapshot()
    assert late is not None
    assert late.position == running.position


def test_an_older_candle_of_a_venue_that_does_not_close_them_is_dropped() -> None:
    candles = writer(KLINE)
    assert shown(candles, candle(2, 1), candle(1, 9)) == [("k:2", b"2 open at 1")]


@pytest.mark.parametrize("broken", ["restart", "stale"])
def test_a_candle_whose_end_may_have_been_lost_is_not_closed(broken: str) -> None:
    candles = writer(KLINE)
    shown(candles, candle(1, 1), candle(2, 2))
    if broken == "restart":
        candles.restart(200)
    else:
        candles.status(State.STALE, "quiet", 9)
    assert [key for key, _ in shown(candles, candle(3, 3), candle(4, 4), candle(5, 5))] == [
        "k:3", "k:4", "", "k:5",
    ]  # fmt: skip
