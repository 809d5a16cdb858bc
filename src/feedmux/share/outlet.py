"""The ring of one WebSocket: entries go in, seats wake those who read them.

What is written within one turn of the loop is shown at its end, all at once.

A message must not overwrite its own beginning: whoever had read all before it would still be lapped. Beside
its own length it takes up what is skipped at the end of the data, which is less than one record, and the
sixteenth of the ring that the writer announces ahead. So what is longer than seven sixteenths is cut into
parts of a sixteenth, and what is longer than seven eighths is not written at all.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import ExitStack
from typing import Final, NamedTuple

from feedmux._native.ring import RingWriter, Seat
from feedmux.client.segment import make_bell, make_page, make_ring
from feedmux.model.ports import Statistics
from feedmux.model.ring_errors import NoMemory, RecordTooLarge
from feedmux.wire.local_records import ENTRY, Entry, What

_head = ENTRY.pack
_RECORD_BYTES: Final = 32
"""What the ring adds to an entry at most: the header of a record, and padding."""


class Place(NamedTuple):
    """Where one client sits.

    Args:
        seat: says whether it sleeps.
        bell: wakes it.
    """

    seat: Seat
    bell: int


class Outlet:
    """The ring, and who sits at it.

    Args:
        capacity: of the ring, a power of two in bytes.

    Raises:
        NoMemory: the system lends none.
    """

    def __init__(self, capacity: int) -> None:
        self._memory, self._descriptor = make_ring(capacity)
        self._ring = RingWriter(self._memory)
        self._whole_bytes = capacity // 16 * 7 - ENTRY.size - _RECORD_BYTES
        self._part_bytes = capacity // 16 - ENTRY.size - _RECORD_BYTES
        self._most_bytes = self._part_bytes * 14
        self._is_flushing = self._is_closed = False

    @property
    def end(self) -> int:
        """The position behind what was written, all of which is shown now."""
        self.flush()
        end = self._ring.statistics()["bytes"]
        assert isinstance(end, int)
        return end

    def message(self, what: What, payload: bytes, received_ns: int) -> None:
        """Write a message of the WebSocket; runs per message. See :meth:`write`.

        Raises:
            RecordTooLarge: the ring cannot hold it.
        """
        if self._is_closed or len(payload) > self._whole_bytes:
            self.write(Entry(what, payload, 0, received_ns))
            return
        self._ring.write(_head(what, 0, 0, 0, 0, 0, received_ns) + payload)
        if not self._is_flushing:
            self._flush_soon()

    def write(self, entry: Entry) -> None:
        """Write a whole entry, in parts if it is long; it is shown when this turn of the loop ends.

        Raises:
            RecordTooLarge: the ring cannot hold it: nobody could read the parts of it together.
        """
        if self._is_closed:
            return
        if len(entry.payload) <= self._whole_bytes:
            self._ring.write(entry.encode())
        else:
            self._write_parts(entry)
        if not self._is_flushing:
            self._flush_soon()

    def flush(self) -> None:
        """Show what was written, and wake those who sleep."""
        self._is_flushing = False
        if not self._is_closed:
            self._ring.flush()

    def seat(self) -> tuple[Place, tuple[int, int, int]]:
        """Make a place for a client.

        Returns:
            The place, and three descriptors for its client: the ring's memory, the page of the seat, the
            bell. They are the caller's to send and to close.

        Raises:
            NoMemory: the system lends none.
        """
        with ExitStack() as undo:
            try:
                page, page_descriptor = make_page()
                undo.callback(page.close)
                undo.callback(os.close, page_descriptor)
                bell = make_bell()
                undo.callback(os.close, bell)
                ring = os.dup(self._descriptor)
                undo.callback(os.close, ring)
                lent = (ring, page_descriptor, os.dup(bell))
            except OSError as error:
                raise NoMemory(8, str(error)) from error
            undo.pop_all()
        seat = Seat(page, bell)
        self._ring.add(seat)
        return Place(seat, bell), lent

    def unseat(self, place: Place) -> None:
        """Its client is gone."""
        if not self._is_closed:
            self._ring.remove(place.seat)
        place.seat.close()
        os.close(place.bell)

    def close(self) -> None:
        """Let go of the memory; what is shown can still be read. Twice is allowed."""
        if self._is_closed:
            return
        self.flush()
        self._is_closed = True
        self._ring.close()
        self._memory.close()
        os.close(self._descriptor)

    def statistics(self) -> Statistics:
        """Return what was written so far, and how often a reader was woken."""
        return self._ring.statistics()

    def _flush_soon(self) -> None:
        self._is_flushing = True
        asyncio.get_running_loop().call_soon(self.flush)

    def _write_parts(self, entry: Entry) -> None:
        view = memoryview(entry.payload)
        if len(view) > self._most_bytes:
            raise RecordTooLarge(len(view), self._most_bytes)
        for start in range(0, len(view), self._part_bytes):
            part = bytes(view[start : start + self._part_bytes])
            remaining = len(view) - start - len(part)
            self._ring.write(entry._replace(payload=part, remaining=remaining).encode())


def told(what: What, text: str, now_ns: int, *, client: int = 0, code: int = 0, flags: int = 0) -> Entry:
    """Return an entry that says something, and is not a message of the WebSocket."""
    payload = text.encode(errors="replace")
    return Entry(what, payload, 0, now_ns, client, code, flags)
