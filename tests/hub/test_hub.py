from __future__ import annotations

import pytest

from feedmux.hub.hub import Hub
from feedmux.model.event import Envelope, State
from feedmux.model.options import DEFAULTS, Options
from feedmux.model.topic import Topic
from feedmux.wire.stream import StreamFormat
from support.hubs import FULL, KLINE, QUIET, TICKER, TRADE, Reader, ScriptedBus, gap, snapshot, status, value
from support.places import PLACES

LIVE = status(TICKER, State.LIVE)


@pytest.fixture
def bus() -> ScriptedBus:
    return ScriptedBus()


@pytest.fixture
def hub(bus: ScriptedBus) -> Hub:
    return bus.hub


def joined(hub: Hub, topic: Topic = TICKER, reader: Reader | None = None) -> Reader:
    reader = reader or Reader()
    hub.attach(topic, reader, asker=0)
    hub.join(topic, reader)
    return reader


def test_the_first_subscriber_makes_the_hub_want_and_the_last_one_drop(bus: ScriptedBus, hub: Hub) -> None:
    first, second = Reader(), Reader()
    hub.attach(TICKER, first, asker=1)
    hub.attach(TICKER, second, asker=2)
    assert bus.asked == [("want", TICKER)]
    hub.join(TICKER, first)
    hub.detach(TICKER, first)
    assert bus.asked == [("want", TICKER)]
    hub.detach(TICKER, second)
    assert bus.asked == [("want", TICKER), ("drop", TICKER)]
    assert hub.topics() == {}


def test_detaching_what_is_not_held_changes_nothing(bus: ScriptedBus, hub: Hub) -> None:
    hub.detach(TICKER, Reader())
    holder = joined(hub)
    hub.detach(TICKER, Reader())
    bus.say(value(TICKER, 1))
    assert holder.got(value(TICKER, 1))
    assert bus.asked == [("want", TICKER)]


def test_a_subscriber_gets_nothing_before_it_joins(bus: ScriptedBus, hub: Hub) -> None:
    reader = Reader()
    hub.attach(TICKER, reader, asker=0)
    bus.say(LIVE, value(TICKER, 1), gap(TICKER, 1), status(TICKER, State.STALE))
    assert reader.got()


@pytest.mark.parametrize(
    ("state", "told"),
    [
        (State.LIVE, False),
        (State.PENDING, False),
        (State.STALE, True),
        (State.RECONNECTING, True),
    ],
)
def test_who_joins_gets_the_status_if_the_topic_is_not_live_and_then_the_snapshot(
    bus: ScriptedBus, hub: Hub, state: State, told: bool
) -> None:
    joined(hub)
    bus.say(LIVE, value(TICKER, 1), value(TICKER, 2), status(TICKER, state, "why"))
    late = joined(hub)
    expected = [status(TICKER, state, "why")] if told else []
    assert late.got(*expected, snapshot(TICKER, 2))
    assert set(late.keys) == {""}, "neither is ever replaced by what comes later"
    bus.say(value(TICKER, 3))
    assert late.got(value(TICKER, 3))


def test_who_joins_before_anything_is_known_starts_with_the_first_event(bus: ScriptedBus, hub: Hub) -> None:
    reader = joined(hub)
    assert reader.got()
    bus.say(LIVE, snapshot(TICKER, 1))
    assert reader.got(LIVE, snapshot(TICKER, 1))


def test_trades_start_with_the_next_trade(bus: ScriptedBus, hub: Hub) -> None:
    joined(hub, TRADE)
    bus.say(status(TRADE, State.LIVE), value(TRADE, 1))
    late = joined(hub, TRADE)
    assert late.got()
    bus.say(value(TRADE, 2))
    assert late.got(value(TRADE, 2))


def test_attaching_to_what_is_confirmed_needs_no_waiting(bus: ScriptedBus, hub: Hub) -> None:
    assert hub.attach(TICKER, Reader(), asker=0) is False
    bus.say(status(TICKER, State.PENDING))
    assert hub.attach(TICKER, Reader(), asker=0) is False
    bus.say(LIVE)
    assert hub.attach(TICKER, Reader(), asker=0) is True
    bus.say(status(TICKER, State.STALE))
    assert hub.attach(TICKER, Reader(), asker=0) is True
    bus.say(status(TICKER, State.RECONNECTING))
    assert hub.attach(TICKER, Reader(), asker=0) is False


