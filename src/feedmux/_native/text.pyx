# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
"""Write the JSON texts and frames that are made once per message, natively.

Their specifications: ``feedmux.wire.frame`` for :func:`data_frame` and :func:`data_text`, and for
:class:`MergedText` ``feedmux.feed.writer.RenderedMerge`` with the venue's own writer of the same
plan, e.g. ``feedmux.venue.bybit_data.write_ticker``.

A merged text keeps each member as it is written (``,"price":"1.5"``), so a change writes only the
members that it names, and the object is put together by copying.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.dict cimport PyDict_GetItem, PyDict_Next, PyDict_Size
from cpython.list cimport PyList_GET_ITEM
from cpython.object cimport PyObject
from libc.stdlib cimport realloc
from libc.string cimport memcpy

import msgspec

from feedmux.core.ticker import MAX_FIELDS, Unmerged

cdef extern from "Python.h":
    bint PyUnicode_IS_COMPACT_ASCII(PyObject *text) noexcept
    Py_ssize_t PyUnicode_GET_LENGTH(PyObject *text) noexcept
    const unsigned char *PyUnicode_1BYTE_DATA(PyObject *text) noexcept

cdef enum:
    LONGEST_NUMBER = 20  # digits and sign of 64 bits
    LONGEST_HEAD = 10  # a frame's

cdef object _encode = msgspec.json.Encoder().encode
cdef object _WAITING = Unmerged.WAITING
cdef object _DESYNC = Unmerged.DESYNC
cdef Py_ssize_t _MOST = MAX_FIELDS
cdef bytes _TIMESTAMP = b',"timestamp":'
cdef bytes _SEQ = b',"seq":'


cdef inline char *put(char *at, const char *text, Py_ssize_t size) noexcept:
    memcpy(at, text, size)
    return at + size


cdef inline char *put_bytes(char *at, bytes text) noexcept:
    return put(at, PyBytes_AS_STRING(text), PyBytes_GET_SIZE(text))


cdef char *put_number(char *at, long long number) noexcept:
    cdef char digits[LONGEST_NUMBER]
    cdef int count = 0
    cdef unsigned long long left = <unsigned long long>number
    if number < 0:
        at[0] = c"-"
        at += 1
        left = 0 - left
    while True:
        count += 1
        digits[LONGEST_NUMBER - count] = <char>(48 + left % 10)
        left //= 10
        if left == 0:
            return put(at, digits + LONGEST_NUMBER - count, count)


cdef int write_head(char *head, Py_ssize_t size) noexcept:
    """A server's text frame of ``size`` bytes begins like this (RFC 6455, 5.2); its length."""
    cdef int index
    head[0] = <char>0x81
    if size < 126:
        head[1] = <char>size
        return 2
    if size < 65536:
        head[1] = 126
        head[2] = <char>(size >> 8)
        head[3] = <char>(size & 0xFF)
        return 4
    head[1] = 127
    for index in range(8):
        head[2 + index] = <char>((size >> (56 - 8 * index)) & 0xFF)
    return 10


cdef bytes data_message(bytes prefix, bytes payload, long long milliseconds, bytes source, long long seq,
                        bint is_framed):
    cdef char end[2 * LONGEST_NUMBER + 32]
    cdef char head[LONGEST_HEAD]
    cdef char *at = put_bytes(end, _TIMESTAMP)
    cdef char *seq_from
    cdef Py_ssize_t size
    cdef int head_size
    cdef bytes frame
    at = put_number(at, milliseconds)
    seq_from = at
    at = put_number(put_bytes(at, _SEQ), seq)
    at[0] = c"}"
    at += 1
    size = PyBytes_GET_SIZE(prefix) + PyBytes_GET_SIZE(payload) + PyBytes_GET_SIZE(source) + (at - end)
    head_size = write_head(head, size) if is_framed else 0
    frame = PyBytes_FromStringAndSize(NULL, head_size + size)
    cdef char *out = put(PyBytes_AS_STRING(frame), head, head_size)
    out = put_bytes(put_bytes(out, prefix), payload)
    out = put_bytes(put(out, end, seq_from - end), source)
    put(out, seq_from, at - seq_from)
    return frame


def data_frame(bytes prefix not None, bytes payload not None, long long milliseconds,
               bytes source not None, long long seq, /):
    return data_message(prefix, payload, milliseconds, source, seq, True)


def data_text(bytes prefix not None, bytes payload not None, long long milliseconds,
              bytes source not None, long long seq, /):
    return data_message(prefix, payload, milliseconds, source, seq, False)


cdef char *_room = NULL  # where objects are put together; as long as the longest one
cdef Py_ssize_t _room_size = 0


cdef char *room_for(Py_ssize_t size) except NULL:
    global _room, _room_size
    cdef void *room
    if size > _room_size:
        room = realloc(_room, 2 * size)
        if room == NULL:
            raise MemoryError
        _room, _room_size = <char *>room, 2 * size
    return _room


