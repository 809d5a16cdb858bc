"""Carry envelopes inside one process: publishing is a call, and there is no queue.

Control takes the same way back: a reader's ``want`` is the source's ``want`` before it returns. A
source may answer at once by publishing, a sink may want and drop while it receives: the roads of a
topic are a tuple that is replaced and never changed, so whoever walks it is not disturbed. What is
being delivered while a reader drops its topic may still reach it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from feedmux.core.demand import Demand
from feedmux.model.event import Envelope
from feedmux.model.ports import Sink, Source, Statistics
from feedmux.model.topic import Topic

Receive = Callable[[Envelope], None]
_NOWHERE: Final[tuple[Receive, ...]] = ()


class InprocBus:
    """The writer's end, and where readers are made."""

    def __init__(self) -> None:
        self._source: Source | None = None
        self._demand: Demand[Topic, str] = Demand()
        self._readers: dict[str, InprocReader] = {}
        self._roads: dict[Topic, tuple[Receive, ...]] = {}

    def serve(self, source: Source) -> None:
        """Let ``source`` answer from now on; what is wanted already, it is told now."""
        self._source = source
        for topic, holder in self._demand.wants():
            source.want(topic, holder)

    def publish(self, envelope: Envelope, /) -> None:
        """Carry one event to every holder of its topic, before this returns.

        One lookup and one call per holder; nothing is counted here, the two ends do.
        """
        for receive in self._roads.get(envelope.topic, _NOWHERE):
            receive(envelope)

    def reader(self, holder: str, sink: Sink) -> InprocReader:
        """Make the reader's end of ``holder``; one that had this name before is closed.

        Args:
            holder: the name under which the source knows the reader.
            sink: where everything goes that the reader wants.
        """
        if holder in self._readers:
            self._readers[holder].close()
        reader = InprocReader(self, holder, sink)
        self._readers[holder] = reader
        return reader

    def statistics(self) -> Statistics:
        """How many readers there are and how many topics they hold together."""
        return {"readers": len(self._readers), "topics": len(self._demand)}

    def _want(self, reader: InprocReader, topic: Topic, asker: int) -> None:
        if self._readers.get(reader.holder) is not reader:
            return
        self._demand.add(topic, reader.holder)
        self._route(topic)
        if self._source is not None:
            self._source.want(topic, reader.holder, asker)

    def _drop(self, reader: InprocReader, topic: Topic) -> None:
        if self._readers.get(reader.holder) is not reader:
            return
        self._demand.remove(topic, reader.holder)
        self._route(topic)
        if self._source is not None:
            self._source.drop(topic, reader.holder)

    def _forget(self, reader: InprocReader) -> None:
        if self._readers.get(reader.holder) is not reader:
            return
        topics = self._demand.topics(reader.holder)
        self._demand.forget(reader.holder)
        del self._readers[reader.holder]
        for topic in topics:
            self._route(topic)
        if self._source is not None:
            self._source.forget(reader.holder)

    def _route(self, topic: Topic) -> None:
        """Make the roads of ``topic`` follow its demand."""
        holders = self._demand.holders(topic)
        if holders:
            self._roads[topic] = tuple(self._readers[holder].receive for holder in holders)
        else:
            self._roads.pop(topic, None)


class InprocReader:
    """One reader's end: a :class:`feedmux.model.ports.Bus`. Made by :meth:`InprocBus.reader`."""

    def __init__(self, bus: InprocBus, holder: str, sink: Sink) -> None:
        self._bus = bus
        self.holder: Final = holder
        self.receive: Final[Receive] = sink.receive
        self._wants = 0
        self._drops = 0

    def want(self, topic: Topic, asker: int = 0) -> None:
        """Ask for ``topic``; the source may answer before this returns. Nothing after :meth:`close`."""
        self._wants += 1
        self._bus._want(self, topic, asker)

    def drop(self, topic: Topic) -> None:
        """No longer ask for ``topic``."""
        self._drops += 1
        self._bus._drop(self, topic)

    def close(self) -> None:
        """Give everything back; the source forgets this holder. Closing twice is allowed."""
        self._bus._forget(self)

    def statistics(self) -> Statistics:
        """How often this reader wanted and dropped."""
        return {"holder": self.holder, "wants": self._wants, "drops": self._drops}
