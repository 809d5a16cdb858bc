"""The bus over a real Redis: the contract of every bus, and what is special to this one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from contract import test_bus
from feedmux.bus.inproc import InprocBus
from feedmux.bus.redis_bus import RedisReader
from feedmux.model.event import Envelope, EventKind, State
from feedmux.model.topic import Topic
from feedmux.wire.cluster import Said, Word, read
from feedmux.wire.envelope import encode
from feedmux.wire.record import Lost, Want
from feedmux.wire.record import encode as encode_record
from support.buses import Collector, Wiring, uncovered_holes
from support.envelopes import TICKER, TRADES, update
from support.redis import RedisServer
from support.redis_wiring import RedisWiring
from support.resp import Resp
from support.waiting import until

globals().update({name: test for name, test in vars(test_bus).items() if name.startswith("test_")})
"""Every test of the contract, with the fixture below."""


@pytest_asyncio.fixture
async def wiring(redis: RedisServer) -> AsyncIterator[Wiring]:
    wiring = RedisWiring(redis, beat_s=1000.0)  # nothing hangs on beats
    yield wiring
    await wiring.close()


@pytest_asyncio.fixture
async def quick(redis: RedisServer) -> AsyncIterator[RedisWiring]:
    """A bus on which silence is noticed soon."""
    quick = RedisWiring(redis, beat_s=0.1)
    yield quick
    await quick.close()


async def test_redis_is_started_again_and_everybody_goes_on(redis: RedisServer, quick: RedisWiring) -> None:
    sink = Collector()
    await wanting(quick, sink, TRADES)
    quick.source.advance(TRADES)
    await until(lambda: sink.updates(TRADES) == [1])
    redis.kill()
    await until(lambda: sink.states(TRADES)[-1] is State.RECONNECTING)
    for _ in range(3):
        quick.source.advance(TRADES)
    quick.ahead_s = 100.0
    await redis.restart()
    await until(lambda: sink.states(TRADES)[-1] is State.LIVE)
    quick.source.advance(TRADES)
    await until(lambda: sink.updates(TRADES)[-1] == 5)
    gap = sink.of(TRADES, EventKind.GAP)[0]
    assert gap.payload == b'{"from":2,"to":null,"reason":"link"}'
    assert not uncovered_holes(sink.events)
    assert quick.source.demand.wants() == [(TRADES, "a")]
    assert ("forget", None, "a") not in quick.source.calls, "who could not speak is not silent"


async def test_what_was_dropped_while_redis_was_away_is_dropped(
    redis: RedisServer, quick: RedisWiring
) -> None:
    sink = Collector()
    reader = await wanting(quick, sink, TRADES, TICKER)
    redis.kill()
    await until(lambda: sink.states(TRADES)[-1] is State.RECONNECTING)
    reader.drop(TRADES)
    await redis.restart()
    await until(lambda: sink.states(TICKER)[-1] is State.LIVE)
    await until(lambda: quick.source.demand.wants() == [(TICKER, "a")])


@pytest.mark.parametrize("round_", range(3))
async def test_connections_that_are_cut_leave_no_hole_untold(
    redis: RedisServer, quick: RedisWiring, round_: int
) -> None:
    """Both ends are cut in the middle of a stream, at one time or another."""
    sink = Collector()
    await wanting(quick, sink, TRADES)
    for number in range(2000):
        quick.source.advance(TRADES, b"x" * 200)
        if number == 400 * (round_ + 1):
            await asyncio.to_thread(redis.kill_clients, "pubsub")

    def caught_up() -> bool:
        quick.source.advance(TRADES)
        return sink.updates(TRADES)[-1:] > [2000]

    await until(caught_up)
    assert not uncovered_holes(sink.events)
    assert sink.of(TRADES, EventKind.GAP)
    assert sink.updates(TRADES) == sorted(set(sink.updates(TRADES)))


async def test_a_reader_that_died_is_forgotten_when_it_was_silent(quick: RedisWiring) -> None:
    sink = Collector()
    await wanting(quick, sink, TRADES)
    quick.tasks.pop().cancel()
    quick.readers.pop()
    await until(lambda: ("forget", None, "a") in quick.source.calls)
    assert quick.source.demand.wants() == []


async def test_a_writer_that_died_is_noticed_and_another_one_takes_over(
    redis: RedisServer, quick: RedisWiring
) -> None:
    sink = Collector()
    await wanting(quick, sink, TRADES)
    quick.source.advance(TRADES)
    await until(lambda: sink.updates(TRADES) == [1])
    quick.tasks[0].cancel()
    await until(lambda: sink.states(TRADES)[-1] is State.RECONNECTING)
    again = RedisWiring(redis, beat_s=0.1, life=2)
    again.source.epoch = 2
    await until(lambda: sink.states(TRADES)[-1] is State.LIVE)
    again.source.advance(TRADES)
    await until(lambda: sink.events[-1].position == (2, 1))
    states = sink.states(TRADES)
    late = msgspec.structs.replace(sink.events[-1], epoch=1, seq=9)
    redis.ask("PUBLISH", quick.bus.channel(TRADES), encode(late))
    redis.ask("PUBLISH", quick.bus.words, Said(Word.BYE, "", 1).encode())
    again.source.advance(TRADES)
    await until(lambda: sink.events[-1].position == (2, 2))
    assert late not in sink.events, "a writer that is none any more"
    assert sink.states(TRADES) == states
    quick.tasks.pop(0)
    await again.close()


async def test_what_the_writer_cannot_send_is_a_gap_and_is_wanted_again(redis: RedisServer) -> None:
    small = RedisWiring(redis, bound_bytes=64 * 1024)
    sink = Collector()
    await wanting(small, sink, TRADES)
    for _ in range(2000):
        small.source.advance(TRADES, b"x" * 100)
    await until(lambda: sink.of(TRADES, EventKind.GAP))
    await until(lambda: small.source.calls.count(("want", TRADES, "a")) == 2)
    small.source.advance(TRADES)
    await until(lambda: sink.updates(TRADES)[-1] == 2001)
    before = sink.updates(TRADES)[-2]
    (gap,) = sink.of(TRADES, EventKind.GAP)
    assert gap.payload == f'{{"from":{before + 1},"to":null,"reason":"link"}}'.encode()
    assert not uncovered_holes(sink.events)
    await small.close()


async def test_garbage_on_its_channels_disturbs_nobody(
    redis: RedisServer, quick: RedisWiring, caplog: pytest.LogCaptureFixture
) -> None:
    sink = Collector()
    await wanting(quick, sink, TRADES)
    channels = (quick.bus.asks, quick.bus.words, quick.bus.channel(TRADES))
    status = msgspec.structs.replace(update(TRADES, 0, b"garbage", epoch=9), kind=EventKind.STATUS)
    bodies = [
        *(b"", b"garbage", b"fm" + bytes(60), bytes(2 << 20), encode_record(Lost(1)) + b"garbage"),
        *(Said(word, "a", 2**63, b"garbage").encode() for word in Word if word is not Word.REPLACED),
        *(encode(update(TICKER, 1, epoch=9)), encode(update(TRADES, 1, epoch=2**63)), encode(status)),
        *(encode(update(TRADES, 1, epoch=9)) + after for after in (b"f", encode(update(TICKER, 1)))),
    ]
    for channel in channels:
        for body in bodies:
            redis.ask("PUBLISH", channel, body)
    quick.source.advance(TRADES)
    await until(lambda: sink.updates(TRADES) == [1])
    assert sink.states(TRADES) == [State.LIVE]
    assert not sink.of(TRADES, EventKind.GAP)
    for channel in channels:
        lines = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
        assert len([line for line in lines if f" channel={channel.decode()} " in line]) == 1, lines
    assert quick.source.calls == [("want", TRADES, "a")]


async def test_values_of_one_turn_share_messages_and_arrive_all(quick: RedisWiring) -> None:
    sink = Collector()
    await wanting(quick, sink, TRADES, TICKER)
    before = received(quick)
    for _ in range(500):
        quick.source.advance(TRADES, b"x" * 100)
        quick.source.advance(TICKER)
    await until(lambda: len(sink.updates(TRADES)) == len(sink.updates(TICKER)) == 500)
    assert sink.updates(TRADES) == sink.updates(TICKER) == list(range(1, 501))
    assert received(quick) - before < 10


async def test_what_was_wanted_while_the_writer_was_away_is_wanted(
    redis: RedisServer, quick: RedisWiring
) -> None:
    sink = Collector()
    reader = await wanting(quick, sink, TRADES)
    clients = redis.ask("CLIENT", "LIST")
    assert isinstance(clients, bytes)
    (number,) = (line.split()[0][3:] for line in clients.splitlines() if b" name=writer " in line)
    redis.ask("CLIENT", "KILL", "ID", number)
    reader.want(TICKER)
    reader.drop(TRADES)
    await until(lambda: quick.source.demand.wants() == [(TICKER, "a")])
    await until(lambda: sink.of(TICKER, EventKind.SNAPSHOT))
    await until(lambda: redis.subscribers(quick.bus.channel(TRADES).decode()) == [0])


async def test_who_ends_says_so(redis: RedisServer) -> None:
    calm = RedisWiring(redis, beat_s=1000.0)
    sink = Collector()
    await wanting(calm, sink, TRADES)
    calm.writer.close()
    await until(lambda: sink.states(TRADES)[-1] is State.RECONNECTING)
    await calm.close()


async def test_a_reader_that_was_replaced_is_not_listened_to(redis: RedisServer, quick: RedisWiring) -> None:
    sink = Collector()
    await wanting(quick, sink, TRADES)
    with redis.client() as other:
        other.ask("SUBSCRIBE", quick.bus.words)
        for word in (Word.ALL, Word.BYE):
            redis.ask("PUBLISH", quick.bus.asks, Said(word, "a", 1).encode())
            while not await asyncio.to_thread(replaced, other, "a"):
                pass
    assert quick.source.calls == [("want", TRADES, "a")]
    await quick.reader("a", Collector())
    await until(lambda: not quick.readers[0].statistics()["connected"])


async def test_answers_to_others_are_not_handed_on_before_our_own(quick: RedisWiring) -> None:
    sink = Collector()
    reader = await quick.reader("a", sink)
    reader.want(TRADES)
    reader.message(quick.bus.channel(TRADES), encode(update(TRADES, 9)))
    await until(lambda: sink.of(TRADES, EventKind.SNAPSHOT))
    assert sink.updates(TRADES) == []


async def test_after_a_cut_values_wait_for_the_status(redis: RedisServer, quick: RedisWiring) -> None:
    sink = Collector()
    reader = await wanting(quick, sink, TRADES)
    quick.source.advance(TRADES)
    await until(lambda: sink.updates(TRADES) == [1])
    quick.source.publisher = Deaf()  # the writer is there, and takes its time
    redis.kill_clients("pubsub")
    await until(lambda: sink.of(TRADES, EventKind.GAP))
    channel = quick.bus.channel(TRADES)
    reader.message(channel, encode(update(TRADES, 2)))
    live = msgspec.structs.replace(update(TRADES, 2, b'{"state":"live"}'), kind=EventKind.STATUS)
    reader.message(channel, encode(live))
    reader.message(channel, encode(update(TRADES, 3)))
    assert sink.updates(TRADES) == [1, 3]


async def test_what_a_former_writer_says_of_a_new_topic_is_not_believed(redis: RedisServer) -> None:
    second = RedisWiring(redis, life=2)
    second.source.epoch = 2
    sink = Collector()
    reader = await second.reader("a", sink)
    reader.want(TRADES)
    for kind, payload in ((EventKind.STATUS, b'{"state":"live"}'), (EventKind.SNAPSHOT, b"{}")):
        late = msgspec.structs.replace(update(TRADES, 9, payload, epoch=1), kind=kind)
        reader.message(second.bus.channel(TRADES), encode(late))
    await until(lambda: sink.of(TRADES, EventKind.SNAPSHOT))
    assert {envelope.epoch for envelope in sink.events} == {2}
    await second.close()


async def test_a_writer_of_our_own_that_ended_is_not_looked_for(quick: RedisWiring) -> None:
    sink = Collector()
    reader = await wanting(quick, sink, TRADES)
    reader.attach(InprocBus(), 5)
    reader.detach("another node took over")
    states = sink.states(TRADES)
    for word in (Word.HERE, Word.AGAIN):
        reader.message(quick.bus.words, Said(word, "", 5).encode())
    assert not reader.statistics()["connected"]
    reader.message(quick.bus.words, Said(Word.HERE, "", 6).encode())
    assert reader.statistics()["connected"]
    assert sink.states(TRADES) == states


async def test_asks_that_did_not_arrive_are_repeated_whole(quick: RedisWiring) -> None:
    reader = await wanting(quick, Collector(), TRADES, TICKER)
    body = reader.mark(quick.bus.asks, 3)
    assert body is not None
    mark = read(body)
    assert (mark.word, mark.read_records()) == (Word.ALL, [Want(TRADES), Want(TICKER)])


class Deaf:
    """A publisher of what nobody hears."""

    def publish(self, envelope: Envelope, /) -> None:
        """Nothing."""


async def test_what_is_dropped_while_there_is_no_writer_does_not_keep_later_wants_back(
    quick: RedisWiring,
) -> None:
    """The connection was lost with asks on their way: they are said again before it is known who writes."""
    sink = Collector()
    reader = await wanting(quick, sink, TRADES)
    reader.message(quick.bus.words, Said(Word.BYE, "", 1).encode())
    assert sink.states(TRADES)[-1] is State.RECONNECTING
    assert reader.mark(quick.bus.asks, 1)
    reader.drop(TRADES)
    await until(lambda: reader.statistics()["connected"])
    reader.want(TICKER)
    await until(lambda: sink.of(TICKER, EventKind.SNAPSHOT))
    await until(lambda: quick.source.demand.wants() == [(TICKER, "a")])


async def test_who_may_not_write_says_nothing(redis: RedisServer, quick: RedisWiring) -> None:
    """Its lease is over, and it has not noticed yet."""
    sink = Collector()
    await wanting(quick, sink, TRADES)
    quick.may_write = False
    quick.source.advance(TRADES)
    redis.ask("PUBLISH", quick.bus.asks, Said(Word.LOOK, "b", 1).encode())
    redis.ask("PUBLISH", quick.bus.asks, Said(Word.BYE, "a", 1).encode())
    await until(lambda: sink.states(TRADES)[-1] is State.RECONNECTING, "it is silent")
    assert sink.updates(TRADES) == []


async def test_a_writer_that_is_abandoned_says_nothing_more(quick: RedisWiring) -> None:
    """Not what it has published just now, nor that it ends; what it published before has left."""
    sink = Collector()
    await wanting(quick, sink, TRADES)
    quick.source.advance(TRADES)
    await until(lambda: sink.updates(TRADES) == [1])
    quick.source.advance(TRADES)
    quick.writer.abandon()
    quick.source.advance(TRADES)
    await until(lambda: sink.states(TRADES)[-1] is State.RECONNECTING)
    assert sink.events[-1].payload == b'{"state":"reconnecting","reason":"the writer is silent"}'
    assert sink.updates(TRADES) == [1]
    assert quick.source.demand.wants() == []


def replaced(client: Resp, name: str) -> bool:
    """Whether the next word of the writer is that a reader's former life is over."""
    push = client.read()
    assert isinstance(push, list)
    assert isinstance(push[2], bytes)
    said = read(push[2])
    return (said.word, said.name) == (Word.REPLACED, name)


def received(wiring: RedisWiring) -> int:
    """How many messages came to the first reader."""
    link: Any = wiring.readers[0].statistics()["link"]
    count: int = link["received"]
    return count


async def wanting(wiring: RedisWiring, sink: Collector, *topics: Topic) -> RedisReader:
    """A reader of the name ``a`` that wants topics, and was answered."""
    reader = await wiring.reader("a", sink)
    for topic in topics:
        reader.want(topic)
    await until(lambda: all(sink.of(topic, EventKind.SNAPSHOT) for topic in topics))
    return reader
