"""Frame what two processes say to each other over a stream of bytes.

Theory of operation
===================

Records are framed as :mod:`feedmux.wire.cutter` says; docs/reference/envelope.md lists the types.
:class:`RecordDecoder` is fed whatever the socket gave and hands out the records that are whole::

    state      record                    result
    expecting  Hello of our VERSION      open
    expecting  anything else             MalformedMessage, broken
    open       a type that it accepts    handed out
    open       anything else             MalformedMessage, broken
    broken     (whatever is fed)         MalformedMessage again

Invariants: fed byte by byte gives what fed whole gives; the records before a fault are handed out
before the fault is raised.

Deliberately absent: a checksum (a Unix socket does not corrupt) and a keepalive (its end tells).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec

from feedmux.model.errors import MalformedMessage
from feedmux.model.event import Envelope
from feedmux.model.topic import Topic
from feedmux.wire import envelope as envelopes
from feedmux.wire.cutter import Cutter, join

VERSION: Final = 1

_FIRST: Final = 1
_HELLO: Final = struct.Struct("<4sH")
_LOST: Final = struct.Struct("<Q")
_ASKER: Final = struct.Struct("<q")
_MAGIC: Final = b"fmux"


class Hello(msgspec.Struct, frozen=True):
    """The first record each way: which version of this protocol is spoken."""

    version: int = VERSION


class Lost(msgspec.Struct, frozen=True):
    """Here ``count`` envelopes were dropped because their reader was slow."""

    count: int


class Want(msgspec.Struct, frozen=True):
    """The reader wants ``topic``; see :meth:`feedmux.model.ports.Source.want`."""

    topic: Topic
    asker: int = 0


class Drop(msgspec.Struct, frozen=True):
    """The reader no longer wants ``topic``."""

    topic: Topic


Record = Hello | Envelope | Lost | Want | Drop


def encode(record: Record) -> bytes:
    """Write one record, header included.

    Raises:
        MalformedMessage: a field does not fit; see :func:`feedmux.wire.envelope.encode`.
    """
    kind, body = _body(record)
    return join(kind, body)


def _body(record: Record) -> tuple[int, bytes]:
    try:
        match record:
            case Envelope():
                return 2, envelopes.encode(record)
            case Hello():
                return 1, _HELLO.pack(_MAGIC, record.version)
            case Lost():
                return 3, _LOST.pack(record.count)
            case Want():
                return 4, _ASKER.pack(record.asker) + envelopes.topic_bytes(record.topic)
            case Drop():
                return 5, envelopes.topic_bytes(record.topic)
    except struct.error as error:
        raise MalformedMessage("record", f"a number does not fit its field: {error}") from error


def _read_hello(body: bytes) -> Hello:
    magic, version = _unpack(_HELLO, body)
    if magic != _MAGIC or version != VERSION:
        raise MalformedMessage("hello", f"{body!r} is not version {VERSION} after {_MAGIC!r}")
    return Hello(version)


def _read_lost(body: bytes) -> Lost:
    return Lost(*_unpack(_LOST, body))


def _read_want(body: bytes) -> Want:
    (asker,) = _unpack(_ASKER, body[: _ASKER.size])
    return Want(envelopes.read_topic(body[_ASKER.size :]), asker)


def _read_drop(body: bytes) -> Drop:
    return Drop(envelopes.read_topic(body))


def _unpack(layout: struct.Struct, body: bytes) -> tuple[Any, ...]:
    if len(body) != layout.size:
        raise MalformedMessage("record", f"its body has {len(body)} bytes; expected {layout.size}")
    return layout.unpack(body)


class _Type(msgspec.Struct, frozen=True):
    """How one type of record is read, and how long its body may be."""

    record: type[Record]
    max_bytes: int
    read: Callable[[bytes], Record]


_TYPES: Final = {
    1: _Type(Hello, _HELLO.size, _read_hello),
    2: _Type(Envelope, envelopes.MAX_ENVELOPE_BYTES, envelopes.decode),
    3: _Type(Lost, _LOST.size, _read_lost),
    4: _Type(Want, _ASKER.size + envelopes.MAX_TOPIC_BYTES, _read_want),
    5: _Type(Drop, envelopes.MAX_TOPIC_BYTES, _read_drop),
}


class RecordDecoder:
    """Cut a stream of bytes into records; see *Theory of operation*.

    Args:
        accepts: the types of record that this end may be sent after the hello.
    """

    __slots__ = ("_cutter",)

    def __init__(self, *accepts: type[Record]) -> None:
        later = {number: kind.max_bytes for number, kind in _TYPES.items() if kind.record in accepts}
        self._cutter = Cutter({_FIRST: _HELLO.size}, later)

    @property
    def is_open(self) -> bool:
        """True once the peer's hello was read and nothing was wrong since."""
        return self._cutter.is_open

    def feed(self, data: bytes) -> None:
        """Take what the socket gave; ask :meth:`records` afterwards."""
        self._cutter.feed(data)

    def records(self) -> Iterator[Record]:
        """Hand out the records that are whole; who stops early goes on with the next call.

        The hello is checked and kept back.

        Raises:
            MalformedMessage: the peer broke the protocol; there is no way back.
        """
        for number, body in self._cutter.bodies():
            try:
                record = _TYPES[number].read(body)
            except MalformedMessage as error:
                self._cutter.fail(error)
            if type(record) is not Hello:
                yield record
