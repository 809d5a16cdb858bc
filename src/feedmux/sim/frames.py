"""How a simulated venue writes: whole frames, many in one write, and a reset when it is rude."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable
from typing import Protocol

from websockets.asyncio.server import ServerConnection

_RESET = struct.pack("ii", 1, 0)


class Reader(Protocol):
    """Who subscribed to a stream."""

    def queue(self, frames: Iterable[bytes], /) -> None:
        """Take frames for the next flush."""


def text_frame(payload: bytes) -> bytes:
    """A whole unmasked text frame. Source: RFC 6455, section 5.2."""
    return _frame(b"\x81", payload)


def binary_frame(payload: bytes) -> bytes:
    """A whole unmasked binary frame. Source: RFC 6455, section 5.2."""
    return _frame(b"\x82", payload)


def _frame(first: bytes, payload: bytes) -> bytes:
    length = len(payload)
    if length < 126:
        return b"%b%c%b" % (first, length, payload)
    if length < 65_536:
        return b"%b\x7e%b%b" % (first, length.to_bytes(2, "big"), payload)
    return b"%b\x7f%b%b" % (first, length.to_bytes(8, "big"), payload)


def reset(connection: ServerConnection) -> None:
    """Reset the TCP connection below: the client sees no close frame."""
    transport = connection.transport
    sock = transport.get_extra_info("socket")
    if sock is not None and not transport.is_closing():
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    transport.abort()
