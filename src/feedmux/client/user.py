"""Who uses a carrier, and what they are told."""

from __future__ import annotations

from typing import Protocol


class CarrierUser(Protocol):
    """Who uses a carrier. Everything is called in the event loop and may not block."""

    def opened(self) -> None:
        """Restore the connection: it is open, and the server knows nothing."""

    def received(self, payload: bytes, /) -> None:
        """Take one whole message; runs per message."""

    def received_binary(self, payload: bytes, /) -> None:
        """The same, for a binary message."""

    def lost(self, reason: str, /) -> None:
        """Note that the open connection ended; called exactly once per ``opened``."""

    def retrying(self, reason: str, wait_s: float, /) -> None:
        """Note that the next attempt follows in ``wait_s`` seconds, and why there must be one."""

    def ping(self) -> bytes | None:
        """Return the application ping to send now, or None for a PING frame."""
