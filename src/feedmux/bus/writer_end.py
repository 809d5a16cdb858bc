"""The writer's end of a bus between processes, however its data go: who wants what, and who is there.

:class:`WriterEnd` keeps the demand of all readers, each of which asks over a
:class:`feedmux.bus.road.Road`; how an event reaches them is a subclass' business.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar

import msgspec

from feedmux.bus.road import Road
from feedmux.core.demand import Demand
from feedmux.model.errors import FeedmuxError
from feedmux.model.event import Envelope, EventKind, Gap, GapReason
from feedmux.model.ports import Source, Statistics
from feedmux.model.topic import Topic
from feedmux.wire.record import Drop, Record, Want

LOG: Final = logging.getLogger(__name__)
UNFIT: Final = "bus.envelope_does_not_fit topic=%s error=%s"


class ReaderRoad(Road):
    """The writer's end of one reader.

    Args:
        writer: whose it is.
        holder: the reader's name.
        high_bytes: see :class:`feedmux.bus.road.Road`.
    """

    def __init__(self, writer: WriterEnd[Any], holder: str, high_bytes: int) -> None:
        super().__init__(holder, Want, Drop, high_bytes=high_bytes)
        self._writer = writer

    def leave(self) -> None:
        """End, after what waits has gone, if the reader keeps up."""
        self.finish("closed")

    def statistics(self) -> Statistics:
        return {"waiting_bytes": self.buffered_bytes}

    def on_begin(self) -> None:
        self._writer.began(self)

    def on_record(self, record: Record) -> None:
        assert isinstance(record, Want | Drop)
        self._writer.asked(self, record)

    def on_end(self, reason: str) -> None:
        self._writer.ended(self)


RoadT = TypeVar("RoadT", bound=ReaderRoad)


class WriterEnd(Generic[RoadT]):
    """Who wants what of one writer."""

    def __init__(self) -> None:
        self._source: Source | None = None
        self._demand: Demand[Topic, RoadT] = Demand()
        self._roads: dict[str, RoadT] = {}
        self._is_closed = False
        self._published = 0
        self._unfit = 0

    def serve(self, source: Source) -> None:
        """Let ``source`` answer from now on; what is wanted already, it is told now."""
        self._source = source
        for topic, road in self._demand.wants():
            source.want(topic, road.peer)

    def close(self) -> None:
        """End every road; what this turn published still leaves for readers that keep up."""
        self._is_closed = True
        for road in list(self._roads.values()):
            road.leave()

    def statistics(self) -> Statistics:
        """Counters since the start; ``readers`` by holder."""
        return {
            "readers": {holder: road.statistics() for holder, road in self._roads.items()},
            "topics": len(self._demand),
            "published": self._published,
            "unfit": self._unfit,
        }

    # what a road calls

    def began(self, road: RoadT) -> None:
        """A reader is there; one that had its name before is forgotten first."""
        if self._is_closed:
            road.cut("closed")
            return
        former = self._roads.get(road.peer)
        if former is not None:
            former.cut("replaced")
        self._roads[road.peer] = road

    def asked(self, road: RoadT, record: Want | Drop) -> None:
        """It wants a topic, or no longer does."""
        if isinstance(record, Want):
            self._demand.add(record.topic, road)
            if self._source is not None:
                self._source.want(record.topic, road.peer, record.asker)
        else:
            self._demand.remove(record.topic, road)
            if self._source is not None:
                self._source.drop(record.topic, road.peer)

    def ended(self, road: RoadT) -> None:
        """It died: all that it held goes with it."""
        if self._roads.get(road.peer) is road:
            del self._roads[road.peer]
            self._demand.forget(road)
            if self._source is not None:
                self._source.forget(road.peer)

    # what a subclass calls

    def _fit(self, envelope: Envelope, encode: Callable[[Envelope], bytes]) -> bytes | None:
        """Encode an event; one that has no place on this bus is replaced by a gap of one seq."""
        try:
            return encode(envelope)
        except FeedmuxError as error:
            self._unfit += 1
            if self._unfit == 1:  # once is enough to find the source; the count is in statistics()
                LOG.warning(UNFIT, envelope.topic, error)
        if envelope.kind not in (EventKind.SNAPSHOT, EventKind.UPDATE):
            return None
        gap = msgspec.json.encode(Gap(envelope.seq, envelope.seq, GapReason.LINK))
        return self._fit(msgspec.structs.replace(envelope, kind=EventKind.GAP, key="", payload=gap), encode)
