from __future__ import annotations

import pytest

from feedmux.core.outbox import OutboxLimits
from feedmux.hub.hub import Hub
from feedmux.model.event import Envelope, State
from feedmux.model.options import DEFAULTS, Options
from feedmux.model.topic import Topic
from support.hubs import (
    KLINE,
    QUIET,
    TICKER,
    TRADE,
    Reader,
    ScriptedBus,
    candle,
    gap,
    snapshot,
    status,
    trade,
    value,
)
from support.sockets import Client, Twin, on_both_twins

KEEP, REPLACE = Options(conflate=False), Options(conflate=True)
FOUR = Options(rate=4)
LIVE, STALE = status(TICKER, State.LIVE), status(TICKER, State.STALE)


@pytest.fixture
def bus() -> ScriptedBus:
    return ScriptedBus()


@pytest.fixture
def hub(bus: ScriptedBus) -> Hub:
    return bus.hub


def joined(
    hub: Hub, options: Options = DEFAULTS, topic: Topic = TICKER, reader: Reader | None = None
) -> Reader:
    reader = reader or Reader()
    hub.attach(topic, reader, asker=0)
    hub.join(topic, reader, options)
    return reader


# What replaces what


@pytest.mark.parametrize(
    ("options", "event", "key", "seq", "told"),
    [
        (DEFAULTS, value(TICKER, 5), TICKER.text, 5, False),
        (REPLACE, value(TICKER, 5), TICKER.text, 5, False),
        (KEEP, value(TICKER, 5), "", 5, True),
        (DEFAULTS, trade(5), "", 5, True),
        (KEEP, trade(5), "", 5, True),
        (REPLACE, trade(5), TRADE.text, 5, False),
        (DEFAULTS, candle(5, 60), f"{KLINE.text}:60", 5, False),
        (KEEP, candle(5, 60), "", 5, True),
        (DEFAULTS, candle(5, 60, closed=True), "", 5, False),
        (KEEP, candle(5, 60, closed=True), "", 0, True),
        (KEEP, gap(KLINE, 5), "", 0, True),
        (REPLACE, gap(TRADE, 5), "", 0, False),
        (KEEP, STALE, "", 0, True),
        (REPLACE, status(TRADE, State.STALE), "", 0, False),
    ],
)
def test_conflation_says_what_may_be_replaced_and_what_may_be_let_go(
    bus: ScriptedBus, options: Options, event: Envelope, key: str, seq: int, told: bool
) -> None:
    reader = joined(bus.hub, options, event.topic)
    bus.say(event)
    (parcel,) = reader.parcels
    assert reader.got(event)
    assert (parcel.key, parcel.seq, parcel.epoch) == (key, seq, 1)
    assert parcel.row is not None
    assert (parcel.row.gap is not None) is told


# The rate


def test_the_first_value_goes_at_once_and_then_the_newest_at_its_pace(bus: ScriptedBus, hub: Hub) -> None:
    slow, fast = joined(hub, FOUR), joined(hub)
    bus.say(*(value(TICKER, seq) for seq in range(1, 6)))
    assert fast.got(*(value(TICKER, seq) for seq in range(1, 6)))
    assert slow.got(value(TICKER, 1))
    bus.time.goes(0.24)
    assert slow.got()
    bus.time.goes(0.01)
    assert slow.got(value(TICKER, 5))
    bus.time.goes(10)
    assert slow.got()
    bus.say(value(TICKER, 6), value(TICKER, 7))
    assert slow.got(value(TICKER, 6))


def test_a_timer_is_set_only_while_something_waits(bus: ScriptedBus, hub: Hub) -> None:
    reader = joined(hub, FOUR)
    bus.say(value(TICKER, 1))
    assert bus.time.set == []
    bus.say(value(TICKER, 2), value(TICKER, 3))
    assert bus.time.set == [1000.25]
    bus.time.goes(0.25)
    assert bus.time.set == []
    bus.say(value(TICKER, 4), STALE)
    assert bus.time.set == []
    bus.say(value(TICKER, 5))
    assert bus.time.set == [1000.5]
    hub.detach(TICKER, reader)
    assert bus.time.set == []


def test_a_timer_that_comes_early_is_set_again(bus: ScriptedBus, hub: Hub) -> None:
    reader = joined(hub, FOUR)
    bus.say(value(TICKER, 1), value(TICKER, 2))
    bus.time.now += 0.2495
    bus.time.ring(bus.time.alarms[-1])
    assert reader.got(value(TICKER, 1))
    bus.time.goes(0.001)
    assert reader.got(value(TICKER, 2))


