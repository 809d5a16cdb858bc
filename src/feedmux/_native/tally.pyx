# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
"""Counts in shared memory, natively; ``feedmux.core.tally`` says what they are for.

SYNC: each process adds to its own count and then sums all of them, with sequential consistency, so that
of two that do so at once at least one sees the other (``tally/count.h``).
"""

cimport cython
from cpython.buffer cimport PyBUF_SIMPLE, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from libc.stdint cimport int32_t, uint32_t

from feedmux.core import tally as specification
from feedmux.model.errors import InvalidSetting

cdef extern from "count.h" nogil:
    void count_add(void *at, int32_t by)
    void count_set(void *at, uint32_t to)
    uint32_t count_of(const void *at)

cdef enum:
    PLACES = 64
    PLACE_BYTES = 64


@cython.final
@cython.no_gc_clear  # clearing would let go of the memory without giving its buffer back
cdef class Tally:
    """The counts, as one process sees them (:class:`feedmux.core.tally.Tally`)."""

    cdef Py_buffer _buffer
    cdef bint _is_held
    cdef int _place

    def __cinit__(self, object page not None, int place):
        PyObject_GetBuffer(page, &self._buffer, PyBUF_SIMPLE | PyBUF_WRITABLE)
        self._is_held = True
        specification.check(self._buffer.len, place)
        if <size_t>self._buffer.buf & 3:
            raise InvalidSetting("page", "at an odd address", "one that is aligned")
        self._place = place

    def __dealloc__(self):
        if self._is_held:
            PyBuffer_Release(&self._buffer)

    @property
    def total(self):
        return self._total()

    @property
    def own(self):
        return count_of(self._at(self._place))

    def enter(self, uint32_t most, /):
        count_add(self._at(self._place), 1)
        if self._total() <= most:
            return True
        self.leave()
        return False

    def leave(self):
        count_add(self._at(self._place), -1)

    def clear(self, int place, /):
        specification.check(PLACES * PLACE_BYTES, place)
        count_set(self._at(place), 0)

    cdef void *_at(self, int place) noexcept:
        return <char *>self._buffer.buf + place * PLACE_BYTES

    cdef uint32_t _total(self) noexcept:
        cdef uint32_t total = 0
        cdef int place
        for place in range(PLACES):
            total += count_of(self._at(place))
        return total