def test_the_fate_of_a_topic_is_told_to_who_waits_for_it(bus: ScriptedBus, hub: Hub) -> None:
    waiting, reading, gone = Reader(), Reader(), Reader()
    for reader in (waiting, reading, gone):
        hub.attach(TICKER, reader, asker=0)
    hub.join(TICKER, reading)
    hub.detach(TICKER, gone)
    bus.say(status(TICKER, State.PENDING))
    assert waiting.fates == []
    bus.say(LIVE)
    assert waiting.fates == [(TICKER, None)]
    assert reading.fates == gone.fates == []


def test_a_pending_topic_is_not_told_to_clients_but_live_after_it_is(bus: ScriptedBus, hub: Hub) -> None:
    reader = joined(hub)
    bus.say(status(TICKER, State.PENDING))
    assert reader.got()
    bus.say(LIVE)
    assert reader.got(LIVE)


def test_a_status_is_told_when_it_changes(bus: ScriptedBus, hub: Hub) -> None:
    reader = joined(hub)
    stale = status(TICKER, State.STALE, "no ticker for 30 s")
    bus.say(LIVE, LIVE, stale, stale, LIVE)
    assert reader.got(LIVE, stale, LIVE)


@pytest.mark.parametrize(
    "old", [value(TICKER, 2), snapshot(TICKER, 2), value(TICKER, 1), snapshot(TICKER, 1)]
)
def test_what_is_known_already_is_ignored(bus: ScriptedBus, hub: Hub, old: Envelope) -> None:
    reader = joined(hub)
    bus.say(value(TICKER, 1), value(TICKER, 2))
    reader.take()
    bus.say(old)
    assert reader.got()
    assert hub.statistics()["ignored_old"] == 1


def test_what_a_former_writer_still_says_is_ignored(bus: ScriptedBus, hub: Hub) -> None:
    reader = joined(hub)
    bus.say(status(TICKER, State.LIVE, epoch=6), value(TICKER, 1, epoch=6))
    reader.take()
    bus.say(value(TICKER, 99, epoch=5), gap(TICKER, 99, epoch=5), status(TICKER, State.STALE, epoch=5))
    assert reader.got()
    assert hub.topics() == {TICKER: State.LIVE}


def test_a_new_epoch_makes_the_last_value_void(bus: ScriptedBus, hub: Hub) -> None:
    joined(hub)
    bus.say(LIVE, value(TICKER, 7), status(TICKER, State.LIVE, epoch=2))
    late = joined(hub)
    assert late.got()
    bus.say(value(TICKER, 1, epoch=2))
    assert late.got(value(TICKER, 1, epoch=2))
    assert joined(hub).got(snapshot(TICKER, 1, epoch=2))


def test_a_status_of_a_new_epoch_is_told_although_the_state_is_the_same(bus: ScriptedBus, hub: Hub) -> None:
    reader = joined(hub, TRADE)
    before, after = status(TRADE, State.LIVE, epoch=5), status(TRADE, State.LIVE, epoch=6)
    bus.say(before, value(TRADE, 9, epoch=5), after, after, value(TRADE, 1, epoch=6))
    assert reader.got(before, value(TRADE, 9, epoch=5), after, value(TRADE, 1, epoch=6))


def test_a_gap_reaches_every_reader_and_moves_nothing(bus: ScriptedBus, hub: Hub) -> None:
    reader = joined(hub)
    bus.say(value(TICKER, 1), gap(TICKER, 1), value(TICKER, 5))
    assert reader.got(value(TICKER, 1), gap(TICKER, 1), value(TICKER, 5))


def test_what_is_known_goes_with_the_last_subscriber(bus: ScriptedBus, hub: Hub) -> None:
    first = joined(hub)
    bus.say(LIVE, value(TICKER, 1))
    hub.detach(TICKER, first)
    bus.say(value(TICKER, 2))
    assert joined(hub).got()
    assert hub.topics() == {TICKER: None}


