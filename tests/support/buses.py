"""Both ends of every bus for the contract suite: a scripted source and a sink that collects."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from typing import Protocol

import msgspec

from feedmux.bus.inproc import InprocBus
from feedmux.bus.shm import RingParts, ShmReader, ShmWriter
from feedmux.bus.stream import StreamReader, StreamWriter
from feedmux.client.segment import make_bell, make_page
from feedmux.core.demand import Demand
from feedmux.core.increments import Stored
from feedmux.model.event import Envelope, EventKind, Gap, Position, State, Status
from feedmux.model.ports import Bus, Publisher, Sink
from feedmux.model.topic import Topic
from support.envelopes import update
from support.waiting import until

Call = tuple[str, Topic | None, str]
"""What a bus told the source: want, drop or forget; the topic; the holder."""


class ScriptedSource:
    """A writer that answers every want at once: a live status; a snapshot, or all parts of an object."""

    def __init__(self, publisher: Publisher, epoch: int = 1) -> None:
        self.publisher = publisher
        self.epoch = epoch
        self.seqs: dict[Topic, int] = {}
        self.values: dict[Topic, bytes] = {}
        self.objects: dict[Topic, Stored] = {}
        self.calls: list[Call] = []
        self.askers: list[int] = []
        self.demand: Demand[Topic, str] = Demand()

    def want(self, topic: Topic, holder: str, asker: int = 0) -> None:
        self.calls.append(("want", topic, holder))
        self.askers.append(asker)
        self.demand.add(topic, holder)
        self.status(topic, Status(State.LIVE))
        if topic in self.objects:
            for part in self.objects[topic].parts():
                self.publisher.publish(part)
            return
        self.publisher.publish(self._envelope(topic, EventKind.SNAPSHOT, self.values.get(topic, b"{}")))

    def drop(self, topic: Topic, holder: str) -> None:
        self.calls.append(("drop", topic, holder))
        self.demand.remove(topic, holder)

    def forget(self, holder: str) -> None:
        self.calls.append(("forget", None, holder))
        self.demand.forget(holder)

    def status(self, topic: Topic, status: Status) -> None:
        self.publisher.publish(self._envelope(topic, EventKind.STATUS, msgspec.json.encode(status)))

    def advance(self, topic: Topic, payload: bytes = b"{}") -> None:
        """Publish the next value of ``topic``."""
        self.seqs[topic] = self.seqs.get(topic, 0) + 1
        self.values[topic] = payload
        self.publisher.publish(update(topic, self.seqs[topic], payload, self.epoch))

    def say(self, part: Envelope) -> None:
        """Publish the next part of an object, and keep it."""
        self.seqs[part.topic] = part.seq
        stored = self.objects[part.topic]
        if part.kind is EventKind.SNAPSHOT:
            stored.start(part)
        else:
            assert stored.add(part)
        self.publisher.publish(part)

    def _envelope(self, topic: Topic, kind: EventKind, payload: bytes) -> Envelope:
        return Envelope(topic, self.epoch, self.seqs.get(topic, 0), kind, 0, 0, "", payload)


class Collector:
    """A sink that keeps everything."""

    def __init__(self) -> None:
        self.events: list[Envelope] = []

    def receive(self, envelope: Envelope, /) -> None:
        self.events.append(envelope)

    def of(self, topic: Topic, *kinds: EventKind) -> list[Envelope]:
        """The events of ``topic``, of these kinds or of all."""
        return [e for e in self.events if e.topic == topic and (not kinds or e.kind in kinds)]

    def updates(self, topic: Topic) -> list[int]:
        return [envelope.seq for envelope in self.of(topic, EventKind.UPDATE)]

    def states(self, topic: Topic) -> list[State]:
        statuses = self.of(topic, EventKind.STATUS)
        return [msgspec.json.decode(envelope.payload, type=Status).state for envelope in statuses]


class Reader(Bus, Protocol):
    """A bus' reader that can be closed."""

    def close(self) -> None: ...


class Wiring(Protocol):
    """One bus with a scripted source at its writer's end."""

    source: ScriptedSource

    async def reader(self, holder: str, sink: Sink) -> Reader: ...
    async def close(self) -> None: ...


class InprocWiring:
    """Everything in this process, no queue."""

    def __init__(self) -> None:
        self.bus = InprocBus()
        self.source = ScriptedSource(self.bus)
        self.bus.serve(self.source)

    async def reader(self, holder: str, sink: Sink) -> Reader:
        return self.bus.reader(holder, sink)

    async def close(self) -> None:
        """There is nothing to close."""


class StreamWiring:
    """Both ends of the sockets in this process; tests of two processes stand by themselves."""

    def __init__(self, **options: int) -> None:
        self.writer = StreamWriter(**options)
        self.source = ScriptedSource(self.writer)
        self.writer.serve(self.source)
        self.readers: list[StreamReader] = []
        self.sockets: list[socket.socket] = []

    async def reader(self, holder: str, sink: Sink) -> StreamReader:
        reader = StreamReader(sink)
        self.readers.append(reader)
        await self.connect(reader, holder)
        return reader

    async def connect(self, reader: StreamReader, holder: str) -> None:
        ours, theirs = socket.socketpair()
        self.sockets += (ours, theirs)
        await self.writer.attach(ours, holder)
        await reader.attach(theirs)

    async def close(self) -> None:
        self.writer.close()
        for reader in self.readers:
            reader.close()
        await closed(self.sockets)


class ShmWiring:
    """Both ends of the ring in this process; tests of two processes stand by themselves."""

    def __init__(self, capacity: int = 32 * 1024 * 1024) -> None:
        self.writer = ShmWriter(capacity=capacity)
        self.source = ScriptedSource(self.writer)
        self.writer.serve(self.source)
        self.readers: list[ShmReader] = []
        self.sockets: list[socket.socket] = []

    async def reader(self, holder: str, sink: Sink) -> Reader:
        reader = ShmReader(sink)
        self.readers.append(reader)
        await self.connect(reader, holder)
        return reader

    async def connect(self, reader: ShmReader, holder: str) -> None:
        ours, theirs = socket.socketpair()
        self.sockets += (ours, theirs)
        page, seat = make_page()
        page.close()
        bell = make_bell()
        await self.writer.attach(ours, holder, os.dup(seat), os.dup(bell))
        await reader.attach(theirs, RingParts(os.dup(self.writer.descriptor), seat, bell))

    async def close(self) -> None:
        self.writer.close()
        for reader in self.readers:
            reader.close()
        await closed(self.sockets)


async def closed(sockets: Sequence[socket.socket]) -> None:
    """Wait until the event loop has given up every one of ``sockets``."""
    await until(lambda: all(sock.fileno() == -1 for sock in sockets), "the sockets are closed")


def uncovered_holes(events: Sequence[Envelope]) -> list[tuple[Position, Position]]:
    """The pairs of consecutive values of one topic and epoch between which some are missing
    without a gap event that says so."""
    holes = []
    last: Envelope | None = None
    gap: Gap | None = None
    for event in events:
        if event.kind is EventKind.GAP:
            gap = msgspec.json.decode(event.payload, type=Gap)
        if event.kind not in (EventKind.SNAPSHOT, EventKind.UPDATE):
            continue
        if last is not None and last.epoch == event.epoch and event.seq > last.seq + 1:
            first_missing, last_missing = last.seq + 1, event.seq - 1
            if gap is None or gap.first > first_missing or (gap.last or last_missing) < last_missing:
                holes.append((last.position, event.position))
        last, gap = event, None
    return holes
