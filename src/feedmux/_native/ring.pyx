# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
"""Rings in shared memory, natively; ``feedmux.core.ring`` says what they do, the pages of memory are
``feedmux.client.segment``'s.

Between this and its specification there are three differences. The positions and flags are atomics, as
``ring/sync.h`` explains. A reader looks at ``published`` again only when it has read all that it saw there
before, so that it seldom takes that cache line from the writer. And a reader's seat holds the descriptor of
an eventfd, which is written to without a detour through Python.
"""

cimport cython
from cpython.buffer cimport PyBUF_READ, PyBUF_SIMPLE, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.memoryview cimport PyMemoryView_FromMemory
from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memcmp, memcpy
from posix.unistd cimport write as write_to

from feedmux.core import ring as specification
from feedmux.model.ring_errors import InvalidRing, Lapped, RecordTooLarge

cdef extern from "sync.h" nogil:
    void ring_publish(void *at, uint64_t position)
    uint64_t ring_published(const void *at)
    void ring_reserve(void *at, uint64_t position)
    uint64_t ring_reserved_after(const void *at)
    void ring_full_fence()
    void ring_set_flag(void *at, uint32_t value)
    uint32_t ring_flag(const void *at)
    void ring_fetch(const char *at, uint64_t length)
    void ring_claim(const char *at, uint64_t length)

cdef packed struct Head:
    char magic[8]
    uint32_t version
    uint32_t header_bytes
    uint64_t capacity
    uint64_t largest

cdef packed struct RecordHead:
    uint32_t length
    uint32_t kind
    uint64_t number

cdef enum:
    HEADER_BYTES = 4096
    RESERVED = 64
    PUBLISHED = 128
    RECORD_HEAD = 16
    KIND_DATA = 1
    KIND_SKIP = 2
    STRIDE = 16


cdef inline uint64_t padded(uint64_t length) noexcept:
    return (RECORD_HEAD + length + 15) & ~<uint64_t>15


include "ring/seat.pxi"