def test_a_timer_that_comes_late_lets_the_newest_go(bus: ScriptedBus, hub: Hub) -> None:
    reader = joined(hub, FOUR)
    bus.say(value(TICKER, 1), value(TICKER, 2))
    bus.time.now += 0.3
    bus.say(value(TICKER, 3))
    assert reader.got(value(TICKER, 1), value(TICKER, 3))
    assert bus.time.set == []


def test_all_clients_of_a_step_share_one_frame_and_one_timer(bus: ScriptedBus, hub: Hub) -> None:
    readers = [joined(hub, FOUR) for _ in range(3)]
    bus.say(value(TICKER, 1), value(TICKER, 2))
    assert len(bus.time.set) == 1
    bus.time.goes(0.25)
    frames = [reader.take() for reader in readers]
    assert frames[0] == frames[1] == frames[2]
    assert all(one is other for one, other in zip(frames[0], frames[1], strict=True))
    assert len(bus.hub._entries[TICKER].lanes) == 1


@pytest.mark.parametrize("event", [STALE, gap(TICKER, 2)], ids=["status", "gap"])
def test_a_status_or_a_gap_is_not_held_and_what_is_held_goes_before_it(
    bus: ScriptedBus, hub: Hub, event: Envelope
) -> None:
    reader = joined(hub, FOUR)
    bus.say(value(TICKER, 1), value(TICKER, 2), event, value(TICKER, 3))
    assert reader.got(value(TICKER, 1), value(TICKER, 2), event)
    bus.time.goes(0.25)
    assert reader.got(value(TICKER, 3))


def test_a_closed_candle_is_not_held_and_what_is_held_goes_before_it(bus: ScriptedBus, hub: Hub) -> None:
    reader = joined(hub, FOUR, KLINE)
    closed = [candle(3, 60, closed=True), candle(4, 120, closed=True)]
    bus.say(candle(1, 60), candle(2, 60), *closed, candle(5, 180), candle(6, 180))
    assert reader.got(candle(1, 60), candle(2, 60), *closed)
    bus.time.goes(0.25)
    assert reader.got(candle(6, 180))


def test_what_comes_after_a_closed_candle_rests(bus: ScriptedBus, hub: Hub) -> None:
    reader = joined(hub, FOUR, KLINE)
    bus.say(candle(1, 60, closed=True), candle(2, 120))
    assert reader.got(candle(1, 60, closed=True))
    bus.time.goes(0.25)
    assert reader.got(candle(2, 120))


def test_a_held_snapshot_that_is_replaced_still_names_its_epoch(bus: ScriptedBus, hub: Hub) -> None:
    reader = joined(hub, FOUR, reader=Reader(QUIET))
    bus.say(value(TICKER, 9), status(TICKER, State.LIVE, epoch=2))
    bus.say(snapshot(TICKER, 1, epoch=2), value(TICKER, 2, epoch=2), value(TICKER, 3, epoch=2))
    assert reader.got(value(TICKER, 9))
    bus.time.goes(0.25)
    assert reader.got(snapshot(TICKER, 3, epoch=2))
    bus.say(value(TICKER, 4, epoch=2))
    bus.time.goes(0.25)
    assert reader.got(value(TICKER, 4, epoch=2))


def test_trades_may_have_a_pace_when_they_may_be_replaced(bus: ScriptedBus, hub: Hub) -> None:
    reader = joined(hub, Options(conflate=True, rate=4), TRADE)
    bus.say(*(trade(seq) for seq in range(1, 9)))
    bus.time.goes(0.25)
    assert reader.got(trade(1), trade(8))
    assert set(reader.keys) == {TRADE.text}


# Who comes and goes while a value is held


def test_who_joins_while_a_value_is_held_has_it_as_its_snapshot_and_not_twice(
    bus: ScriptedBus, hub: Hub
) -> None:
    first = joined(hub, FOUR)
    bus.say(value(TICKER, 1), value(TICKER, 2))
    late = joined(hub, FOUR)
    assert late.got(snapshot(TICKER, 2))
    bus.time.goes(0.25)
    assert first.got(value(TICKER, 1), value(TICKER, 2))
    assert late.got()
    bus.say(value(TICKER, 3))
    bus.time.goes(0.25)
    assert late.got(value(TICKER, 3))
    assert first.got(value(TICKER, 3))


@pytest.mark.parametrize("event", [value(TICKER, 3), STALE, gap(TICKER, 2)], ids=["value", "status", "gap"])
def test_who_joined_while_a_value_was_held_gets_what_comes_next(
    bus: ScriptedBus, hub: Hub, event: Envelope
) -> None:
    first = joined(hub, FOUR)
    bus.say(value(TICKER, 1), value(TICKER, 2))
    late = joined(hub, FOUR)
    late.take()
    bus.say(event)
    bus.time.goes(0.25)
    assert late.got(event)
    assert hub.statistics()["subscriptions"] == 2
    hub.detach(TICKER, first)
    hub.detach(TICKER, late)
    assert hub.topics() == {}


