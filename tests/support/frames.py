"""RFC 6455 frames for tests, independent of every library: build a client's, read a server's."""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

CONTINUATION: Final = 0
TEXT: Final = 1
BINARY: Final = 2
CLOSE: Final = 8
PING: Final = 9
PONG: Final = 10
MASK: Final = bytes((0x37, 0xFA, 0x21, 0x3D))


class Frame(NamedTuple):
    """One whole frame of a server."""

    opcode: int
    payload: bytes

    @property
    def close_code(self) -> int | None:
        """The code of a close frame, None when it is empty."""
        assert self.opcode == CLOSE, self
        return int.from_bytes(self.payload[:2], "big") if self.payload else None


def masked(opcode: int, payload: bytes, *, first: int = 0x80, mask: bool = True) -> bytes:
    """Build a client's frame.

    Args:
        opcode: what it is.
        payload: of any length.
        first: the upper half of the first byte: 0x80 is FIN, 0x40 to 0x10 are reserved.
        mask: False breaks the protocol.
    """
    size, bit = len(payload), 0x80 if mask else 0
    if size < 126:
        head = struct.pack("!BB", first | opcode, bit | size)
    elif size < 65536:
        head = struct.pack("!BBH", first | opcode, bit | 126, size)
    else:
        head = struct.pack("!BBQ", first | opcode, bit | 127, size)
    if not mask:
        return head + payload
    key = int.from_bytes((MASK * (size // 4 + 1))[:size], "big")
    return head + MASK + (int.from_bytes(payload, "big") ^ key).to_bytes(size, "big")


class FrameReader:
    """Read a server's bytes; every frame must be one that a server may send."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    @property
    def rest(self) -> int:
        """Bytes of a frame that is not whole yet."""
        return len(self._buffer)

    def feed(self, data: bytes) -> list[Frame]:
        """Take bytes and return the frames that are whole now.

        Raises:
            AssertionError: this is no legal frame of a server.
        """
        self._buffer += data
        frames, at = [], 0
        while (end := self._end(at)) is not None:
            start, stop = end
            frames.append(Frame(self._buffer[at] & 0x0F, bytes(self._buffer[start:stop])))
            at = stop
        del self._buffer[:at]
        return frames

    def _end(self, at: int) -> tuple[int, int] | None:
        """Where the payload of the frame at ``at`` begins and ends, if it is whole."""
        have = len(self._buffer) - at
        if have < 2:
            return None
        first, size = self._buffer[at], self._buffer[at + 1]
        assert first & 0xF0 == 0x80, f"first byte {first:#x}: our server neither fragments nor extends"
        assert first & 0x0F in (TEXT, BINARY, CLOSE, PING, PONG), f"opcode {first & 0x0F}"
        assert size < 128, "a server's frame is not masked"
        assert first & 0x0F < 8 or size < 126, "a control frame has at most 125 bytes"
        wide = {126: 2, 127: 8}.get(size, 0)
        if have < 2 + wide:
            return None
        if wide:
            size = int.from_bytes(self._buffer[at + 2 : at + 2 + wide], "big")
            assert size >= (126 if wide == 2 else 65536), "the length has a shorter form"
        start = at + 2 + wide
        return (start, start + size) if have >= 2 + wide + size else None
