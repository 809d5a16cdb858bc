"""The writer's end of :mod:`feedmux.bus.stream`, which tells how it works."""

from __future__ import annotations

import asyncio
import socket
from typing import Final

from feedmux.bus.writer_end import ReaderRoad, WriterEnd
from feedmux.model.event import Envelope
from feedmux.model.ports import Statistics
from feedmux.wire.record import Lost, encode

BOUND_BYTES: Final = 8 * 1024 * 1024


class StreamWriter(WriterEnd["_ReaderRoad"]):
    """The writer's end: a :class:`feedmux.model.ports.Publisher` for other processes.

    Args:
        bound_bytes: how much may wait for each reader before its envelopes are dropped.
    """

    def __init__(self, *, bound_bytes: int = BOUND_BYTES) -> None:
        super().__init__()
        self._bound_bytes = bound_bytes

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
        data = self._fit(envelope, encode)
        if data is not None:
            for road in roads:
                road.offer(data)


class _ReaderRoad(ReaderRoad):
    """The writer's end of one reader: batches, bounds and counts what leaves for it."""

    def __init__(self, writer: StreamWriter, holder: str, bound_bytes: int) -> None:
        super().__init__(writer, holder, bound_bytes // 2)
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

    def leave(self) -> None:
        """End, after what waits has gone, if the reader keeps up."""
        self.flush()
        self.finish("closed")

    def statistics(self) -> Statistics:
        return {"sent": self._sent, "dropped": self._dropped, "waiting_bytes": self.buffered_bytes}

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
        super().on_end(reason)
