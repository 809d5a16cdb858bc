"""The writer's end of :mod:`feedmux.bus.shm`, which tells how it works."""

from __future__ import annotations

import asyncio
import os
import socket
from contextlib import ExitStack
from typing import Final

from feedmux._native.envelope import encode
from feedmux._native.ring import RingWriter, Seat
from feedmux.bus.writer_end import ReaderRoad, WriterEnd
from feedmux.client.segment import make_ring, open_page
from feedmux.model.event import Envelope
from feedmux.model.ports import Statistics

CAPACITY_BYTES: Final = 64 * 1024 * 1024
_ASKS_HIGH_BYTES: Final = 64 * 1024


class ShmWriter(WriterEnd["_SeatedRoad"]):
    """The writer's end: a :class:`feedmux.model.ports.Publisher` for other processes.

    Args:
        capacity: of the ring, a power of two in bytes; it is taken at once.

    Raises:
        InvalidSetting: the capacity is none.
        NoMemory: the system does not lend so much.
    """

    def __init__(self, *, capacity: int = CAPACITY_BYTES) -> None:
        super().__init__()
        self._memory, self._descriptor = make_ring(capacity)
        self._ring = RingWriter(self._memory)
        self._is_flushing = False

    @property
    def descriptor(self) -> int:
        """Of the ring's memory, for readers; whoever sends it on does not close it."""
        return self._descriptor

    async def attach(self, sock: socket.socket, holder: str, seat: int, bell: int) -> None:
        """Serve the reader process at the other end of ``sock``; all three are ours from now on.

        A holder that comes again replaces the one before it, which is forgotten first.

        Args:
            sock: a connected Unix stream socket.
            holder: the name under which the source knows the reader.
            seat: the descriptor of the page in which it says that it sleeps.
            bell: the descriptor of the eventfd that wakes it.

        Raises:
            ConnectFailed: the socket is none.
            InvalidRing: the page is none.
        """
        with ExitStack() as undo:
            undo.callback(sock.close)
            undo.callback(os.close, bell)
            try:
                page = open_page(seat)
            finally:
                os.close(seat)
            road = _SeatedRoad(self, holder, Seat(page, bell))
            undo.pop_all()
            undo.callback(road.leave_seat)
            await road.begin(sock)
            undo.pop_all()

    def publish(self, envelope: Envelope, /) -> None:
        """Write one event if anybody holds its topic; it is shown when this loop turn ends.

        An envelope that has no place in the ring is replaced by a gap of one seq.
        """
        if not self._demand.holders(envelope.topic):
            return
        self._published += 1
        if self._fit(envelope, self._write) is not None and not self._is_flushing:
            self._is_flushing = True
            asyncio.get_running_loop().call_soon(self._flush)

    def close(self) -> None:
        """End every road and let go of the ring; readers still read what was published."""
        if self._is_closed:
            return
        self._flush()
        super().close()
        self._ring.close()
        self._memory.close()
        os.close(self._descriptor)

    def statistics(self) -> Statistics:
        """Counters since the start; ``readers`` by holder."""
        return {**super().statistics(), "ring": self._ring.statistics()}

    def seated(self, seat: Seat) -> None:
        """Wake the reader of this seat from now on."""
        if not self._is_closed:
            self._ring.add(seat)

    def unseated(self, seat: Seat) -> None:
        """Its reader is gone."""
        if not self._is_closed:
            self._ring.remove(seat)

    def _write(self, envelope: Envelope) -> bytes:
        data = encode(envelope)
        self._ring.write(data)
        return data

    def _flush(self) -> None:
        self._is_flushing = False
        self._ring.flush()


class _SeatedRoad(ReaderRoad):
    """The writer's end of one reader, and where that sleeps."""

    def __init__(self, writer: ShmWriter, holder: str, seat: Seat) -> None:
        super().__init__(writer, holder, _ASKS_HIGH_BYTES)
        self._shm, self._seat, self._bell = writer, seat, seat.descriptor
        self._is_seated = False

    def statistics(self) -> Statistics:
        return {"is_asleep": self._seat.is_asleep}

    def on_begin(self) -> None:
        self._is_seated = True
        self._shm.seated(self._seat)
        super().on_begin()

    def on_end(self, reason: str) -> None:
        self.leave_seat()
        super().on_end(reason)

    def leave_seat(self) -> None:
        """Give the seat and its bell back; twice is allowed."""
        if self._is_seated:
            self._is_seated = False
            self._shm.unseated(self._seat)
        self._seat.close()
        if self._bell >= 0:
            os.close(self._bell)
            self._bell = -1
