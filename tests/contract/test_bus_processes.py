"""What a bus between processes promises when one of them dies, stops or comes back."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from signal import SIGCONT, SIGKILL, SIGSTOP
from typing import cast

import msgspec
import pytest

from feedmux.model.event import Envelope, EventKind, State
from feedmux.model.topic import Topic
from support.bus_ends import RING_CAPACITY, borrow, lend, make_reader, make_writer
from support.buses import Collector, ScriptedSource, closed, uncovered_holes
from support.children import Child, Children
from support.envelopes import TICKER, TRADES
from support.waiting import until

pytestmark = pytest.mark.e2e

BUSES = ("stream", "shm")
BODY = b'"' + b"x" * 200 + b'"'


@pytest.fixture
async def children() -> AsyncIterator[Children]:
    children = Children()
    yield children
    await children.close()


class WriterHere:
    """A writer in this process, readers in others."""

    def __init__(self, children: Children, kind: str) -> None:
        self.children, self.kind = children, kind
        self.writer = make_writer(kind)
        self.source = ScriptedSource(self.writer)
        self.writer.serve(self.source)
        self.sockets: list[socket.socket] = []
        self.dropped = 0

    async def reader(self, holder: str, *topics: Topic) -> Child:
        child, sock = await self.children.start("bus_reader.py", self.kind, *(topic.text for topic in topics))
        self.sockets.append(sock)
        await lend(self.writer, sock, holder)
        wants = [("want", topic, holder) for topic in topics]
        await until(lambda: set(wants) <= set(self.source.calls), f"{holder} wants")
        return child

    def missed(self, holder: str, seq: int, size: int = len(BODY)) -> bool:
        """Whether a reader that stopped at ``seq`` of the trades has missed something by now."""
        if self.kind == "shm":
            return (self.source.seqs.get(TRADES, 0) - seq) * size > 2 * RING_CAPACITY
        readers = cast(dict[str, dict[str, int]], self.writer.statistics()["readers"])
        return readers[holder]["dropped"] > self.dropped + 100

    async def publish_until_missed(self, holder: str, topic: Topic = TRADES) -> None:
        """Publish until a reader that was stopped has missed something."""
        stopped_at = self.source.seqs.get(topic, 0)
        if self.kind == "stream":
            readers = cast(dict[str, dict[str, int]], self.writer.statistics()["readers"])
            self.dropped = readers[holder]["dropped"]

        def missed() -> bool:
            for _ in range(20):
                self.source.advance(topic, BODY)
            return self.missed(holder, stopped_at)

        await until(missed, f"{holder} misses something")


@pytest.fixture(params=BUSES)
async def here(children: Children, request: pytest.FixtureRequest) -> AsyncIterator[WriterHere]:
    here = WriterHere(children, request.param)
    yield here
    here.writer.close()
    await closed(here.sockets)


def read(line: bytes) -> Envelope:
    text, epoch, seq, kind, payload = msgspec.json.decode(line, type=tuple[str, int, int, int, str])
    return Envelope(Topic.parse(text), epoch, seq, EventKind(kind), 0, 0, "", payload.encode())


def events(child: Child, topic: Topic) -> list[Envelope]:
    """What a reader process printed about ``topic``."""
    return [event for event in map(read, child.lines) if event.topic == topic]


def last_seq(child: Child, topic: Topic) -> int:
    """Where a reader process is in ``topic``; -1 when it heard nothing of it."""
    return next((e.seq for e in map(read, reversed(child.lines)) if e.topic == topic), -1)


async def test_a_reader_that_is_killed_is_forgotten(here: WriterHere) -> None:
    killed = await here.reader("killed", TICKER, TRADES)
    other = await here.reader("other", TICKER)
    killed.send(SIGKILL)
    await until(lambda: ("forget", None, "killed") in here.source.calls)
    assert here.source.demand.wants() == [(TICKER, "other")]
    here.source.advance(TICKER)
    await until(lambda: last_seq(other, TICKER) == 1)


async def test_a_reader_that_is_killed_with_a_full_buffer_is_forgotten(here: WriterHere) -> None:
    child = await here.reader("stopped", TRADES)
    child.send(SIGSTOP)
    await here.publish_until_missed("stopped")
    child.send(SIGKILL)
    await until(lambda: ("forget", None, "stopped") in here.source.calls)


async def test_the_loss_of_a_stopped_reader_is_told(here: WriterHere) -> None:
    child = await here.reader("stopped", TRADES, TICKER)
    here.source.advance(TRADES, BODY)
    await until(lambda: last_seq(child, TRADES) == 1)
    for _ in range(2):  # a loss may come again
        child.send(SIGSTOP)
        await here.publish_until_missed("stopped")
        child.send(SIGCONT)
        dropped_at = here.source.seqs[TRADES]
        await until(lambda seq=dropped_at: last_seq(child, TRADES) >= seq, "wants again")  # type: ignore[misc]
        here.source.advance(TRADES, BODY)
        await until(lambda: last_seq(child, TRADES) == here.source.seqs[TRADES])
    seen = events(child, TRADES)
    seqs = [e.seq for e in seen if e.kind is EventKind.UPDATE]
    assert len(seqs) < here.source.seqs[TRADES], "something was lost, or this proves nothing"
    assert seqs == sorted(set(seqs))
    assert len([e for e in seen if e.kind is EventKind.GAP]) >= 2
    assert not uncovered_holes(seen)
    assert [e for e in events(child, TICKER) if e.kind is EventKind.GAP], "every topic is told"


async def test_a_stopped_reader_costs_the_others_nothing(here: WriterHere) -> None:
    stopped = await here.reader("stopped", TRADES)
    awake = await here.reader("awake", TRADES)
    stopped.send(SIGSTOP)

    def paced() -> bool:
        """As fast as the one that is awake reads, until the other one's buffer is full."""
        if here.source.seqs.get(TRADES, 0) - last_seq(awake, TRADES) < 50:
            here.source.advance(TRADES, BODY * 10)
        return here.missed("stopped", 0, 10 * len(BODY))

    await until(paced, deadline=30)
    await until(lambda: last_seq(awake, TRADES) == here.source.seqs[TRADES])
    seqs = [e.seq for e in events(awake, TRADES) if e.kind is EventKind.UPDATE]
    assert seqs == list(range(1, here.source.seqs[TRADES] + 1))


