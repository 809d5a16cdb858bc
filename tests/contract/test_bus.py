"""What every bus promises, run for each of them."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable

import pytest

from feedmux.model.event import Envelope, EventKind, Position, State, Status
from feedmux.model.topic import Topic
from support.buses import Collector, InprocWiring, ShmWiring, StreamWiring, Wiring, uncovered_holes
from support.envelopes import TICKER, TRADES, update
from support.waiting import until

BUSES: dict[str, Callable[[], Wiring]] = {"inproc": InprocWiring, "stream": StreamWiring, "shm": ShmWiring}


@pytest.fixture(params=BUSES)
async def wiring(request: pytest.FixtureRequest) -> AsyncIterator[Wiring]:
    wiring = BUSES[request.param]()
    yield wiring
    await wiring.close()


async def test_a_want_is_answered_on_the_topics_own_road(wiring: Wiring) -> None:
    wiring.source.values[TICKER] = b'{"lastPrice":"1"}'
    wiring.source.seqs[TICKER] = 41
    sink = Collector()
    (await wiring.reader("a", sink)).want(TICKER)
    await until(lambda: len(sink.events) == 2)
    status, snapshot = sink.events
    assert (status.kind, status.payload) == (EventKind.STATUS, b'{"state":"live"}')
    assert snapshot == Envelope(TICKER, 1, 41, EventKind.SNAPSHOT, 0, 0, "", b'{"lastPrice":"1"}')


async def test_a_refusal_arrives_as_a_status(wiring: Wiring) -> None:
    sink = Collector()
    (await wiring.reader("a", sink)).want(TICKER)
    await until(lambda: wiring.source.calls)
    wiring.source.status(TICKER, Status(State.REFUSED, "no such symbol"))
    await until(lambda: State.REFUSED in sink.states(TICKER))


async def test_the_source_is_told_who_wants_and_who_asked(wiring: Wiring) -> None:
    reader = await wiring.reader("a", Collector())
    reader.want(TICKER, 7)
    reader.want(TRADES)
    await until(lambda: len(wiring.source.calls) == 2)
    assert wiring.source.calls == [("want", TICKER, "a"), ("want", TRADES, "a")]
    assert wiring.source.askers == [7, 0]


async def test_every_field_of_an_envelope_arrives(wiring: Wiring) -> None:
    sink = Collector()
    (await wiring.reader("a", sink)).want(TICKER)
    await until(lambda: sink.events)
    sent = Envelope(TICKER, 1_700_000_000_000, 9, EventKind.UPDATE, 12, 13, "ключ", b'{"a":"\xc3\xa4"}')
    wiring.source.publisher.publish(sent)
    await until(lambda: sink.events[-1] == sent)


async def test_ten_thousand_messages_arrive_in_order(wiring: Wiring) -> None:
    sink = Collector()
    reader = await wiring.reader("a", sink)
    reader.want(TICKER)
    reader.want(TRADES)
    await until(lambda: len(sink.events) == 4)
    for _ in range(5_000):
        wiring.source.advance(TICKER)
        wiring.source.advance(TRADES)
    await until(lambda: len(sink.events) == 10_004)
    assert sink.updates(TICKER) == list(range(1, 5_001))
    assert sink.updates(TRADES) == list(range(1, 5_001))


async def test_only_holders_get_a_topic(wiring: Wiring) -> None:
    ticker_sink, trade_sink = Collector(), Collector()
    (await wiring.reader("a", ticker_sink)).want(TICKER)
    (await wiring.reader("b", trade_sink)).want(TRADES)
    await until(lambda: len(wiring.source.calls) == 2)
    for _ in range(3):
        wiring.source.advance(TICKER)
        wiring.source.advance(TRADES)
    await until(lambda: ticker_sink.updates(TICKER) == trade_sink.updates(TRADES) == [1, 2, 3])
    assert {event.topic for event in ticker_sink.events} == {TICKER}
    assert {event.topic for event in trade_sink.events} == {TRADES}


async def test_a_second_holder_gets_the_state_and_everything_after_it(wiring: Wiring) -> None:
    early, late = Collector(), Collector()
    (await wiring.reader("a", early)).want(TICKER)
    await until(lambda: wiring.source.calls)
    wiring.source.advance(TICKER, b"1")
    (await wiring.reader("b", late)).want(TICKER)
    await until(lambda: len(late.events) == 2)
    wiring.source.advance(TICKER, b"2")
    await until(lambda: late.updates(TICKER) == [2])
    await until(lambda: early.updates(TICKER) == [1, 2])
    assert late.of(TICKER, EventKind.SNAPSHOT)[0].position == Position(1, 1)
    assert not uncovered_holes(early.events)


async def test_what_was_dropped_stops_and_the_rest_goes_on(wiring: Wiring) -> None:
    sink = Collector()
    reader = await wiring.reader("a", sink)
    reader.want(TICKER)
    reader.want(TRADES)
    await until(lambda: len(sink.events) == 4)
    reader.drop(TICKER)
    await until(lambda: ("drop", TICKER, "a") in wiring.source.calls)
    wiring.source.advance(TICKER)
    wiring.source.advance(TRADES)
    await until(lambda: sink.updates(TRADES) == [1])
    assert sink.updates(TICKER) == []


async def test_a_drop_leaves_the_other_holder_alone(wiring: Wiring) -> None:
    sink = Collector()
    leaver = await wiring.reader("a", Collector())
    leaver.want(TICKER)
    (await wiring.reader("b", sink)).want(TICKER)
    await until(lambda: len(wiring.source.calls) == 2)
    leaver.drop(TICKER)
    await until(lambda: len(wiring.source.calls) == 3)
    wiring.source.advance(TICKER)
    await until(lambda: sink.updates(TICKER) == [1])


async def test_a_holder_that_closes_is_forgotten(wiring: Wiring) -> None:
    stayer, leaver = Collector(), Collector()
    (await wiring.reader("a", stayer)).want(TICKER)
    leaving = await wiring.reader("b", leaver)
    leaving.want(TICKER)
    leaving.want(TRADES)
    await until(lambda: len(leaver.events) >= 4)  # on some buses the answers of others are heard too
    leaving.close()
    leaving.close()
    await until(lambda: ("forget", None, "b") in wiring.source.calls)
    heard = len(leaver.events)
    wiring.source.advance(TICKER)
    await until(lambda: stayer.updates(TICKER) == [1])
    assert len(leaver.events) == heard
    assert wiring.source.calls.count(("forget", None, "b")) == 1
    assert wiring.source.demand.wants() == [(TICKER, "a")]


async def test_who_closed_wants_nothing_more(wiring: Wiring) -> None:
    sink = Collector()
    reader = await wiring.reader("a", sink)
    reader.close()
    reader.want(TICKER)
    reader.drop(TICKER)
    await until(lambda: ("forget", None, "a") in wiring.source.calls)
    assert sink.events == []
    assert wiring.source.calls == [("forget", None, "a")]


async def test_a_holder_that_comes_again_replaces_the_one_before_it(wiring: Wiring) -> None:
    former, successor = Collector(), Collector()
    (await wiring.reader("a", former)).want(TICKER)
    await until(lambda: len(former.events) == 2)
    again = await wiring.reader("a", successor)
    await until(lambda: ("forget", None, "a") in wiring.source.calls)
    again.want(TICKER)
    await until(lambda: len(successor.events) == 2)
    wiring.source.advance(TICKER)
    await until(lambda: successor.updates(TICKER) == [1])
    assert former.updates(TICKER) == []
    assert wiring.source.demand.wants() == [(TICKER, "a")]


async def test_a_repeated_want_is_answered_again(wiring: Wiring) -> None:
    sink = Collector()
    reader = await wiring.reader("a", sink)
    for answers in range(1, 4):
        reader.want(TICKER)
        await until(lambda expected=2 * answers: len(sink.events) == expected)  # type: ignore[misc]
    wiring.source.advance(TICKER)
    await until(lambda: sink.updates(TICKER))
    assert sink.updates(TICKER) == [1], "three wants are still one holder"


async def test_a_topic_can_be_wanted_again_after_a_drop(wiring: Wiring) -> None:
    sink = Collector()
    reader = await wiring.reader("a", sink)
    reader.want(TICKER)
    await until(lambda: len(sink.events) == 2)
    reader.drop(TICKER)
    reader.want(TICKER)
    await until(lambda: len(sink.events) == 4)
    wiring.source.advance(TICKER)
    await until(lambda: sink.updates(TICKER) == [1])


async def test_a_sink_may_want_and_drop_while_it_receives(wiring: Wiring) -> None:
    """Each snapshot makes the sink want the next topic and drop the one before."""
    topics = [Topic("public", "v", "m", "ticker", str(number)) for number in range(50)]

    class Walker(Collector):
        def receive(self, envelope: Envelope, /) -> None:
            super().receive(envelope)
            at = topics.index(envelope.topic)
            if envelope.kind is EventKind.SNAPSHOT and at + 1 < len(topics):
                reader.want(topics[at + 1])
                reader.drop(topics[at])

    sink = Walker()
    reader = await wiring.reader("a", sink)
    reader.want(topics[0])
    await until(lambda: sink.of(topics[-1], EventKind.SNAPSHOT))
    await until(lambda: wiring.source.demand.wants() == [(topics[-1], "a")])


async def test_a_source_may_publish_other_topics_while_it_answers(wiring: Wiring) -> None:
    class Chatty(Collector):
        def receive(self, envelope: Envelope, /) -> None:
            super().receive(envelope)
            if envelope.topic == TICKER and envelope.kind is EventKind.STATUS:
                wiring.source.advance(TRADES)

    sink = Chatty()
    reader = await wiring.reader("a", sink)
    reader.want(TRADES)
    reader.want(TICKER)
    await until(lambda: sink.updates(TRADES) == [1])
    await until(lambda: sink.of(TICKER, EventKind.SNAPSHOT))


async def test_a_large_payload_arrives_whole(wiring: Wiring) -> None:
    sink = Collector()
    (await wiring.reader("a", sink)).want(TICKER)
    await until(lambda: sink.events)
    payload = os.urandom(1024) * (7 * 1024)
    wiring.source.publisher.publish(update(TICKER, 1, payload))
    wiring.source.publisher.publish(update(TICKER, 2, b"after"))
    await until(lambda: sink.updates(TICKER) == [1, 2])
    assert sink.of(TICKER, EventKind.UPDATE)[0].payload == payload


async def test_gaps_and_statuses_travel_between_the_values(wiring: Wiring) -> None:
    sink = Collector()
    (await wiring.reader("a", sink)).want(TRADES)
    await until(lambda: len(sink.events) == 2)
    wiring.source.advance(TRADES)
    wiring.source.publisher.publish(
        Envelope(TRADES, 1, 1, EventKind.GAP, 0, 0, "", b'{"from":2,"to":2,"reason":"link"}')
    )
    wiring.source.status(TRADES, Status(State.STALE))
    wiring.source.publisher.publish(update(TRADES, 3))
    await until(lambda: len(sink.events) == 6)
    kinds = [event.kind for event in sink.events[2:]]
    assert kinds == [EventKind.UPDATE, EventKind.GAP, EventKind.STATUS, EventKind.UPDATE]
    assert not uncovered_holes(sink.events)


async def test_a_slow_reader_is_told_of_its_loss_and_wants_again() -> None:
    """Only for a bus with a queue; in one process publishing is a call and nothing can be lost."""
    wiring = StreamWiring(bound_bytes=64 * 1024)
    slow = Collector()
    (await wiring.reader("slow", slow)).want(TRADES)
    await until(lambda: len(slow.events) == 2)
    for _ in range(2_000):  # in one turn: the reader has no chance to read
        wiring.source.advance(TRADES, b"x" * 100)
    await until(lambda: slow.of(TRADES, EventKind.GAP))
    await until(lambda: wiring.source.calls.count(("want", TRADES, "slow")) == 2)
    wiring.source.advance(TRADES)
    await until(lambda: slow.updates(TRADES)[-1] == 2_001)

    (gap,) = slow.of(TRADES, EventKind.GAP)
    before = slow.updates(TRADES)[-2]
    assert 0 < before < 2_000
    assert gap.position == Position(1, before)
    assert gap.payload == f'{{"from":{before + 1},"to":null,"reason":"slow"}}'.encode()
    assert slow.of(TRADES, EventKind.SNAPSHOT)[-1].position == Position(1, 2_000)
    assert not uncovered_holes(slow.events)
    await wiring.close()
