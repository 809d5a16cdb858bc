"""A broadcast ring in shared memory: one writer, any number of readers, nobody waits for anybody.

Theory of operation
===================
The segment is a header of one page and a data area whose size is a power of two. Positions are
counted in bytes and only ever grow; a position's place in the data area is its remainder::

    published − capacity            cursor of a reader            published   reserved
          │ may be overwritten           │ not read yet                │ being written │

The writer moves ``reserved`` past what it is about to write, writes, and moves ``published`` after it.
It never looks at its readers. A reader copies a record and looks at ``reserved`` *afterwards*:

============================================  ======================================================
what it sees                                  what it does
============================================  ======================================================
``published`` = cursor                        nothing is there
``reserved`` − cursor > capacity, before      lapped: on to ``published``
a length that passes ``published``            lapped, if ``reserved`` says so now; else the memory is damaged
``reserved`` − cursor > capacity, after       the copy may be torn and is thrown away: lapped
otherwise                                     the copy is whole; on to the next record
============================================  ======================================================

Records are padded to 16 bytes and never cross the end of the data area; where one would, a *skip*
fills the rest. A record carries its number, so that who was lapped can count what it missed as soon as
it reads the next one.

*Sleep.* A reader that finds nothing may sleep: it sets the flag in its own page, looks once more, and
waits. A writer that has published looks at the flags, clears those that are set, and wakes their
owners: a busy writer makes no call to the system while nobody sleeps. Both sides must see either the
other's flag or the other's record; natively a full fence stands between the store and the look.

Invariants: what a reader returns was written as one record; it returns records in order, none twice;
between two of them that are not neighbours it raised :class:`Lapped`; no byte is read outside of the
segment, whatever stands in it.

This is the specification of ``feedmux._native.ring``, which is what processes use: it works on any
buffer, one step after the other, and has no fences. The layout is docs/reference/ring.md.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from feedmux.model.errors import InvalidSetting
from feedmux.model.ports import Statistics
from feedmux.model.ring_errors import InvalidPosition, InvalidRing, Lapped, RecordTooLarge

MAGIC: Final = b"fmuxring"
VERSION: Final = 1
HEADER_BYTES: Final = 4096
ALIGNMENT: Final = 16
LEAST_CAPACITY: Final = 1024
MOST_CAPACITY: Final = 1 << 40
PAGE_BYTES: Final = 4096
"""A reader's own page; its first u32 is 1 while it sleeps."""

_HEAD: Final = struct.Struct("<8sIIQQ")  # magic, version, header bytes, capacity, largest record
_U64: Final = struct.Struct("<Q")
_MASK: Final = (1 << 64) - 1
_RECORD: Final = struct.Struct("<IIQ")  # length, kind, number
_RESERVED: Final = 64
_PUBLISHED: Final = 128
_DATA: Final = 1
_SKIP: Final = 2
_STRIDE: Final = 16
"""``reserved`` is moved ahead by a part of the capacity, so that readers seldom find it changed."""


def segment_bytes(capacity: int) -> int:
    """Return how large the segment of a ring is, bytes.

    Raises:
        InvalidSetting: the capacity is no power of two from 1,024 to 2⁴⁰.
    """
    if not LEAST_CAPACITY <= capacity <= MOST_CAPACITY or capacity & (capacity - 1):
        raise InvalidSetting("capacity", capacity, f"a power of two from {LEAST_CAPACITY} to {MOST_CAPACITY}")
    return HEADER_BYTES + capacity


def largest_record(capacity: int) -> int:
    """Return the size of the largest record of a ring, bytes: half of it, less a record's header."""
    return capacity // 2 - _RECORD.size


class Seat:
    """Where one reader sleeps.

    Args:
        page: at least 4 bytes that writer and reader share.
        wake: wakes the reader.
    """

    __slots__ = ("_page", "wake")

    def __init__(self, page: bytearray | memoryview, wake: Callable[[], None]) -> None:
        self._page, self.wake = page, wake

    @property
    def is_asleep(self) -> bool:
        """Whether its reader wants to be woken."""
        return bytes(self._page[:4]) != bytes(4)

    def set(self, is_asleep: bool) -> None:
        """Let the other side know."""
        self._page[:4] = (1 if is_asleep else 0).to_bytes(4, "little")


