"""All outlets of one topic and format."""

@cython.final
cdef class TopicRow:
    """All outlets of one topic and format (:class:`feedmux.core.outbox.TopicRow`)."""

    cdef list _outlets
    cdef readonly object gap

    def __cinit__(self, object gap=None):
        self.gap = gap
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

    def offer_to(self, Outbox outlet not None, bytes frame not None, /):
        outlet._offer(new_parcel(frame, "", self, 0, 0, 0), PyBytes_GET_SIZE(frame))

    def subscribers(self):
        cdef Py_ssize_t index
        return [(<Outbox>PyList_GET_ITEM(self._outlets, index))._owner for index in range(PyList_GET_SIZE(self._outlets))]

    def __contains__(self, outlet):
        return isinstance(outlet, Outbox) and (<Outbox>outlet)._index_of(self) >= 0

    def __len__(self):
        return PyList_GET_SIZE(self._outlets)
