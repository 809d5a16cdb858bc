# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
"""Write envelopes down and read them, natively; docs/reference/envelope.md is the layout.

The specification is ``feedmux.wire.envelope``. What is not as it usually is goes there, which says what is
wrong with it: here is no error of its own.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.long cimport PyLong_AsLong, PyLong_AsLongLong, PyLong_AsUnsignedLongLong
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy

from feedmux.model.errors import MalformedMessage
from feedmux.model.event import Envelope, EventKind
from feedmux.wire import envelope as specification

cdef extern from "Python.h":
    bint PyUnicode_CheckExact(object text) noexcept
    const char *PyUnicode_AsUTF8AndSize(object text, Py_ssize_t *size) except NULL

cdef enum:
    HEADER = 48
    FIRST_KIND = 1
    LAST_KIND = 4

cdef object _topic_bytes = specification.topic_bytes
cdef object _read_topic = specification.read_topic
cdef object _new = Envelope
cdef tuple _KINDS = (None, *EventKind)
cdef Py_ssize_t _MOST_TOPIC = specification.MAX_TOPIC_BYTES
cdef Py_ssize_t _MOST_KEY = specification.MAX_KEY_BYTES
cdef Py_ssize_t _MOST_PAYLOAD = specification.MAX_PAYLOAD_BYTES
cdef uint32_t _START = ord("f") | ord("m") << 8 | specification.VERSION << 16

if specification.HEADER.size != HEADER or [int(kind) for kind in EventKind] != [1, 2, 3, 4]:
    raise ImportError("the native envelope is not that of feedmux.wire.envelope")


cdef inline void put(unsigned char *at, uint64_t number, int size) noexcept:
    cdef int place
    for place in range(size):
        at[place] = <unsigned char>(number >> (8 * place))


cdef inline uint64_t take(const unsigned char *at, int size) noexcept:
    cdef uint64_t number = 0
    cdef int place
    for place in range(size):
        number |= <uint64_t>at[place] << (8 * place)
    return number


def encode(envelope, /):
    """Write an envelope down; see ``feedmux.wire.envelope.encode``."""
    cdef Py_ssize_t key_size = 0
    cdef Py_ssize_t topic_size, payload_size
    cdef const char *key_text = NULL
    cdef uint64_t epoch, seq
    cdef int64_t venue_ns, receive_ns
    cdef long kind
    cdef unsigned char *at
    cdef bytes topic = _topic_bytes(envelope.topic)
    cdef object key = envelope.key
    cdef object payload = envelope.payload
    cdef bytes written
    if not PyBytes_CheckExact(payload) or not PyUnicode_CheckExact(key):
        return specification.encode(envelope)
    try:
        if key:
            key_text = PyUnicode_AsUTF8AndSize(key, &key_size)
        epoch = PyLong_AsUnsignedLongLong(envelope.epoch)
        seq = PyLong_AsUnsignedLongLong(envelope.seq)
        venue_ns = PyLong_AsLongLong(envelope.venue_ns)
        receive_ns = PyLong_AsLongLong(envelope.receive_ns)
        kind = PyLong_AsLong(envelope.kind)
    except (OverflowError, TypeError, UnicodeEncodeError):
        return specification.encode(envelope)
    topic_size, payload_size = PyBytes_GET_SIZE(topic), PyBytes_GET_SIZE(payload)
    if key_size > _MOST_KEY or payload_size > _MOST_PAYLOAD or not FIRST_KIND <= kind <= LAST_KIND:
        return specification.encode(envelope)
    written = PyBytes_FromStringAndSize(NULL, HEADER + topic_size + key_size + payload_size)
    at = <unsigned char *>PyBytes_AS_STRING(written)
    put(at, _START | <uint32_t>kind << 24, 4)
    put(at + 4, topic_size, 2)
    put(at + 6, key_size, 2)
    put(at + 8, payload_size, 4)
    put(at + 12, 0, 4)
    put(at + 16, epoch, 8)
    put(at + 24, seq, 8)
    put(at + 32, <uint64_t>venue_ns, 8)
    put(at + 40, <uint64_t>receive_ns, 8)
    memcpy(at + HEADER, PyBytes_AS_STRING(topic), topic_size)
    memcpy(at + HEADER + topic_size, key_text, key_size)
    memcpy(at + HEADER + topic_size + key_size, PyBytes_AS_STRING(payload), payload_size)
    return written


def decode(buffer, /):
    """Read an envelope that fills ``buffer``; see ``feedmux.wire.envelope.decode``."""
    cdef Reader reader
    if PyBytes_CheckExact(buffer):
        reader = Reader.__new__(Reader)
        found = reader.read(<const unsigned char *>PyBytes_AS_STRING(buffer), PyBytes_GET_SIZE(buffer))
        if found is not None and reader.size == PyBytes_GET_SIZE(buffer):
            return found
    return specification.decode(buffer)


def decode_all(joined, /):
    """Read envelopes that stand one after the other; see ``feedmux.wire.envelope.decode_all``."""
    cdef Py_ssize_t done = 0
    cdef Py_ssize_t end
    cdef Reader reader
    cdef list found = []
    if not PyBytes_CheckExact(joined):
        return specification.decode_all(joined)
    reader = Reader.__new__(Reader)
    end = PyBytes_GET_SIZE(joined)
    while True:
        one = reader.read(<const unsigned char *>PyBytes_AS_STRING(joined) + done, end - done)
        if one is None:
            return specification.decode_all(joined)
        found.append(one)
        done += reader.size
        if done == end:
            return found


cdef class Reader:
    """Reads one envelope after the other; neighbours often have one topic."""

    cdef Py_ssize_t size  # of the envelope that was read last
    cdef object topic
    cdef bytes text

    cdef object read(self, const unsigned char *at, Py_ssize_t left):
        """The envelope that begins here, or None."""
        cdef Py_ssize_t topic_size, key_size, payload_size
        cdef object key
        cdef uint32_t start
        cdef const char *text
        cdef bytes topic_text
        if left < HEADER:
            return None
        start = <uint32_t>take(at, 4)
        topic_size = <Py_ssize_t>take(at + 4, 2)
        key_size = <Py_ssize_t>take(at + 6, 2)
        payload_size = <Py_ssize_t>take(at + 8, 4)
        self.size = HEADER + topic_size + key_size + payload_size
        if (
            self.size > left
            or start & 0xFFFFFF != _START
            or not FIRST_KIND <= start >> 24 <= LAST_KIND
            or take(at + 12, 4)
            or topic_size > _MOST_TOPIC
            or key_size > _MOST_KEY
            or payload_size > _MOST_PAYLOAD
        ):
            return None
        text = <const char *>at + HEADER
        if (
            self.text is None
            or PyBytes_GET_SIZE(self.text) != topic_size
            or memcmp(PyBytes_AS_STRING(self.text), text, topic_size)
        ):
            try:
                topic_text = PyBytes_FromStringAndSize(text, topic_size)
                self.topic = _read_topic(topic_text)
            except MalformedMessage:
                return None
            self.text = topic_text
        key = ""
        if key_size:
            try:
                key = PyUnicode_DecodeUTF8(text + topic_size, key_size, NULL)
            except UnicodeDecodeError:
                return None
        return _new(
            self.topic,
            take(at + 16, 8),
            take(at + 24, 8),
            _KINDS[start >> 24],
            <int64_t>take(at + 32, 8),
            <int64_t>take(at + 40, 8),
            key,
            PyBytes_FromStringAndSize(text + topic_size + key_size, payload_size),
        )