class RingWriter:
    """The one writer. It makes a ring of the memory that it is given.

    Args:
        segment: zeroed memory of :func:`segment_bytes`; only this writer writes to it.

    Raises:
        InvalidSetting: its size is not that of a ring.
    """

    def __init__(self, segment: bytearray | memoryview) -> None:
        self._segment = memoryview(segment).cast("B")
        self._capacity = len(self._segment) - HEADER_BYTES
        segment_bytes(self._capacity)
        self._published = self._end = self._reserved = 0
        self._records = self._wakes = 0
        self._seats: list[Seat] = []
        _HEAD.pack_into(
            self._segment, 0, MAGIC, VERSION, HEADER_BYTES, self._capacity, largest_record(self._capacity)
        )

    @property
    def capacity(self) -> int:
        """The size of the data area, bytes."""
        return self._capacity

    @property
    def largest(self) -> int:
        """The size of the largest record, bytes."""
        return largest_record(self._capacity)

    def write(self, record: bytes, /) -> None:
        """Append a record; readers see it after :meth:`flush`.

        Raises:
            RecordTooLarge: nothing was written.
        """
        if len(record) > self.largest:
            raise RecordTooLarge(len(record), self.largest)
        size = _padded(len(record))
        place = self._end & (self._capacity - 1)
        skipped = self._capacity - place if place + size > self._capacity else 0
        self._reserve(self._end + skipped + size)
        if skipped:
            self._put(_SKIP, skipped - _RECORD.size, b"")
            self._end += skipped
        self._put(_DATA, len(record), record)
        self._end += size
        self._records += 1

    def flush(self) -> int:
        """Let readers see what was written, and wake those who sleep; how many that were."""
        if self._published == self._end:
            return 0
        self._published = self._end
        _U64.pack_into(self._segment, _PUBLISHED, self._published)
        woken = [seat for seat in self._seats if seat.is_asleep]
        for seat in woken:
            seat.set(False)
            seat.wake()
        self._wakes += len(woken)
        return len(woken)

    def add(self, seat: Seat, /) -> None:
        """Wake the reader of this seat from now on."""
        self._seats.append(seat)

    def remove(self, seat: Seat, /) -> None:
        """Its reader is gone."""
        self._seats.remove(seat)

    def statistics(self) -> Statistics:
        """Return records and bytes written so far, and how often a reader was woken."""
        return {
            "records": self._records,
            "bytes": self._end,
            "wakes": self._wakes,
            "readers": len(self._seats),
        }

    def _reserve(self, end: int) -> None:
        if end > self._reserved:
            self._reserved = max(end, self._end + self._capacity // _STRIDE)
            _U64.pack_into(self._segment, _RESERVED, self._reserved)

    def _put(self, kind: int, length: int, payload: bytes) -> None:
        start = HEADER_BYTES + (self._end & (self._capacity - 1))
        _RECORD.pack_into(self._segment, start, length, kind, self._records)
        start += _RECORD.size
        self._segment[start : start + len(payload)] = payload


class RingReader:
    """One reader. It begins with what is published from now on, or at a place that it was told.

    Args:
        segment: the memory of a ring; it is not written to.
        seat: where it sleeps; None: it never does.
        start: the position where a record begins, or will; None: ``published``.

    Raises:
        InvalidRing: this is no ring, or not of this version.
        InvalidPosition: nothing begins there, or not yet.
    """

    def __init__(
        self, segment: bytearray | memoryview, seat: Seat | None = None, start: int | None = None
    ) -> None:
        self._segment = memoryview(segment).cast("B").toreadonly()
        self._capacity = checked_head(self._segment, len(self._segment))
        self._seat = seat
        self._cursor = checked_start(start, self._load(_PUBLISHED))
        self._late: Lapped | None = None  # a lap that nobody was told of yet
        self._next = -1  # the number of the next record; unknown before the first
        self._read = self._lapped = self._lost = 0

    @property
    def lag(self) -> int:
        """How many bytes are published and not read."""
        return self._ahead(_PUBLISHED)

    @property
    def lost(self) -> int:
        """How many records were overwritten since the first that was read; known when the next is read."""
        return self._lost

    def read(self) -> bytes | None:
        """Return the next record, copied and whole; None while there is none.

        Raises:
            Lapped: some were overwritten; the next call goes on behind them.
            InvalidRing: the memory is damaged.
        """
        late, self._late = self._late, None
        if late is not None:
            raise late
        found = self._find()
        if found is None:
            return None
        start, length, number = found
        record = bytes(self._segment[start : start + length])
        self._confirm()
        self._step(length, number)
        return record

    def read_many(self, most: int) -> list[bytes]:
        """Return up to ``most`` records at once; where readers are lapped, :meth:`read` says it next.

        Raises:
            Lapped: like :meth:`read`, if nothing was read before it.
            InvalidRing: likewise.
        """
        records: list[bytes] = []
        while len(records) < most:
            try:
                record = self.read()
            except Lapped as late:
                if not records:
                    raise
                self._late = late
                break
            except InvalidRing:
                if not records:
                    raise
                break  # it will be found again
            if record is None:
                break
            records.append(record)
        return records

    @contextmanager
    def borrow(self) -> Iterator[memoryview | None]:
        """Look at the next record where it lies, provisionally; None while there is none.

        What was seen counts only after the block has ended without :class:`Lapped`.

        Raises:
            Lapped: it was overwritten meanwhile, or before.
            InvalidRing: the memory is damaged.
        """
        late, self._late = self._late, None
        if late is not None:
            raise late
        found = self._find()
        if found is None:
            yield None
            return
        start, length, number = found
        with self._segment[start : start + length] as view:
            yield view
        self._confirm()
        self._step(length, number)

    def sleep(self) -> bool:
        """Ask to be woken; False if there is something to read already. Only with a seat."""
        assert self._seat is not None
        self._seat.set(True)
        if self.lag:
            self._seat.set(False)
            return False
        return True

    def rise(self) -> None:
        """Sleep no longer, for whatever reason."""
        if self._seat is not None:
            self._seat.set(False)

    def statistics(self) -> Statistics:
        """Return records read and lost, how often the writer came round, and the lag in bytes."""
        return {"read": self._read, "lost": self._lost, "lapped": self._lapped, "lag": self.lag}

    def _find(self) -> tuple[int, int, int] | None:
        """(place, length, number) of the next record, the skips before it passed over."""
        while there := self._ahead(_PUBLISHED):
            self._confirm()
            place = self._cursor & (self._capacity - 1)
            length, kind, number = _RECORD.unpack_from(self._segment, HEADER_BYTES + place)
            end = place + _padded(length)
            if kind not in (_DATA, _SKIP) or end > self._capacity or end - place > there:
                self._confirm()
                raise InvalidRing("a record", f"kind {kind} of {length} bytes", "one that ends with the data")
            if kind == _DATA:
                return HEADER_BYTES + place + _RECORD.size, length, number
            self._confirm()
            self._cursor += end - place
        return None

    def _confirm(self) -> None:
        """The position check; without the one after the copy a torn record could be returned."""
        if self._ahead(_RESERVED) > self._capacity:
            missed = self._ahead(_PUBLISHED)
            self._cursor += missed
            self._lapped += 1
            raise Lapped(missed)

    def _step(self, length: int, number: int) -> None:
        self._cursor += _padded(length)
        if self._next >= 0:
            self._lost += number - self._next
        self._next = number + 1
        self._read += 1

    def _ahead(self, place: int) -> int:
        """How far the position that stands there is ahead of the cursor; one behind it is very far ahead."""
        return (self._load(place) - self._cursor) & _MASK

    def _load(self, place: int) -> int:
        value: int = _U64.unpack_from(self._segment, place)[0]
        return value


def _padded(length: int) -> int:
    return (_RECORD.size + length + ALIGNMENT - 1) & -ALIGNMENT


def checked_head(head: bytes | memoryview, size_bytes: int) -> int:
    """Return the capacity of a ring whose header is right.

    Args:
        head: the beginning of the segment.
        size_bytes: the size of all of it.

    Raises:
        InvalidRing: this is no ring, or not of this version.
    """
    if size_bytes < HEADER_BYTES:
        raise InvalidRing("its size", f"{size_bytes} bytes", f"at least {HEADER_BYTES}")
    magic, version, header_bytes, capacity, largest = _HEAD.unpack_from(head)
    if magic != MAGIC:
        raise InvalidRing("its beginning", magic, MAGIC)
    if version != VERSION:
        raise InvalidRing("its version", version, VERSION)
    if header_bytes != HEADER_BYTES or capacity != size_bytes - HEADER_BYTES:
        raise InvalidRing("its size", f"{header_bytes} + {capacity} bytes", f"{size_bytes} bytes")
    if capacity < LEAST_CAPACITY or capacity & (capacity - 1) or largest != largest_record(capacity):
        raise InvalidRing("its capacity", f"{capacity} bytes", "a power of two")
    return int(capacity)


def checked_start(start: int | None, published: int) -> int:
    """Return the position at which a reader begins: the one that it was told, or ``published``.

    Raises:
        InvalidPosition: nothing begins there, or not yet.
    """
    if start is not None and (not 0 <= start <= published or start % ALIGNMENT):
        raise InvalidPosition(start, published)
    return published if start is None else start