def test_who_joined_while_a_value_was_held_counts_and_may_leave(bus: ScriptedBus, hub: Hub) -> None:
    first = joined(hub, FOUR)
    bus.say(value(TICKER, 1), value(TICKER, 2))
    late, revoked = joined(hub, FOUR), joined(hub, FOUR)
    assert hub.statistics()["subscriptions"] == 3
    hub.detach(TICKER, late)
    hub.detach(TICKER, first)
    assert hub.statistics()["subscriptions"] == 1
    bus.say(status(TICKER, State.REFUSED, "gone", epoch=0))
    assert revoked.ended == [TICKER]
    assert bus.time.set == []


def test_who_wants_no_snapshot_starts_with_the_next_value(bus: ScriptedBus, hub: Hub) -> None:
    first = joined(hub, FOUR)
    bus.say(LIVE, value(TICKER, 1), value(TICKER, 2), STALE, value(TICKER, 3))
    reader = Reader()
    hub.attach(TICKER, reader, asker=0)
    hub.join(TICKER, reader, FOUR, snapshot=False)
    assert reader.got(STALE), "the status comes all the same"
    bus.time.goes(0.25)
    assert first.frames[-1:] == [first.format.frame(value(TICKER, 3))]
    bus.say(value(TICKER, 4))
    bus.time.goes(0.25)
    assert reader.got(value(TICKER, 4))


# Changes


ALL = [DEFAULTS, KEEP, REPLACE, FOUR, Options(rate=10), Options(fields=frozenset("n"))]


@pytest.mark.parametrize("after", ALL, ids=str)
@pytest.mark.parametrize("before", ALL, ids=str)
def test_a_change_loses_nothing_and_repeats_nothing(
    bus: ScriptedBus, hub: Hub, before: Options, after: Options
) -> None:
    reader, others = joined(hub, before), [joined(hub, options) for options in ALL]
    bus.say(value(TICKER, 1), value(TICKER, 2))
    hub.change(TICKER, reader, after)
    assert (not before.rate) or before == after or len(reader.frames) == 2, "what waited came at once"
    bus.say(value(TICKER, 3))
    bus.time.goes(1)
    frames = reader.take()
    seqs = [frame.partition(b'"seq":')[2][:1] for frame in frames]
    assert seqs == sorted(set(seqs))
    assert seqs[0] == b"1"
    assert seqs[-1] == b"3"
    for other in others:
        assert other.frames, "the others notice nothing"
        hub.detach(TICKER, other)
    hub.detach(TICKER, reader)
    assert hub.topics() == {}
    assert bus.time.set == []


def test_a_change_takes_effect_at_once(bus: ScriptedBus, hub: Hub) -> None:
    reader = joined(hub)
    bus.say(value(TICKER, 1))
    hub.change(TICKER, reader, FOUR)
    bus.say(value(TICKER, 2), value(TICKER, 3), value(TICKER, 4))
    assert reader.got(value(TICKER, 1), value(TICKER, 2))
    hub.change(TICKER, reader, DEFAULTS)
    assert reader.got(value(TICKER, 4))
    bus.say(value(TICKER, 5), value(TICKER, 6))
    assert reader.got(value(TICKER, 5), value(TICKER, 6))
    assert hub._entries[TICKER].lanes == {}


def test_who_had_the_held_value_already_is_not_given_it_on_leaving(bus: ScriptedBus, hub: Hub) -> None:
    joined(hub, FOUR)
    bus.say(value(TICKER, 1), value(TICKER, 2))
    late = joined(hub, FOUR)
    assert late.got(snapshot(TICKER, 2))
    hub.change(TICKER, late, DEFAULTS)
    assert late.got()
    hub.change(TICKER, late, FOUR)
    bus.time.goes(1)
    assert late.got()


@pytest.mark.parametrize("before", ALL, ids=str)
def test_a_refresh_repeats_the_last_value_once(bus: ScriptedBus, hub: Hub, before: Options) -> None:
    reader = joined(hub, before)
    joined(hub, before)
    bus.say(value(TICKER, 1), value(TICKER, 2))
    reader.take()
    hub.change(TICKER, reader, before, snapshot=True)
    bus.time.goes(1)
    assert reader.got(snapshot(TICKER, 2))
    bus.say(value(TICKER, 3))
    bus.time.goes(1)
    assert reader.got(value(TICKER, 3))


