"""What a broker can be told, and a gateway about local programs; the bounds of what both are asked for."""

from __future__ import annotations

import os
from typing import Final

import msgspec

from feedmux.model.checks import require_number, require_whole
from feedmux.model.errors import InvalidSetting
from feedmux.wire.local_address import DEFAULT_NAME, address

MOST_CLIENTS: Final = 256
MOST_WEBSOCKETS: Final = 64
MOST_OPENS: Final = 64
"""Of one client that wait to be answered."""
HELLO_WITHIN_S: Final = 5.0
LEAST_RING_BYTES: Final = 64 * 1024
MOST_RING_BYTES: Final = 1024 * 1024 * 1024
"""A ring's memory is taken at once; a slip of the finger must not take all that there is."""


class ShareConfig(msgspec.Struct, frozen=True, kw_only=True):
    """How a broker behaves.

    Args:
        name: by which clients of the same user find it.
        linger_s: it ends when it had no client for so long.
        ring_bytes: the capacity of each WebSocket's ring, a power of two.
        beat_s: how often both ends say that they are there.
        dead_s: after so much silence clients take the broker for dead.
        client_dead_s: after so much silence the broker takes a client for dead.

    Raises:
        InvalidSetting: a value is outside its range.
    """

    name: str = DEFAULT_NAME
    linger_s: float = 60.0
    ring_bytes: int = 8 * 1024 * 1024
    beat_s: float = 0.5
    dead_s: float = 15.0
    client_dead_s: float = 30.0

    def __post_init__(self) -> None:
        address(os.getuid(), self.name)
        for name in ("linger_s", "beat_s", "dead_s", "client_dead_s"):
            require_number(name, getattr(self, name), "seconds above 0", above=0)
        expected = f"a power of two from {LEAST_RING_BYTES} to {MOST_RING_BYTES} bytes"
        bounds = {"least": LEAST_RING_BYTES, "most": MOST_RING_BYTES}
        require_whole("ring_bytes", self.ring_bytes, expected, **bounds)
        if self.ring_bytes & (self.ring_bytes - 1):
            raise InvalidSetting("ring_bytes", self.ring_bytes, expected)


class OfferConfig(msgspec.Struct, frozen=True, kw_only=True):
    """How a gateway offers its topics to programs of the same user.

    Args:
        name: under which they find it.
        ring_bytes: the capacity of each program's ring, a power of two.
        most_readers: how many programs may be there at once.
        max_message_bytes: the longest request.
        beat_s: how often both ends say that they are there, and how often it tries to be found while
            another gateway is.
        dead_s: after so much silence programs take the gateway for dead.
        reader_dead_s: after so much silence the gateway takes a program for dead.
    """

    name: str = DEFAULT_NAME
    ring_bytes: int = 4 * 1024 * 1024
    most_readers: int = 16
    max_message_bytes: int = 1024 * 1024
    beat_s: float = 0.5
    dead_s: float = 15.0
    reader_dead_s: float = 30.0