@pytest.mark.parametrize("kind", BUSES)
async def test_a_killed_writer_is_noticed_and_its_successor_is_asked_for_everything(
    children: Children, kind: str
) -> None:
    sink = Collector()
    reader = make_reader(kind, sink)
    reader.want(TICKER)
    reader.want(TRADES)

    first, first_socket = await children.start("bus_writer.py", kind, "1000")
    await borrow(reader, first_socket)
    await until(lambda: len(sink.updates(TICKER)) > 5 and len(sink.updates(TRADES)) > 5)
    first.send(SIGKILL)
    await until(lambda: sink.states(TICKER)[-1] == sink.states(TRADES)[-1] == State.RECONNECTING)
    last = sink.events[-1].position
    assert b'"reason":"the feed process ended' in sink.events[-1].payload

    heard = len(sink.events)
    _, second_socket = await children.start("bus_writer.py", kind, "2000")
    await borrow(reader, second_socket)
    for topic in (TICKER, TRADES):
        await until(lambda topic=topic: sink.of(topic)[-1].epoch == 2000 and sink.of(topic)[-1].seq > 5)  # type: ignore[misc]

    after = [event for event in sink.events[heard:] if event.topic == TRADES]
    assert [event.kind for event in after[:3]] == [EventKind.GAP, EventKind.STATUS, EventKind.SNAPSHOT]
    assert after[0].position == last
    assert after[0].payload == f'{{"from":{last.seq + 1},"to":null,"reason":"link"}}'.encode()
    assert {event.epoch for event in after[1:]} == {2000}
    assert sink.states(TRADES)[-1] == State.LIVE
    assert not uncovered_holes(sink.of(TRADES))
    reader.close()
    await closed([first_socket, second_socket])


@pytest.mark.parametrize("kind", BUSES)
async def test_a_stopped_writer_is_not_dead(children: Children, kind: str) -> None:
    sink = Collector()
    reader = make_reader(kind, sink)
    reader.want(TICKER)
    child, sock = await children.start("bus_writer.py", kind, "1")
    await borrow(reader, sock)
    await until(lambda: len(sink.updates(TICKER)) > 5)
    child.send(SIGSTOP)
    for _ in range(20_000):  # more asks than a socket holds, all of the same topic
        reader.drop(TRADES)
        reader.want(TRADES)
    child.send(SIGCONT)
    await until(lambda: len(sink.updates(TRADES)) > 5)
    assert State.RECONNECTING not in sink.states(TICKER)
    assert not uncovered_holes(sink.of(TICKER))
    reader.close()
    await closed([sock])