def test_a_refresh_with_a_change_gives_what_waited_as_the_snapshot_alone(bus: ScriptedBus, hub: Hub) -> None:
    reader = joined(hub, FOUR)
    bus.say(value(TICKER, 1), value(TICKER, 2))
    hub.change(TICKER, reader, DEFAULTS, snapshot=True)
    assert reader.got(value(TICKER, 1), snapshot(TICKER, 2))


def test_a_refresh_of_what_has_no_state_gives_what_waited(bus: ScriptedBus, hub: Hub) -> None:
    reader = joined(hub, Options(conflate=True, rate=4), TRADE)
    bus.say(trade(1), trade(2))
    hub.change(TRADE, reader, DEFAULTS, snapshot=True)
    assert reader.got(trade(1), trade(2))


# Real outboxes, full sockets


def frames(*envelopes: Envelope) -> list[bytes | None]:
    return [Reader().format.frame(envelope) for envelope in envelopes]


@on_both_twins
@pytest.mark.parametrize("after", [KEEP, REPLACE, Options(conflate=True, rate=4)], ids=str)
def test_what_waits_for_a_slow_client_is_kept_when_its_options_change(twin: Twin, after: Options) -> None:
    bus = ScriptedBus(twin.row)
    client = Client(twin)
    joined(bus.hub, DEFAULTS, TRADE, client)
    client.socket.outbox.pause()
    bus.say(trade(1), trade(2))
    bus.hub.change(TRADE, client, after)
    assert client.socket.outbox.paused
    bus.say(trade(3))
    assert client.shown() == frames(trade(1), trade(2), trade(3))


@on_both_twins
def test_a_hole_that_is_not_told_yet_is_told_after_a_change(twin: Twin) -> None:
    bus = ScriptedBus(twin.row)
    client = Client(twin, OutboxLimits(frames=2))
    joined(bus.hub, DEFAULTS, TRADE, client)
    client.socket.outbox.pause()
    bus.say(*(trade(seq) for seq in range(1, 5)))
    bus.hub.change(TRADE, client, REPLACE)
    bus.say(trade(5), trade(6))
    hole, kept, newest = client.shown()
    assert b'"data":{"from":1,"to":3,"reason":"slow"}' in hole
    assert [kept, newest] == frames(trade(4), trade(6))


@on_both_twins
def test_a_slow_clients_waiting_ticker_is_replaced_by_newer_ones_of_its_new_form(twin: Twin) -> None:
    bus = ScriptedBus(twin.row)
    client = Client(twin)
    joined(bus.hub, DEFAULTS, TICKER, client)
    client.socket.outbox.pause()
    bus.say(value(TICKER, 1))
    bus.hub.change(TICKER, client, Options(fields=frozenset("x")))
    bus.say(value(TICKER, 2), value(TICKER, 3))
    (shown,) = client.shown()
    assert b'"data":{},' in shown and shown.endswith(b'"seq":3}')


@on_both_twins
def test_giving_a_stream_back_lets_go_what_waits_of_it(twin: Twin) -> None:
    bus = ScriptedBus(twin.row)
    client = Client(twin)
    joined(bus.hub, KEEP, TICKER, client)
    client.socket.outbox.pause()
    bus.say(value(TICKER, 1), value(TICKER, 2))
    bus.hub.detach(TICKER, client)
    assert client.shown() == []


@on_both_twins
def test_tickers_that_may_not_be_replaced_are_let_go_with_a_gap(twin: Twin) -> None:
    bus = ScriptedBus(twin.row)
    client = Client(twin, OutboxLimits(frames=3))
    joined(bus.hub, KEEP, TICKER, client)
    client.socket.outbox.pause()
    bus.say(*(value(TICKER, seq) for seq in range(1, 7)))
    hole, *kept = client.shown()
    assert b'"type":"gap","data":{"from":1,"to":4,"reason":"slow"}' in hole
    assert kept == frames(value(TICKER, 5), value(TICKER, 6))


@on_both_twins
@pytest.mark.parametrize("options", [DEFAULTS, KEEP, FOUR], ids=str)
def test_no_closed_candle_is_ever_lost(twin: Twin, options: Options) -> None:
    bus = ScriptedBus(twin.row)
    client = Client(twin, OutboxLimits(frames=8))
    joined(bus.hub, options, KLINE, client)
    client.socket.outbox.pause()
    closed = [candle(10 * n, 60 * n, closed=True) for n in range(1, 5)]
    for n, last in enumerate(closed, 1):
        bus.say(*(candle(seq, 60 * n) for seq in range(10 * n - 6, 10 * n)), last)
    shown = client.shown()
    assert client.socket.overflows == 0
    assert [frame for frame in shown if frame in frames(*closed)] == frames(*closed)
    assert any(b'"type":"gap"' in frame for frame in shown) is (options is KEEP)
