"""Frame what programs of one machine say to the broker that shares their WebSockets, and it to them.

Theory of operation
===================

Both speak in records over a Unix stream socket: a header of 5 bytes (u32 length of the body, u8 type,
little-endian) and a body, which is the fields of the type one after the other
(:mod:`feedmux.wire.local_records`). What comes from the WebSockets is not in them but in a ring in shared
memory (docs/reference/ring.md), as entries: a header of 24 bytes and a payload.

:class:`LocalDecoder` is fed whatever the socket gave and hands out the records that are whole. The first one
has to be the hello, or the welcome or why there is none; a length is checked against the bound of its type
before the body is waited for. Fed byte by byte it gives what it gives fed whole.

Deliberately absent: descriptors, which travel beside ``Opened``, and who may say what when.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any, Final, NoReturn

import msgspec

from feedmux.model.errors import MalformedMessage
from feedmux.wire.local_records import (
    MAX_ITEMS,
    MAX_MESSAGE_BYTES,
    MAX_TEXT_BYTES,
    VERSION,
    Failed,
    Hello,
    Message,
    Record,
    Welcome,
)

MAX_BODY_BYTES: Final = MAX_MESSAGE_BYTES + 256 * 1024

_MAGIC: Final = 0x6F6C6D66  # the letters fmlo
_HEADER: Final = struct.Struct("<IB")
_HEAD: Final = struct.Struct("<IH")
_LONG: Final = frozenset("bM")
_SHORT_BYTES: Final = 3 * MAX_ITEMS * (MAX_TEXT_BYTES + 2)  # of a body without long fields
_NUMBERS: Final = {code: struct.Struct(f"<{code}") for code in "BHIQ"}


class OtherVersion(MalformedMessage):
    """The other end speaks another version of the protocol."""

    code = "VERSION"


def encode(record: Record) -> bytes:
    """Write a record, header included.

    Raises:
        MalformedMessage: a field is longer than its bound, or does not fit.
    """
    parts = [_HEAD.pack(_MAGIC, VERSION)] if isinstance(record, Hello | Welcome) else []
    for letter, value in zip(record.layout, msgspec.structs.astuple(record), strict=True):
        _write(parts, letter, value)
    size = sum(map(len, parts))
    if size > MAX_BODY_BYTES:
        raise MalformedMessage("record", f"its body has {size} bytes; the bound is {MAX_BODY_BYTES}")
    return b"".join((_HEADER.pack(size, record.number), *parts))


def _write(parts: list[bytes], letter: str, value: Any) -> None:
    if letter in _NUMBERS:
        try:
            parts.append(_NUMBERS[letter].pack(value))
        except struct.error as error:
            raise MalformedMessage("record", f"a number does not fit its field: {error}") from error
    elif letter == "s":
        text = _text_bytes(value)
        parts += (_NUMBERS["H"].pack(len(text)), text)
    elif letter == "b":
        if len(value) > MAX_MESSAGE_BYTES:
            raise MalformedMessage("record", f"{len(value)} bytes; the bound is {MAX_MESSAGE_BYTES}")
        parts += (_NUMBERS["I"].pack(len(value)), value)
    else:
        if len(value) > MAX_ITEMS:
            raise MalformedMessage("record", f"{len(value)} items; the bound is {MAX_ITEMS}")
        parts.append(_NUMBERS["H"].pack(len(value)))
        for item in value:
            if letter == "S":
                _write(parts, "s", item)
            elif letter == "P":
                _write(parts, "s", item[0])
                _write(parts, "s", item[1])
            else:
                _write(parts, "B", int(item.is_binary))
                _write(parts, "b", item.payload)


def _text_bytes(text: str) -> bytes:
    try:
        found = text.encode()
    except UnicodeEncodeError as error:
        raise MalformedMessage("text", f"it is not Unicode: {error.reason}") from error
    if len(found) > MAX_TEXT_BYTES:
        raise MalformedMessage("text", f"it has {len(found)} bytes; the bound is {MAX_TEXT_BYTES}")
    return found


class _Body:
    """Reads the fields of a body, one after the other."""

    def __init__(self, body: bytes) -> None:
        self._body, self._at = body, 0

    def head(self) -> None:
        """Check the magic and the version."""
        magic, version = _HEAD.unpack(self._cut(_HEAD.size))
        if magic != _MAGIC:
            raise MalformedMessage("hello", "it does not begin with the letters fmlo")
        if version != VERSION:
            raise OtherVersion("hello", f"it speaks version {version}; expected {VERSION}")

    def read(self, letter: str) -> Any:
        """The next field."""
        if letter in _NUMBERS:
            number = _NUMBERS[letter]
            return number.unpack(self._cut(number.size))[0]
        if letter == "s":
            return self._text()
        if letter == "b":
            return self._cut(self._count("I", MAX_MESSAGE_BYTES))
        count = self._count("H", MAX_ITEMS)
        if letter == "S":
            return tuple(self._text() for _ in range(count))
        if letter == "P":
            return tuple((self._text(), self._text()) for _ in range(count))
        return tuple(self._message() for _ in range(count))

    def end(self) -> None:
        """Nothing may be left."""
        if self._at != len(self._body):
            raise MalformedMessage("record", f"its body has {len(self._body) - self._at} bytes too many")

    def _message(self) -> Message:
        is_binary = self.read("B")
        if is_binary > 1:
            raise MalformedMessage(
                "message", f"{is_binary} does not say whether it is binary; expected 0 or 1"
            )
        return Message(self.read("b"), bool(is_binary))

    def _text(self) -> str:
        text = self._cut(self._count("H", MAX_TEXT_BYTES))
        try:
            return text.decode()
        except UnicodeDecodeError as error:
            raise MalformedMessage("text", f"it is not UTF-8: {error.reason}") from error

    def _count(self, letter: str, most: int) -> int:
        count: int = self.read(letter)
        if count > most:
            raise MalformedMessage("record", f"a length of {count}; the bound is {most}")
        return count

    def _cut(self, size: int) -> bytes:
        found = self._body[self._at : self._at + size]
        if len(found) != size:
            raise MalformedMessage("record", "its body ends within a field")
        self._at += size
        return found


class LocalDecoder:
    """Cut a stream of bytes into records; see *Theory of operation*.

    Args:
        accepts: the types of record that this end may be sent, the first one first.
    """

    __slots__ = ("_accepts", "_buffer", "_expected", "_failure")

    def __init__(self, accepts: tuple[type[Record], ...]) -> None:
        self._accepts = {kind.number: kind for kind in accepts[1:]}
        self._expected = {kind.number: kind for kind in accepts if kind is accepts[0] or kind is Failed}
        self._buffer = bytearray()
        self._failure: MalformedMessage | None = None

    def feed(self, data: bytes) -> None:
        """Take what the socket gave; ask :meth:`records` afterwards."""
        if self._failure is None:
            self._buffer += data

    def records(self) -> Iterator[Record]:
        """Hand out the records that are whole; who stops early goes on with the next call.

        Raises:
            MalformedMessage: the peer broke the protocol; there is no way back.
        """
        start = 0
        try:
            while (stop := self._end_of_record(start)) is not None:
                record = self._read(start, stop)
                start = stop
                yield record
        finally:
            del self._buffer[:start]

    def _end_of_record(self, start: int) -> int | None:
        if self._failure is not None:
            raise self._failure
        if len(self._buffer) - start < _HEADER.size:
            return None
        size, number = _HEADER.unpack_from(self._buffer, start)
        kind = self._expected.get(number)
        if kind is None:
            self._break(f"type {number} was not expected; expected {sorted(self._expected)}")
        most = MAX_BODY_BYTES if set(kind.layout) & _LONG else _SHORT_BYTES
        if size > most:
            self._break(f"a body of {size} bytes; the bound of type {number} is {most}")
        stop: int = start + _HEADER.size + size
        return stop if stop <= len(self._buffer) else None

    def _read(self, start: int, stop: int) -> Record:
        kind = self._expected[self._buffer[start + 4]]
        body = _Body(bytes(memoryview(self._buffer)[start + _HEADER.size : stop]))
        try:
            if issubclass(kind, Hello | Welcome):
                body.head()
            record = kind(*(body.read(letter) for letter in kind.layout))
            body.end()
        except MalformedMessage as error:
            self._failure = error
            raise
        self._expected = self._accepts
        return record

    def _break(self, reason: str) -> NoReturn:
        self._failure = MalformedMessage("record", reason)
        raise self._failure
