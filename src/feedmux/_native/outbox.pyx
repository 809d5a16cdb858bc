# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
"""Outboxes, rows and the flush, natively; ``feedmux.core.outbox`` and ``feedmux.core.flush`` say
what they do.

Theory of operation
-------------------
What runs per delivery is C: a row loops over its outlets and stores one pointer in each, a flush
makes one system call for each outbox that has something. Python is called back where something
is out of the ordinary.

=========================  ==================================================================
call to Python             when
=========================  ==================================================================
``dirty(outbox)``          only where the outbox was made without a :class:`Flush`
``writer.write(frames)``   no descriptor was lent: TLS, a connection that is closing
``writer.rest(bytes)``     the socket took only part of a frame, or nothing
``writer.broken()``        the socket cannot be written to
``writer.overflow()``      full
``row.gap(...)``           a hole is told
=========================  ==================================================================

A callback may come back (a transport that is given the rest of a frame says that it is full in
the middle of the write), so a drain first takes what waits out of the outbox and holds it itself.

An outbox owns one reference to each parcel that waits; the collector of circles does not see
these. :meth:`Outbox.drop`, with which every client ends, lets go of them and of its writer, so that a
client leaves no circle at all.

*Cohorts.* Clients that hold the same streams hold the same parcels when they are drained, one
after the other. So a flush keeps the parcels of the last outbox that took more than one; another
that waits with exactly these is sent one joined buffer, made when it is first needed. Nobody has
to know who is in a cohort, and a cohort that falls apart costs nothing.

The files of the folder ``outbox`` are parts of this one extension, so that a row's loop over its
outboxes is one piece of C.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.list cimport PyList_GET_ITEM, PyList_GET_SIZE
from cpython.ref cimport Py_DECREF, Py_INCREF, PyObject
from libc.errno cimport EAGAIN, EINTR, errno
from libc.stdlib cimport free, realloc
from libc.string cimport memcmp, memcpy, memset

include "outbox/parcel.pxi"


@cython.final
cdef class Outbox:
    """One client's waiting frames (:class:`feedmux.core.outbox.Outbox`).

    Args:
        writer: the client's socket, a :class:`feedmux.model.ports.DirectWriter`.
        dirty: a :class:`Flush`, or what is called when there is something to drain.
        limits: its bounds.
    """

    cdef Pointer *_parcels
    cdef Py_ssize_t _count
    cdef Py_ssize_t _room
    cdef Py_ssize_t _bytes
    cdef Py_ssize_t _max_bytes
    cdef Py_ssize_t _max_frames
    cdef int _descriptor
    cdef bint _listed
    cdef bint _paused
    cdef bint _full
    cdef bint _telling
    cdef bint _may_lose
    cdef Flush _flush
    cdef object _dirty
    cdef object _writer
    cdef object _owner
    cdef dict _waiting
    cdef dict _holes
    cdef list _rows  # that it is in, and its place in each
    cdef int *_places
    cdef Py_ssize_t _places_room
    cdef readonly unsigned long long sent
    cdef readonly unsigned long long conflated
    cdef readonly unsigned long long gaps
    cdef readonly unsigned long long lost

    def __cinit__(self, object writer not None, object dirty not None, object limits not None):
        self._writer = writer
        if isinstance(dirty, Flush):
            self._flush = <Flush>dirty
        else:
            self._dirty = dirty
        self._max_frames = limits.frames
        self._max_bytes = limits.size_bytes
        self._may_lose = limits.gaps
        self._descriptor = -1
        self._rows = []

    def __dealloc__(self):
        release(self._parcels, self._count)
        free(self._parcels)
        free(self._places)

    @property
    def paused(self):
        return self._paused

    @property
    def full(self):
        return self._full

    @property
    def waiting_bytes(self):
        return self._bytes

    def lend(self, int descriptor, /):
        """Let frames be written to ``descriptor``, past the writer; -1 ends it at once."""
        self._descriptor = descriptor

    def offer(self, Parcel parcel not None, /):
        self._offer(parcel, PyBytes_GET_SIZE(parcel.frame))

    def drain(self):
        self._drain()

    def pause(self):
        cdef Pointer *parcels
        cdef Py_ssize_t count
        if self._paused:
            return
        self._paused = True
        parcels, count = self._parcels, self._count
        self._parcels, self._count, self._room, self._bytes = NULL, 0, 0, 0
        try:
            self._park(parcels, count)
        finally:
            release(parcels, count)
            free(parcels)

    def resume(self):
        if self._full:
            return
        if self._paused:
            self._paused = False
            waiting, self._waiting, self._bytes = self._waiting, None, 0
            self._tell()
            if waiting is not None:
                for parcel in waiting.values():
                    self._append(<Parcel>parcel, PyBytes_GET_SIZE((<Parcel>parcel).frame))
        if self._count and not self._listed:
            self._list()

    def forget(self, TopicRow row not None, /):
        cdef Parcel parcel
        if self._waiting is not None:
            for key in [key for key, waits in self._waiting.items() if (<Parcel>waits).row is row]:
                parcel = self._waiting.pop(key)
                self._bytes -= PyBytes_GET_SIZE(parcel.frame)
        if self._holes is not None:
            for hole in [hole for hole in self._holes if hole[0] is row]:
                del self._holes[hole]

    def drop(self):
        cdef Pointer *parcels = self._parcels
        cdef Py_ssize_t count = self._count
        self._parcels, self._count, self._room, self._bytes = NULL, 0, 0, 0
        self._waiting = self._holes = self._writer = self._owner = None
        self._descriptor = -1
        self._full = self._paused = True
        release(parcels, count)
        free(parcels)

    def statistics(self):
        return {
            "sent": self.sent,
            "conflated": self.conflated,
            "gaps": self.gaps,
            "lost": self.lost,
            "waiting_frames": self._count + (len(self._waiting) if self._waiting is not None else 0),
            "waiting_bytes": self._bytes,
            "paused": self._paused,
            "full": self._full,
        }

    # per delivery

    cdef inline int _offer(self, Parcel parcel, Py_ssize_t size) except -1:
        if self._paused:
            return self._wait(parcel)
        self._append(parcel, size)
        if not self._listed:
            self._list()
        elif self._bytes > self._max_bytes or self._count > self._max_frames:
            self._drain()
        return 0

    cdef inline int _append(self, Parcel parcel, Py_ssize_t size) except -1:
        if self._count == self._room:
            self._grow()
        Py_INCREF(parcel)
        self._parcels[self._count] = <Pointer>parcel
        self._count += 1
        self._bytes += size
        return 0

    cdef int _drain(self) except -1:
        cdef Pointer *parcels = self._parcels
        cdef Py_ssize_t count = self._count, room = self._room, taken = 0
        self._listed = False
        if self._paused or count == 0:
            return 0
        self._parcels, self._count, self._room, self._bytes = NULL, 0, 0, 0
        try:
            taken = self._send(parcels, count) if self._descriptor >= 0 else self._write(parcels, count)
            self._account(parcels, taken)
            if taken < count:
                self._paused = True
                self._park(parcels + taken, count - taken)
        finally:
            self._put_away(parcels, count, room, taken)
        return 0

    cdef Py_ssize_t _send(self, Pointer *parcels, Py_ssize_t count) except -1:
        """Write to the descriptor; how many were taken."""
        cdef Py_ssize_t done = 0, end, size
        cdef ssize_t sent
        cdef bytes rest
        while done < count:
            end = count if count - done <= MAX_IOV else done + MAX_IOV
            if done == 0 and count > 1 and self._flush is not None and self._flush._knows(parcels, count):
                end = count
                sent = self._flush._send_joined(self._descriptor)
            else:
                sent = send_parcels(self._descriptor, parcels + done, end - done)
            if sent < 0:
                if errno == EINTR:
                    continue
                if errno != EAGAIN:
                    self._descriptor = -1
                    self._writer.broken()
                    return count
                sent = 0
            while done < end:
                size = size_of(parcels[done])
                if sent < size:
                    break
                sent -= size
                done += 1
            if done < end:
                # The rest goes to the transport at once: until that is empty nothing may be written
                # here, or a pong would land inside this frame.
                rest = (<Parcel>parcels[done]).frame
                if sent:
                    rest = PyBytes_FromStringAndSize(PyBytes_AS_STRING(rest) + sent, size - sent)
                done += 1
                if not self._writer.rest(rest):
                    return done
                if self._descriptor < 0:
                    return count
        return done

    cdef Py_ssize_t _write(self, Pointer *parcels, Py_ssize_t count) except -1:
        """Give the writer the frames; how many it took."""
        cdef Py_ssize_t index
        frames = [(<Parcel>parcels[index]).frame for index in range(count)]
        return self._writer.write(frames)

    cdef void _account(self, Pointer *parcels, Py_ssize_t taken) noexcept:
        cdef Py_ssize_t index
        self.sent += taken
        if self._telling:
            self._telling = False
            for index in range(taken):
                self.gaps += (<Parcel>parcels[index]).last != 0

    cdef void _put_away(self, Pointer *parcels, Py_ssize_t count, Py_ssize_t room, Py_ssize_t taken) noexcept:
        """Let go what was drained, and keep its room if that is small or was used."""
        if taken == count > 1 and self._flush is not None and self._descriptor >= 0:
            parcels = self._flush._keep(parcels, count, &room)
        else:
            release(parcels, count)
        if self._parcels == NULL and (room <= KEPT_ROOM or count * 4 > room) and not self._full:
            self._parcels, self._room = parcels, room
        else:
            free(parcels)

    cdef int _grow(self) except -1:
        cdef Py_ssize_t room = self._room * 2 if self._room else 4
        cdef void *parcels = realloc(self._parcels, room * sizeof(Pointer))
        if parcels == NULL:
            raise MemoryError
        self._parcels, self._room = <Pointer *>parcels, room
        return 0

    cdef int _list(self) except -1:
        self._listed = True
        if self._flush is not None:
            self._flush._mark(self)
        else:
            self._dirty(self)
        return 0

    # while the socket is full

    cdef int _park(self, Pointer *parcels, Py_ssize_t count) except -1:
        cdef Py_ssize_t index
        for index in range(count):
            self._wait(<Parcel>parcels[index])
        return 0

    cdef int _wait(self, Parcel parcel) except -1:
        if self._full:
            return 0
        if parcel.last or (self._holes is not None and is_mended(parcel, self._holes)):
            self.lost += parcel.last == 0
            return self._widen(parcel, parcel.last or parcel.seq)
        if self._waiting is None:
            self._waiting = {}
        if parcel.key:
            replaced = self._waiting.pop(parcel.key, None)
            if replaced is not None:
                self.conflated += 1
                self._bytes -= PyBytes_GET_SIZE((<Parcel>replaced).frame)
            self._waiting[parcel.key] = parcel
        else:
            self._waiting[parcel] = parcel
        self._bytes += PyBytes_GET_SIZE(parcel.frame)
        if self._is_over() and not self._relieve():
            writer = self._writer
            self.drop()
            writer.overflow()
        return 0

    cdef inline bint _is_over(self):
        return self._bytes > self._max_bytes or len(self._waiting) > self._max_frames

    cdef bint _relieve(self) except -1:
        """Let go what may be lost if it is told; whether the bounds hold again."""
        cdef Parcel parcel
        if self._may_lose:
            for key, waits in list(self._waiting.items()):
                parcel = <Parcel>waits
                if parcel.seq and not parcel.key and parcel.row is not None and parcel.row.gap is not None:
                    del self._waiting[key]
                    self._bytes -= PyBytes_GET_SIZE(parcel.frame)
                    self.lost += 1
                    self._widen(parcel, parcel.seq)
        return not self._is_over()

    cdef int _widen(self, Parcel parcel, long long last) except -1:
        if self._holes is None:
            self._holes = {}
        hole = (parcel.row, parcel.epoch)
        first, known = self._holes.get(hole, (parcel.seq, last))
        self._holes[hole] = (first, max(known, last))
        return 0

    cdef int _tell(self) except -1:
        """Put the frames that tell of holes ahead of all that waits."""
        holes, self._holes = self._holes, None
        if holes is None:
            return 0
        for (row, epoch), (first, last) in holes.items():
            frame = row.gap(epoch, first, last)
            self._append(new_parcel(frame, "", row, epoch, first, last), len(frame))
            self._telling = True
        return 0

    # rows

    cdef Py_ssize_t _index_of(self, TopicRow row) noexcept:
        cdef Py_ssize_t index
        for index in range(PyList_GET_SIZE(self._rows)):
            if PyList_GET_ITEM(self._rows, index) == <Pointer>row:
                return index
        return -1

    cdef int _enter(self, TopicRow row, int place) except -1:
        cdef Py_ssize_t count = PyList_GET_SIZE(self._rows), room
        cdef void *places
        if count == self._places_room:
            room = count + 4 + count // 4
            places = realloc(self._places, room * sizeof(int))
            if places == NULL:
                raise MemoryError
            self._places, self._places_room = <int *>places, room
        self._places[count] = place
        self._rows.append(row)
        return 0

    cdef int _leave(self, Py_ssize_t index) except -1:
        """Forget a row; its last one takes its index. Where in it this outbox was."""
        cdef int place = self._places[index]
        last = self._rows.pop()
        if index < PyList_GET_SIZE(self._rows):
            self._rows[index] = last
            self._places[index] = self._places[PyList_GET_SIZE(self._rows)]
        return place


include "outbox/flush.pxi"
include "outbox/row.pxi"