def test_a_refusal_settles_who_waits_and_ends_the_topic_for_who_reads(bus: ScriptedBus, hub: Hub) -> None:
    waiting = Reader()
    reading = joined(hub)
    hub.attach(TICKER, waiting, asker=0)
    refused = status(TICKER, State.REFUSED, "no such symbol", epoch=0)
    bus.say(status(TICKER, State.RECONNECTING), refused)
    assert waiting.fates == [(TICKER, "no such symbol")]
    assert waiting.ended == []
    assert waiting.got()
    assert reading.got(status(TICKER, State.RECONNECTING), refused)
    assert (reading.fates, reading.ended) == ([], [TICKER])
    assert bus.asked == [("want", TICKER), ("drop", TICKER)]
    assert hub.topics() == {}


def test_a_refused_topic_can_be_wanted_again(bus: ScriptedBus, hub: Hub) -> None:
    joined(hub)
    bus.say(status(TICKER, State.REFUSED, "not yet", epoch=0))
    reader = joined(hub)
    bus.say(LIVE)
    assert reader.got(LIVE)
    assert bus.demand == {TICKER}


def test_a_reader_of_each_format_gets_its_own(bus: ScriptedBus, hub: Hub) -> None:
    loud, quiet = joined(hub), joined(hub, reader=Reader(QUIET))
    stale = status(TICKER, State.STALE)
    bus.say(LIVE, value(TICKER, 1), stale)
    assert loud.got(LIVE, value(TICKER, 1), stale)
    assert quiet.got(value(TICKER, 1))
    assert joined(hub, reader=Reader(QUIET)).got(snapshot(TICKER, 1))


def test_nothing_is_kept_for_a_topic_that_nobody_holds(bus: ScriptedBus, hub: Hub) -> None:
    layout = StreamFormat(PLACES)
    readers = [joined(hub, topic, Reader(layout)) for topic in (TICKER, TICKER, KLINE)]
    bus.say(value(TICKER, 1), value(KLINE, 1))
    assert layout.statistics() == {"prefixes": 2, "field_sets": 0}
    hub.detach(TICKER, readers[0])
    assert layout.statistics() == {"prefixes": 2, "field_sets": 0}
    hub.detach(TICKER, readers[1])
    assert layout.statistics() == {"prefixes": 1, "field_sets": 0}


def test_topics_are_strangers_to_each_other(bus: ScriptedBus, hub: Hub) -> None:
    ticker, kline = joined(hub), joined(hub, KLINE)
    bus.say(value(TICKER, 1), value(KLINE, 1), value(TRADE, 1))
    assert ticker.got(value(TICKER, 1))
    assert kline.got(value(KLINE, 1))
    assert hub.statistics() == {"topics": 2, "received": 2, "ignored_old": 0, "subscriptions": 2}


# Options


def test_who_wants_no_snapshot_gets_the_status_and_then_the_next_value(bus: ScriptedBus, hub: Hub) -> None:
    joined(hub)
    stale = status(TICKER, State.STALE, "why")
    bus.say(LIVE, value(TICKER, 1), stale)
    late = Reader()
    hub.attach(TICKER, late, asker=0)
    hub.join(TICKER, late, snapshot=False)
    assert late.got(stale)
    bus.say(value(TICKER, 2))
    assert late.got(value(TICKER, 2))


def test_a_change_gives_no_snapshot_unless_it_is_asked_for(bus: ScriptedBus, hub: Hub) -> None:
    reader = joined(hub)
    bus.say(LIVE, value(TICKER, 1))
    reader.take()
    hub.change(TICKER, reader, Options(conflate=False))
    assert reader.got()
    hub.change(TICKER, reader, Options(fields=frozenset({"x"})), snapshot=True)
    assert reader.take() == [FULL.only(frozenset({"x"})).frame(snapshot(TICKER, 1))]
    hub.change(TICKER, reader, DEFAULTS, snapshot=True)
    assert reader.got(snapshot(TICKER, 1))


