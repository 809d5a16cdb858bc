"""The reader's end of :mod:`feedmux.bus.shm`, which tells how it works."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Final, NamedTuple

from feedmux._native.envelope import decode
from feedmux._native.ring import RingReader, Seat
from feedmux.bus.reader_end import UNHEARD, ReaderEnd, WriterRoad
from feedmux.client.segment import open_page, open_ring, silence_bell
from feedmux.model.errors import MalformedMessage
from feedmux.model.event import EventKind, GapReason
from feedmux.model.ports import Sink, Statistics
from feedmux.model.ring_errors import InvalidRing, Lapped
from feedmux.model.topic import Topic
from feedmux.wire.envelope import topic_bytes, topic_of

_MOST: Final = 256
"""Events in one turn of the loop; then everybody else has a turn."""
_CONFIRMS: Final = frozenset({EventKind.STATUS, EventKind.SNAPSHOT})


class RingParts(NamedTuple):
    """The descriptors of what one reader needs; it owns them from now on.

    Args:
        ring: the ring's memory.
        seat: the page in which it says that it sleeps.
        bell: the eventfd that wakes it.
    """

    ring: int
    seat: int
    bell: int


class ShmReader(ReaderEnd):
    """A reader process' end: a :class:`feedmux.model.ports.Bus`; see :class:`ReaderEnd`."""

    def __init__(self, sink: Sink, *, now_ns: Callable[[], int] = time.time_ns) -> None:
        super().__init__(sink, now_ns=now_ns)
        self._tap: _Tap | None = None
        self._texts: dict[bytes, Topic] = {}

    async def attach(self, sock: socket.socket, parts: RingParts) -> None:
        """Read from the writer at the other end of ``sock``, and from its ring; all are ours from now on.

        Everything that is held is wanted from it. A writer that is still connected is cut first.

        Raises:
            ConnectFailed: it is not a connected Unix stream socket.
            InvalidRing: the memory is no ring.
            NoMemory: there is no room for it.
        """
        with ExitStack() as undo:
            undo.callback(sock.close)
            undo.callback(os.close, parts.bell)
            tap = _Tap(self, parts)
            undo.pop_all()
            undo.callback(tap.close)
            await _RingRoad(self, tap).begin(sock)
            undo.pop_all()

    def want(self, topic: Topic, asker: int = 0) -> None:
        """Ask for ``topic``; see :meth:`ReaderEnd.want`."""
        super().want(topic, asker)
        if topic in self._held:
            self._texts[topic_bytes(topic)] = topic

    def drop(self, topic: Topic) -> None:
        """No longer ask for ``topic``; nothing of it reaches the sink from now on."""
        if topic in self._held:
            self._texts.pop(topic_bytes(topic), None)
        super().drop(topic)

    def close(self) -> None:
        """Give everything back; the writer forgets this holder. Closing twice is allowed."""
        self._texts.clear()
        super().close()

    def statistics(self) -> Statistics:
        """Counters since the start, how many topics are held, and how far behind the ring is read."""
        ring = self._tap.statistics() if self._tap is not None else None
        return {**super().statistics(), "ring": ring}

    # what the tap and the road call

    def tapped(self, tap: _Tap) -> None:
        """This ring is read from now on."""
        self._tap = tap

    def untapped(self, tap: _Tap) -> None:
        """It is not any more."""
        if self._tap is tap:
            self._tap = None

    def took(self, record: bytes) -> None:
        """An event of some topic is in the ring.

        Raises:
            MalformedMessage: it is none.
        """
        if topic_of(record) not in self._texts:
            self._counts["ignored"] += 1
            return
        envelope = decode(record)
        held = self._held[envelope.topic]
        if held.epoch == UNHEARD and envelope.kind not in _CONFIRMS:
            self._counts["ignored"] += 1  # it answers others; our own answer is on its way
            return
        self.received(envelope)

    def cut(self, reason: str) -> None:
        """The writer cannot be read: as if it had ended."""
        if self._road is not None:
            self._road.cut(reason)


class _RingRoad(WriterRoad):
    """The way on which asks go, beside a ring."""

    def __init__(self, reader: ShmReader, tap: _Tap) -> None:
        super().__init__(reader)
        self._shm, self._tap = reader, tap

    def on_begin(self) -> None:
        super().on_begin()  # cuts the writer before this one, and with it its tap
        if not self.is_over:
            self._tap.open()

    def on_end(self, reason: str) -> None:
        self._tap.drain()
        self._tap.close()
        super().on_end(reason)


class _Tap:
    """Reads one ring as it fills.

    Args:
        reader: who gets it.
        parts: the descriptors; of the bell it is the owner once it is made, the others it closes in any case.
    """

    def __init__(self, reader: ShmReader, parts: RingParts) -> None:
        self._reader, self._bell = reader, parts.bell
        self._loop = asyncio.get_running_loop()
        self._is_open = self._is_closed = False
        self._again: asyncio.Handle | None = None
        try:
            self._seat = Seat(open_page(parts.seat), parts.bell)
            self._ring = RingReader(open_ring(parts.ring), self._seat)
        finally:
            os.close(parts.seat)
            os.close(parts.ring)

    def open(self) -> None:
        """Begin with what comes from now on."""
        self._is_open = True
        self._reader.tapped(self)
        self._loop.add_reader(self._bell, self._rang)
        self._read()

    def close(self) -> None:
        """Read nothing any more."""
        if self._is_closed:
            return
        self._is_closed = True
        if self._is_open:
            self._loop.remove_reader(self._bell)
        if self._again is not None:
            self._again.cancel()
        self._reader.untapped(self)
        self._ring.close()
        self._seat.close()
        os.close(self._bell)

    def drain(self) -> None:
        """Read what is there, all of it: the writer has ended."""
        while self._is_open and not self._is_closed and self._take():
            pass

    def statistics(self) -> Statistics:
        return self._ring.statistics()

    def _rang(self) -> None:
        silence_bell(self._bell)
        self._ring.rise()
        if self._again is None:
            self._read()

    def _read(self) -> None:
        """Take some; go to sleep when there is nothing left, else come again after the others."""
        self._again = None
        more = self._take()
        if not self._is_closed and (more or not self._ring.sleep()):
            self._again = self._loop.call_soon(self._read)

    def _take(self) -> bool:
        """Hand on up to so many events; whether there may be more."""
        try:
            records = self._ring.read_many(_MOST)
            for record in records:
                self._reader.took(record)
                if self._is_closed:
                    return False
        except Lapped:
            self._reader.lost(1, GapReason.LAPPED)
            return True
        except (InvalidRing, MalformedMessage) as error:
            self._reader.cut(f"the ring cannot be read: {error}")
            return False
        return len(records) == _MOST
