"""The writer's end of :mod:`feedmux.bus.stream`, which tells how it works."""

from __future__ import annotations

import asyncio
import logging
import socket
from typing import Final

import msgspec

from feedmux.bus.road import Road
from feedmux.core.demand import Demand
from feedmux.model.errors import MalformedMessage
from feedmux.model.event import Envelope, EventKind, Gap, GapReason
from feedmux.model.ports import Source, Statistics
from feedmux.model.topic import Topic
from feedmux.wire.record import Drop, Lost, Record, Want, encode

LOG: Final = logging.getLogger(__name__)
UNFIT: Final = "bus.envelope_does_not_fit topic=%s error=%s"

BOUND_BYTES: Final = 8 * 1024 * 1024


class StreamWriter:
    """The writer's end: a :class:`feedmux.model.ports.Publisher` for other processes.

    Args:
        bound_bytes: how much may wait for each reader before its envelopes are dropped.
    """

    def __init__(self, *, bound_bytes: int = BOUND_BYTES) -> None:
        self._bound_bytes = bound_bytes
        self._source: Source | None = None
        self._demand: Demand[Topic, _ReaderRoad] = Demand()
        self._roads: dict[str, _ReaderRoad] = {}
        self._is_closed = False
        self._published = 0
        self._unfit = 0

    def serve(self, source: Source) -> None:
        """Let ``source`` answer from now on; what is wanted already, it is told now."""
        self._source = source
        for topic, road in self._demand.wants():
            source.want(topic, road.peer)

    async def attach(self, sock: socket.socket, holder: str) -> None:
        """Serve the reader process at the other end of ``sock``, which is ours from now on.

        A holder that comes again replaces the one before it, which is forgotten first.

        Raises:
            ConnectFailed: it is not a connected Unix stream socket.
        """
        await _ReaderRoad(self, holder, self._bound_bytes).begin(sock)

    def publish(self, envelope: Envelope, /) -> None:
        """Queue one event for every holder of its topic; it leaves when this loop turn ends.

        An envelope that has no place in the wire format is replaced by a gap of one seq.
        """
        roads = self._demand.holders(envelope.topic)
        if not roads:
            return
        self._published += 1
        data = self._encode(envelope)
        if data is not None:
            for road in roads:
                road.offer(data)

    def _encode(self, envelope: Envelope) -> bytes | None:
        try:
            return encode(envelope)
        except MalformedMessage as error:
            self._unfit += 1
            if self._unfit == 1:  # once is enough to find the source; the count is in statistics()
                LOG.warning(UNFIT, envelope.topic, error)
        if envelope.kind not in (EventKind.SNAPSHOT, EventKind.UPDATE):
            return None
        gap = Gap(envelope.seq, envelope.seq, GapReason.LINK)
        return self._encode(
            msgspec.structs.replace(envelope, kind=EventKind.GAP, key="", payload=msgspec.json.encode(gap))
        )

    def close(self) -> None:
        """End every road; what this turn published still leaves for readers that keep up."""
        self._is_closed = True
        for road in list(self._roads.values()):
            road.flush()
            road.finish("closed")

    def statistics(self) -> Statistics:
        """Counters since the start; ``readers`` by holder."""
        return {
            "readers": {holder: road.statistics() for holder, road in self._roads.items()},
            "topics": len(self._demand),
            "published": self._published,
            "unfit": self._unfit,
        }

    def _began(self, road: _ReaderRoad) -> None:
        if self._is_closed:
            road.cut("closed")
            return
        former = self._roads.get(road.peer)
        if former is not None:
            former.cut("replaced")
        self._roads[road.peer] = road

    def _asked(self, road: _ReaderRoad, record: Want | Drop) -> None:
        if isinstance(record, Want):
            self._demand.add(record.topic, road)
            if self._source is not None:
                self._source.want(record.topic, road.peer, record.asker)
        else:
            self._demand.remove(record.topic, road)
            if self._source is not None:
                self._source.drop(record.topic, road.peer)

    def _ended(self, road: _ReaderRoad) -> None:
        if self._roads.get(road.peer) is road:
            del self._roads[road.peer]
            self._demand.forget(road)
            if self._source is not None:
                self._source.forget(road.peer)


class _ReaderRoad(Road):
    """The writer's end of one reader: batches, bounds and counts what leaves for it."""

    def __init__(self, writer: StreamWriter, holder: str, bound_bytes: int) -> None:
        super().__init__(holder, Want, Drop, high_bytes=bound_bytes // 2)
        self._writer = writer
        self._bound_bytes = bound_bytes
        self._loop = asyncio.get_running_loop()
        self._batch: list[bytes] = []
        self._waiting_bytes = 0  # as of the first record of this turn, plus the batch
        self._lost = 0  # since the last Lost record
        self._sent = 0
        self._dropped = 0
        self._is_choked = False

    def offer(self, data: bytes) -> None:
        """Queue a record, or drop and count it while the reader is too slow."""
        if not self._batch:
            self._waiting_bytes = self.buffered_bytes
        if self._lost or self._waiting_bytes >= self._bound_bytes:
            self._lost += 1
            self._dropped += 1
            return
        if not self._batch:
            self._loop.call_soon(self.flush)
        self._batch.append(data)
        self._waiting_bytes += len(data)

    def flush(self) -> None:
        """Write what waits; after a loss, say so as soon as there is room."""
        if self._batch:
            self._sent += len(self._batch)
            data = b"".join(self._batch)
            self._batch.clear()
            self.write(data)
        if self._lost and not self.is_full:
            self.write(encode(Lost(self._lost)))
            self._lost = 0

    def statistics(self) -> Statistics:
        return {"sent": self._sent, "dropped": self._dropped, "waiting_bytes": self.buffered_bytes}

    def on_begin(self) -> None:
        self._writer._began(self)

    def on_record(self, record: Record) -> None:
        assert isinstance(record, Want | Drop)
        self._writer._asked(self, record)

    def _take_records(self) -> None:
        """Take asks while their answers have room; the rest stays unread until then."""
        for record in self._decoder.records():
            self.on_record(record)
            if self._waiting_bytes > self._high_bytes:
                self.flush()
            if self.is_over:
                return
            if self.is_full:
                self._choke()
                return

    def _choke(self) -> None:
        if self._transport is not None and not self._is_choked:
            self._is_choked = True
            self._transport.pause_reading()

    def on_room(self) -> None:
        self.flush()
        if self._is_choked and not self.is_full and self._transport is not None:
            self._is_choked = False
            self._transport.resume_reading()
            self.read()

    def on_end(self, reason: str) -> None:
        self._batch.clear()
        self._writer._ended(self)