def test_a_refresh_of_what_is_not_known_gives_nothing(bus: ScriptedBus, hub: Hub) -> None:
    reader, trades = joined(hub), joined(hub, TRADE)
    bus.say(value(TRADE, 1))
    trades.take()
    hub.change(TICKER, reader, DEFAULTS, snapshot=True)
    hub.change(TRADE, trades, DEFAULTS, snapshot=True)
    assert reader.got()
    assert trades.got()


def test_a_set_of_fields_is_served_while_there_is_room(hub: Hub) -> None:
    for number in range(16):
        reader = Reader()
        hub.attach(TICKER, reader, asker=0)
        hub.join(TICKER, reader, Options(fields=frozenset({f"f{number}"})))
    assert hub.serves(TICKER, Reader(), Options(fields=frozenset({"f7"})))
    assert not hub.serves(TICKER, Reader(), Options(fields=frozenset({"more"})))
    assert hub.serves(KLINE, Reader(), Options(fields=frozenset({"more"}))), "nobody holds it"


# A bus in the same process answers a want before it returns, and subscribers act while they are told.


def test_an_answer_may_come_before_the_attaching_returns(bus: ScriptedBus, hub: Hub) -> None:
    bus.answers[TICKER] = [LIVE, snapshot(TICKER, 7)]
    reader = Reader(then=lambda topic, _: hub.join(topic, reader))
    assert hub.attach(TICKER, reader, asker=0) is False
    assert reader.fates == [(TICKER, None)]
    assert reader.got(snapshot(TICKER, 7))


def test_a_refusal_may_come_before_the_attaching_returns(bus: ScriptedBus, hub: Hub) -> None:
    bus.answers[TICKER] = [status(TICKER, State.REFUSED, "no", epoch=0)]
    reader = Reader()
    assert hub.attach(TICKER, reader, asker=0) is False
    assert reader.fates == [(TICKER, "no")]
    assert bus.demand == set()
    assert hub.topics() == {}


def test_who_is_told_may_leave_at_once(bus: ScriptedBus, hub: Hub) -> None:
    bus.answers[TICKER] = [LIVE, snapshot(TICKER, 7)]
    reader = Reader(then=lambda topic, _: hub.detach(topic, reader))
    assert hub.attach(TICKER, reader, asker=0) is False
    assert reader.got()
    assert bus.demand == set()


def test_who_is_refused_may_ask_again_at_once(bus: ScriptedBus, hub: Hub) -> None:
    def ask_again(topic: Topic, refused: str | None) -> None:
        if refused is not None:
            hub.attach(topic, reader, asker=0)

    reader = Reader(then=ask_again)
    hub.attach(TICKER, reader, asker=0)
    bus.say(status(TICKER, State.REFUSED, "not yet", epoch=0), LIVE)
    assert reader.fates == [(TICKER, "not yet"), (TICKER, None)]
    assert bus.demand == {TICKER}


def test_who_has_left_while_others_were_told_is_not_told(bus: ScriptedBus, hub: Hub) -> None:
    second = Reader()
    first = Reader(then=lambda topic, _: hub.detach(topic, second))
    hub.attach(TICKER, first, asker=0)
    hub.attach(TICKER, second, asker=0)
    bus.say(LIVE)
    assert first.fates == [(TICKER, None)]
    assert second.fates == []


def test_the_oldest_value_that_was_offered_is_noted_until_a_flush_takes_it(
    bus: ScriptedBus, hub: Hub
) -> None:
    joined(hub)
    first, second, third = (value(TICKER, seq) for seq in (1, 2, 3))
    bus.say(first, second)
    assert bus.latency.oldest is first
    bus.latency.flushed(0)
    bus.say(third)
    assert bus.latency.oldest is third


def test_what_is_no_news_or_reaches_nobody_is_not_noted(bus: ScriptedBus, hub: Hub) -> None:
    hub.attach(TICKER, Reader(), asker=0)
    bus.say(LIVE, value(TICKER, 1))
    assert bus.latency.oldest is None, "nobody has joined"
    joined(hub)
    bus.say(value(TICKER, 1), snapshot(TICKER, 2), status(TICKER, State.STALE), gap(TICKER, 2))
    assert bus.latency.oldest is None, "known already, a late reader's, or no value"
    bus.say(value(TICKER, 3))
    assert bus.latency.oldest is not None