cdef bytes member_text(bytes label, str text):
    """A member as it is written: label and JSON string."""
    cdef Py_ssize_t size, index
    cdef const unsigned char *letters
    cdef bytes written
    cdef char *at
    if PyUnicode_IS_COMPACT_ASCII(<PyObject *>text):
        size, letters = PyUnicode_GET_LENGTH(<PyObject *>text), PyUnicode_1BYTE_DATA(<PyObject *>text)
        for index in range(size):
            if letters[index] < 0x20 or letters[index] == 0x22 or letters[index] == 0x5C:
                break
        else:
            written = PyBytes_FromStringAndSize(NULL, PyBytes_GET_SIZE(label) + size + 2)
            at = put_bytes(PyBytes_AS_STRING(written), label)
            at[0] = c'"'
            at = put(at + 1, <const char *>letters, size)
            at[0] = c'"'
            return written
    return label + _encode(text)


@cython.final
cdef class ObjectText:
    """How objects of one plan are written.

    Args:
        plan: see :data:`feedmux.venue.bybit_data.TICKER_PLAN`.
    """

    cdef dict _places  # a name of the state: where its member stands
    cdef list _labels
    cdef list _converts
    cdef list _inside  # the label of the object that a member stands in, or None
    cdef Py_ssize_t _more  # bytes of all that is written between members

    def __cinit__(self, tuple plan not None):
        self._places, self._labels, self._converts, self._inside = {}, [], [], []
        self._more = 1
        for name, source, *convert in plan:
            if isinstance(source, tuple):
                label = b',"%s":' % name.encode()
                self._more += len(label) + 2
                for member in source:
                    self._add(label, *member)
            else:
                self._add(None, name, source, *convert)

    def _add(self, inside, str name, str source, convert=None):
        self._places[source] = len(self._labels)
        self._labels.append(b',"%s":' % name.encode())
        self._converts.append(convert)
        self._inside.append(inside)


@cython.final
cdef class MergedText:
    """One ticker's state, merged and written (:class:`feedmux.feed.writer.RenderedMerge`).

    Args:
        how: the plan of its object.
        symbol: the first member.
    """

    cdef ObjectText _how
    cdef bytes _head
    cdef list _members
    cdef long long _order
    cdef Py_ssize_t _size  # bytes of all members

    def __cinit__(self, ObjectText how not None, str symbol not None):
        self._how = how
        self._head = b'{"symbol":' + _encode(symbol)
        self.clear()

    def clear(self):
        self._members = [None] * len(self._how._labels)
        self._order = -1
        self._size = 0

    def apply(self, bint snapshot, long long order, dict fields not None, /):
        cdef PyObject *name
        cdef PyObject *text
        cdef PyObject *place
        cdef Py_ssize_t position = 0
        if snapshot:
            self.clear()
        elif self._order < 0:
            return _WAITING
        if order < self._order or PyDict_Size(fields) > _MOST:
            self.clear()
            return _DESYNC
        self._order = order
        while PyDict_Next(fields, &position, &name, &text):
            place = PyDict_GetItem(self._how._places, <object>name)
            if place != NULL:
                self._set(<object>place, <object>text)
        return self._written()

    cdef int _set(self, Py_ssize_t place, str text) except -1:
        cdef bytes member = None
        cdef object former = self._members[place]
        cdef object convert = self._how._converts[place]
        if text and convert is not None:
            text = convert(text)
        if text:
            member = member_text(<bytes>self._how._labels[place], text)
            self._size += PyBytes_GET_SIZE(member)
        if former is not None:
            self._size -= PyBytes_GET_SIZE(<bytes>former)
        self._members[place] = member
        return 0

    cdef bytes _written(self):
        cdef char *at = put_bytes(room_for(PyBytes_GET_SIZE(self._head) + self._size + self._how._more), self._head)
        cdef PyObject *inside = <PyObject *>None
        cdef PyObject *around
        cdef PyObject *member
        cdef Py_ssize_t index
        for index in range(len(self._members)):
            member = PyList_GET_ITEM(self._members, index)
            if member == <PyObject *>None:
                continue
            around = PyList_GET_ITEM(self._how._inside, index)
            if around != inside:
                if inside != <PyObject *>None:
                    at[0] = c"}"
                    at += 1
                if around != <PyObject *>None:
                    at = put_bytes(at, <bytes>around)
                    put_bytes(at, <bytes>member)
                    at[0] = c"{"  # in place of the first member's comma
                    at += PyBytes_GET_SIZE(<bytes>member)
                    inside = around
                    continue
                inside = around
            at = put_bytes(at, <bytes>member)
        if inside != <PyObject *>None:
            at[0] = c"}"
            at += 1
        at[0] = c"}"
        return PyBytes_FromStringAndSize(_room, at + 1 - _room)
