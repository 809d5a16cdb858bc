"""All outlets of one topic and format."""

@cython.final
cdef class TopicRow:
    """All outlets of one topic and format (:class:`feedmux.core.outbox.TopicRow`)."""

    cdef list _outlets
    cdef readonly object gap
    cdef readonly bint mends

    def __cinit__(self, object gap=None, bint mends=False):
        self.gap = gap
        self.mends = mends
        self._outlets = []

    def add(self, Outbox outlet not None, object subscriber, /):
        outlet._owner = subscriber
        if outlet._index_of(self) < 0:
            outlet._enter(self, <int>PyList_GET_SIZE(self._outlets))
            self._outlets.append(outlet)

    def discard(self, Outbox outlet not None, /):
        cdef Py_ssize_t index = outlet._index_of(self)
        cdef int place
        cdef Outbox moved
        if index < 0:
            return
        place = outlet._leave(index)
        moved = <Outbox>self._outlets.pop()
        if moved is not outlet:
            self._outlets[place] = moved
            moved._places[moved._index_of(self)] = place
        outlet.forget(self)

    def offer(self, bytes frame not None, str key not None, long long epoch, long long seq, /):
        cdef Parcel parcel = new_parcel(frame, key, self, epoch, seq, 0)
        cdef Py_ssize_t size = PyBytes_GET_SIZE(frame), index = 0
        while index < PyList_GET_SIZE(self._outlets):
            (<Outbox>PyList_GET_ITEM(self._outlets, index))._offer(parcel, size)
            index += 1

    def offer_to(self, Outbox outlet not None, bytes frame not None, long long epoch=0, long long seq=0, /):
        outlet._offer(new_parcel(frame, "", self, epoch, seq, 0), PyBytes_GET_SIZE(frame))

    def subscribers(self):
        cdef Py_ssize_t index
        return [(<Outbox>PyList_GET_ITEM(self._outlets, index))._owner for index in range(PyList_GET_SIZE(self._outlets))]

    def __contains__(self, outlet):
        return isinstance(outlet, Outbox) and (<Outbox>outlet)._index_of(self) >= 0

    def __len__(self):
        return PyList_GET_SIZE(self._outlets)


cdef bint is_mended(Parcel parcel, dict holes) except -1:
    """Whether a parcel need not wait: what tells of the hole before it will have it."""
    if not parcel.seq or parcel.row is None or not parcel.row.mends:
        return False
    return (parcel.row, parcel.epoch) in holes