@cython.final
@cython.no_gc_clear  # clearing would let go of the memory without giving its buffer back
cdef class RingWriter:
    """The one writer (:class:`feedmux.core.ring.RingWriter`)."""

    cdef Py_buffer _buffer
    cdef bint _is_held
    cdef char *_head
    cdef char *_data
    cdef uint64_t _mask
    cdef uint64_t _end
    cdef uint64_t _published
    cdef uint64_t _reserved
    cdef list _seats
    cdef readonly uint64_t capacity
    cdef readonly uint64_t largest
    cdef uint64_t _records
    cdef uint64_t _wakes

    def __cinit__(self, object segment not None):
        cdef Head head
        PyObject_GetBuffer(segment, &self._buffer, PyBUF_SIMPLE | PyBUF_WRITABLE)
        self._is_held = True
        specification.segment_bytes(self._buffer.len - HEADER_BYTES)
        self._seats = []
        self._head = <char *>self._buffer.buf
        self._data = self._head + HEADER_BYTES
        self.capacity = self._buffer.len - HEADER_BYTES
        self.largest = specification.largest_record(self.capacity)
        self._mask = self.capacity - 1
        memcpy(head.magic, PyBytes_AS_STRING(specification.MAGIC), 8)
        head.version = specification.VERSION
        head.header_bytes = HEADER_BYTES
        head.capacity = self.capacity
        head.largest = self.largest
        memcpy(self._head, &head, sizeof(head))

    def __dealloc__(self):
        self.close()

    def close(self):
        """Let go of the memory; nothing is written any more. What is published can still be read."""
        if self._is_held:
            self._is_held = False
            self._seats = []
            self._head = self._data = NULL
            PyBuffer_Release(&self._buffer)

    def write(self, bytes record not None, /):
        cdef uint64_t length = PyBytes_GET_SIZE(record), size, place, skipped = 0
        if length > self.largest or self._head == NULL:
            raise RecordTooLarge(length, self.largest if self._head != NULL else 0)
        size = padded(length)
        place = self._end & self._mask
        if place + size > self.capacity:
            skipped = self.capacity - place
        if self._end + skipped + size > self._reserved:
            self._reserved = max(self._end + skipped + size, self._end + self.capacity // STRIDE)
            # SYNC: with RingReader._is_late().
            ring_reserve(self._head + RESERVED, self._reserved)
        if skipped:
            self._put(KIND_SKIP, skipped - RECORD_HEAD, NULL)
            self._end += skipped
        self._put(KIND_DATA, length, PyBytes_AS_STRING(record))
        self._end += size
        self._records += 1

    def flush(self):
        cdef int woken = 0
        cdef uint64_t place
        if self._published == self._end or self._head == NULL:
            return 0
        self._published = self._end
        # SYNC: with RingReader._find().
        ring_publish(self._head + PUBLISHED, self._published)
        if self._seats:
            ring_full_fence()  # SYNC: with RingReader.sleep().
            for seat in self._seats:
                woken += (<Seat>seat)._wake()
            self._wakes += woken
        place = self._end & self._mask
        ring_claim(self._data + place, self.capacity - place)
        return woken

    def add(self, Seat seat not None, /):
        self._seats.append(seat)

    def remove(self, Seat seat not None, /):
        self._seats.remove(seat)

    def statistics(self):
        return {
            "records": self._records,
            "bytes": self._end,
            "wakes": self._wakes,
            "readers": len(self._seats),
        }

    cdef void _put(self, uint32_t kind, uint64_t length, const char *payload) noexcept:
        cdef RecordHead head
        cdef char *at = self._data + (self._end & self._mask)
        head.length = <uint32_t>length
        head.kind = kind
        head.number = self._records
        memcpy(at, &head, sizeof(head))
        if payload != NULL:
            memcpy(at + RECORD_HEAD, payload, length)


@cython.final
@cython.no_gc_clear  # clearing would let go of the memory without giving its buffer back
cdef class RingReader:
    """One reader (:class:`feedmux.core.ring.RingReader`)."""

    cdef Py_buffer _buffer
    cdef bint _is_held
    cdef const char *_head
    cdef const char *_data
    cdef uint64_t _capacity
    cdef uint64_t _cursor
    cdef uint64_t _seen
    cdef uint64_t _expected
    cdef bint _knows_number
    cdef Seat _seat
    cdef object _late
    cdef uint64_t _read
    cdef uint64_t _lapped
    cdef uint64_t _lost
    # Of the record that was found last:
    cdef const char *_start
    cdef uint64_t _length
    cdef uint64_t _number

    def __cinit__(self, object segment not None, Seat seat=None, object start=None):
        PyObject_GetBuffer(segment, &self._buffer, PyBUF_SIMPLE)
        self._is_held = True
        self._capacity = self._checked()
        self._seat = seat
        self._head = <const char *>self._buffer.buf
        self._data = self._head + HEADER_BYTES
        # SYNC: with RingWriter.flush().
        self._cursor = specification.checked_start(start, ring_published(self._head + PUBLISHED))
        self._seen = self._cursor

    def __dealloc__(self):
        self.close()

    def close(self):
        """Let go of the memory; there is nothing to read any more."""
        if self._is_held:
            self._is_held = False
            self._head = self._data = NULL
            PyBuffer_Release(&self._buffer)

    @property
    def lag(self):
        return self._lag()

    @property
    def lost(self):
        return self._lost

    def read(self):
        return self._take()

    def read_many(self, Py_ssize_t most, /):
        cdef list records = []
        cdef bytes record
        try:
            while len(records) < most:
                record = self._take()
                if record is None:
                    break
                records.append(record)
        except Lapped as late:
            if not records:
                raise
            self._late = late
        except InvalidRing:
            if not records:
                raise
        return records

    def borrow(self):
        return _Borrowed.__new__(_Borrowed, self)

    def sleep(self):
        assert self._seat is not None
        self._seat.set(True)
        ring_full_fence()  # SYNC: with RingWriter.flush().
        if self._lag():
            self._seat.set(False)
            return False
        return True

    def rise(self):
        if self._seat is not None:
            self._seat.set(False)

    def statistics(self):
        return {"read": self._read, "lost": self._lost, "lapped": self._lapped, "lag": self._lag()}

    cdef bytes _take(self):
        cdef bytes record
        if self._late is not None:
            self._tell()
        if not self._find():
            return None
        record = PyBytes_FromStringAndSize(self._start, self._length)
        if self._is_late():
            raise self._fall_back()
        self._step()
        return record

    cdef uint64_t _lag(self) noexcept:
        return ring_published(self._head + PUBLISHED) - self._cursor if self._head != NULL else 0

    cdef bint _find(self) except -1:
        """Whether there is a record, which is then described in the attributes."""
        cdef RecordHead head
        cdef uint64_t place, size
        if self._head == NULL:
            return False
        while True:
            if self._seen == self._cursor:
                self._seen = ring_published(self._head + PUBLISHED)  # SYNC: with RingWriter.flush().
                if self._seen == self._cursor:
                    return False
                place = self._cursor & (self._capacity - 1)
                ring_fetch(self._data + place, min(self._seen - self._cursor, self._capacity - place))
            if self._is_late():
                raise self._fall_back()
            place = self._cursor & (self._capacity - 1)
            memcpy(&head, self._data + place, sizeof(head))
            size = padded(head.length)
            if (
                head.kind != KIND_DATA and head.kind != KIND_SKIP
                or place + size > self._capacity
                or size > self._seen - self._cursor
            ):
                if self._is_late():
                    raise self._fall_back()
                raise InvalidRing(
                    "a record", f"kind {head.kind} of {head.length} bytes", "one that ends with the data"
                )
            if head.kind == KIND_DATA:
                self._start = self._data + place + RECORD_HEAD
                self._length = head.length
                self._number = head.number
                return True
            if self._is_late():
                raise self._fall_back()
            self._cursor += size

    cdef bint _is_late(self) noexcept:
        # SYNC: with RingWriter.write(); what was copied before this is whole if it says no.
        return ring_reserved_after(self._head + RESERVED) - self._cursor > self._capacity

    cdef object _fall_back(self):
        cdef uint64_t missed = ring_published(self._head + PUBLISHED) - self._cursor
        self._cursor += missed
        self._seen = self._cursor
        self._lapped += 1
        return Lapped(missed)

    cdef int _tell(self) except -1:
        late, self._late = self._late, None
        raise late

    cdef void _step(self) noexcept:
        self._cursor += padded(self._length)
        if self._knows_number:
            self._lost += self._number - self._expected
        self._knows_number = True
        self._expected = self._number + 1
        self._read += 1

    cdef uint64_t _checked(self) except 0:
        """The specification checks the header, on a copy of it and the true size."""
        cdef Head head
        if self._buffer.len < HEADER_BYTES or <size_t>self._buffer.buf & 7:
            raise InvalidRing("its size", f"{self._buffer.len} bytes", f"at least {HEADER_BYTES}, aligned")
        memcpy(&head, self._buffer.buf, sizeof(head))
        return specification.checked_head((<const char *>&head)[: sizeof(head)], self._buffer.len)


@cython.final
cdef class _Borrowed:
    cdef RingReader _reader
    cdef object _view

    def __cinit__(self, RingReader reader not None):
        self._reader = reader

    def __enter__(self):
        cdef RingReader reader = self._reader
        if reader._late is not None:
            reader._tell()
        if reader._find():
            self._view = PyMemoryView_FromMemory(<char *>reader._start, reader._length, PyBUF_READ)
        return self._view

    def __exit__(self, kind, error, trace):
        cdef RingReader reader = self._reader
        if self._view is None:
            return
        view, self._view = self._view, None
        view.release()
        if kind is not None:
            return
        if reader._is_late():
            raise reader._fall_back()
        reader._step()
