"""What the nodes of a cluster say to each other about a bus: who is there, and what they want of it.

A message is a header (``u8`` what, ``u64`` life, ``u64`` since, ``u8`` length of the name, little-endian),
the name, and for :attr:`Word.ALL` and :attr:`Word.ASKS` records (:mod:`feedmux.wire.record`). A *life* tells
one start of a process, or one writer of a tenure, from another of the same name, and rises.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import Final

import msgspec

from feedmux.model.errors import MalformedMessage
from feedmux.wire.record import Drop, Hello, Lost, Record, RecordDecoder, Want, encode

MAX_NAME_BYTES: Final = 255
_HEADER: Final = struct.Struct("<BQQB")
_HELLO: Final = encode(Hello())
_MARK_BYTES: Final = len(encode(Lost(0)))


class Word(IntEnum):
    """What is said."""

    HERE = 1
    """I am there; repeated."""
    BYE = 2
    """I end."""
    LOOK = 3
    """Who is there?"""
    ALL = 4
    """The records are all that I want."""
    ASKS = 5
    """The records are what I want, and no longer want, from now on."""
    AGAIN = 6
    """Tell me all: I do not know you, or I may have missed something."""
    REPLACED = 7
    """Somebody with this name and life is there: whoever has the name and an earlier life ends."""


class Said(msgspec.Struct, frozen=True):
    """One message.

    Args:
        word: what is said.
        name: who says it, or who is meant; at most 255 bytes.
        life: of that process.
        records: wants and drops, written one after the other.
        since: of a writer the epoch with which its tenure began: nothing older is its own; at most its life.
    """

    word: Word
    name: str
    life: int
    records: bytes = b""
    since: int = 0

    def encode(self) -> bytes:
        """Write it down."""
        name = self.name.encode()
        if len(name) > MAX_NAME_BYTES:
            raise MalformedMessage("name", f"it has {len(name)} bytes; the bound is {MAX_NAME_BYTES}")
        return _HEADER.pack(self.word, self.life, self.since, len(name)) + name + self.records

    def read_records(self) -> list[Record]:
        """The wants and drops.

        Raises:
            MalformedMessage: they are none.
        """
        decoder = RecordDecoder(Want, Drop)
        decoder.feed(_HELLO + self.records)
        return list(decoder.records())


def read(message: bytes) -> Said:
    """Read a message.

    Raises:
        MalformedMessage: it is none.
    """
    if len(message) < _HEADER.size:
        raise MalformedMessage("message", f"{len(message)} bytes are shorter than its header")
    number, life, since, size = _HEADER.unpack_from(message)
    end = _HEADER.size + size
    try:
        word = Word(number)
        name = message[_HEADER.size : end].decode()
    except ValueError as error:
        raise MalformedMessage("message", str(error)) from error
    if len(message) < end:
        raise MalformedMessage("message", f"its name has {size} bytes; it ends before")
    return Said(word, name, life, message[end:], since)


def read_mark(message: bytes) -> Lost:
    """Read what stands on a topic's channel where events are missing.

    Raises:
        MalformedMessage: it is none.
    """
    decoder = RecordDecoder(Lost)
    decoder.feed(_HELLO + message)
    match list(decoder.records()):
        case [Lost() as lost] if len(message) == _MARK_BYTES:
            return lost
    raise MalformedMessage("mark", f"{len(message)} bytes are neither an envelope nor a mark")
