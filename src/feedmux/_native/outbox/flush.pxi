"""Draining outboxes once per turn of the event loop, and the buffer that a cohort shares."""

@cython.final
cdef class Flush:
    """Drain outboxes once per turn of the event loop (:class:`feedmux.core.flush.Flush`).

    Args:
        call_soon: the event loop's.
        most: outboxes that are drained in one turn.
        after: is called when all that was listed at one moment is drained.
    """

    cdef object _call_soon
    cdef object _after
    cdef object _run
    cdef list _dirty
    cdef Py_ssize_t _next
    cdef Py_ssize_t _left
    cdef Py_ssize_t _most
    cdef bint _scheduled
    cdef Pointer *_batch
    cdef Py_ssize_t _batch_count
    cdef Py_ssize_t _batch_room
    cdef char *_joined
    cdef size_t _joined_bytes
    cdef size_t _joined_room
    cdef readonly unsigned long long joins

    def __cinit__(self, object call_soon not None, Py_ssize_t most=512, object after=None):
        self._call_soon = call_soon
        self._after = after
        self._run = self.run
        self._dirty = []
        self._most = most

    def __dealloc__(self):
        release(self._batch, self._batch_count)
        free(self._batch)
        free(self._joined)

    def mark(self, Outbox outbox not None, /):
        self._mark(outbox)

    def run(self):
        """Drain what is listed, at most ``most``; the rest has its turn after everybody else's."""
        cdef Py_ssize_t most = self._most
        cdef Outbox outbox
        if self._left == 0:
            self._left = PyList_GET_SIZE(self._dirty) - self._next
        try:
            while self._left and most:
                outbox = <Outbox>PyList_GET_ITEM(self._dirty, self._next)
                self._next += 1
                self._left -= 1
                most -= 1
                outbox._drain()
        finally:
            self._forget_batch()
            if self._next * 2 > PyList_GET_SIZE(self._dirty):
                del self._dirty[:self._next]
                self._next = 0
            self._scheduled = PyList_GET_SIZE(self._dirty) > self._next
            if self._scheduled:
                self._call_soon(self._run)
        if self._after is not None and self._left == 0:
            self._after()

    cdef int _mark(self, Outbox outbox) except -1:
        self._dirty.append(outbox)
        if not self._scheduled:
            self._scheduled = True
            self._call_soon(self._run)
        return 0

    cdef bint _knows(self, Pointer *parcels, Py_ssize_t count) noexcept:
        return self._batch_count == count and memcmp(self._batch, parcels, count * sizeof(Pointer)) == 0

    cdef ssize_t _send_joined(self, int descriptor) noexcept:
        if self._joined_bytes == 0 and not self._join():
            return send_parcels(descriptor, self._batch, min(self._batch_count, MAX_IOV))
        self.joins += 1
        return send(descriptor, self._joined, self._joined_bytes, MSG_NOSIGNAL | MSG_DONTWAIT)

    cdef bint _join(self) noexcept:
        cdef size_t size = 0, at = 0
        cdef Py_ssize_t index
        cdef void *joined
        for index in range(self._batch_count):
            size += size_of(self._batch[index])
        if size > self._joined_room:
            joined = realloc(self._joined, size)
            if joined == NULL:
                return False
            self._joined, self._joined_room = <char *>joined, size
        for index in range(self._batch_count):
            memcpy(self._joined + at, PyBytes_AS_STRING((<Parcel>self._batch[index]).frame), size_of(self._batch[index]))
            at += size_of(self._batch[index])
        self._joined_bytes = size
        return True

    cdef Pointer *_keep(self, Pointer *parcels, Py_ssize_t count, Py_ssize_t *room) noexcept:
        """Hold what an outbox has just sent, so that its addresses stay its own; the array that is free now."""
        cdef Pointer *former = self._batch
        cdef Py_ssize_t former_room = self._batch_room
        if self._knows(parcels, count):
            release(parcels, count)
            return parcels
        release(former, self._batch_count)
        self._batch, self._batch_count, self._batch_room = parcels, count, room[0]
        self._joined_bytes = 0
        room[0] = former_room
        return former

    cdef void _forget_batch(self) noexcept:
        release(self._batch, self._batch_count)
        self._batch_count = 0
        self._joined_bytes = 0
