"""Cut a stream of bytes into records.

A record is a header of 5 bytes (u32 length of the body, u8 type, little-endian) and a body. The first record
is one of few types. A length is checked against the bound of its type before the body is waited for, so
that garbage cannot make the buffer grow beyond one largest record and one feed. After a fault there is no way
back: whoever asks again is told the same.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from typing import Final, NoReturn

from feedmux.model.errors import MalformedMessage

HEADER: Final = struct.Struct("<IB")


def join(number: int, body: bytes) -> bytes:
    """Write a record."""
    return HEADER.pack(len(body), number) + body


class Cutter:
    """One direction of one connection.

    Args:
        first: how long the body of the first record may be, by the types that it may have.
        later: likewise, of all that follow.
    """

    __slots__ = ("_buffer", "_expected", "_failure", "_later")

    def __init__(self, first: Mapping[int, int], later: Mapping[int, int]) -> None:
        self._expected, self._later = first, later
        self._buffer = bytearray()
        self._failure: MalformedMessage | None = None

    @property
    def is_open(self) -> bool:
        """True once the first record was handed out, and nothing was wrong since."""
        return self._expected is self._later and self._failure is None

    def feed(self, data: bytes) -> None:
        """Take what the socket gave; ask :meth:`bodies` afterwards."""
        if self._failure is None:
            self._buffer += data

    def bodies(self) -> Iterator[tuple[int, bytes]]:
        """Hand out the records that are whole, type and body; who stops early goes on with the next call.

        Raises:
            MalformedMessage: the peer broke the protocol.
        """
        start = 0
        try:
            while (stop := self._end_of_record(start)) is not None:
                number = self._buffer[start + HEADER.size - 1]
                body = bytes(memoryview(self._buffer)[start + HEADER.size : stop])
                start, self._expected = stop, self._later
                yield number, body
        finally:
            del self._buffer[:start]

    def fail(self, error: MalformedMessage) -> NoReturn:
        """What was handed out is none; this and whoever asks again is told so.

        Raises:
            MalformedMessage: ``error``.
        """
        self._failure = error
        raise error

    def _end_of_record(self, start: int) -> int | None:
        """Where the record at ``start`` ends, or None while it is not whole."""
        if self._failure is not None:
            raise self._failure
        if len(self._buffer) - start < HEADER.size:
            return None
        size, number = HEADER.unpack_from(self._buffer, start)
        most = self._expected.get(number)
        if most is None:
            self._break(f"type {number} was not expected; expected {sorted(self._expected)}")
        if size > most:
            self._break(f"a body of {size} bytes; the bound of type {number} is {most}")
        stop: int = start + HEADER.size + size
        return stop if stop <= len(self._buffer) else None

    def _break(self, reason: str) -> NoReturn:
        self.fail(MalformedMessage("record", reason))
