@cython.final
@cython.no_gc_clear  # clearing would let go of the memory without giving its buffer back
cdef class Seat:
    """Where one reader sleeps (:class:`feedmux.core.ring.Seat`).

    Args:
        page: at least 4 bytes, aligned to 4, that writer and reader share; it may be written to.
        descriptor: an eventfd that does not block; whoever made it closes it.
    """

    cdef Py_buffer _buffer
    cdef bint _is_held
    cdef readonly int descriptor

    def __cinit__(self, object page not None, int descriptor):
        PyObject_GetBuffer(page, &self._buffer, PyBUF_SIMPLE | PyBUF_WRITABLE)
        self._is_held = True
        if self._buffer.len < 4 or <size_t>self._buffer.buf & 3:
            raise InvalidRing("a seat", f"{self._buffer.len} bytes", "at least 4, aligned")
        self.descriptor = descriptor

    def __dealloc__(self):
        self.close()

    @property
    def is_asleep(self):
        return self._is_held and ring_flag(self._buffer.buf) != 0

    def set(self, bint is_asleep, /):
        if self._is_held:
            ring_set_flag(self._buffer.buf, is_asleep)

    def close(self):
        """Let go of the page; nobody sleeps here any more."""
        if self._is_held:
            self._is_held = False
            PyBuffer_Release(&self._buffer)

    cdef bint _wake(self) noexcept:
        cdef uint64_t one = 1
        # SYNC: with RingReader.sleep(); the fence was made by RingWriter.flush().
        if not self._is_held or ring_flag(self._buffer.buf) == 0:
            return False
        ring_set_flag(self._buffer.buf, 0)
        write_to(self.descriptor, &one, sizeof(one))  # at worst it has been woken already
        return True
