"""Who shares a WebSocket, as the WebSocket sees it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from feedmux.wire.local_records import Record


class Member(Protocol):
    """A client."""

    @property
    def number(self) -> int:
        """By which others know it, from 1."""

    def tell(self, record: Record, descriptors: Sequence[int] = ()) -> None:
        """Send a record; the descriptors go beside it and are closed."""

    def fail(self, request: int, code: str, reason: str) -> None:
        """Answer that something is not done."""
