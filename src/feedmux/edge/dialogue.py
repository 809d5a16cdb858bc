"""What a socket and a client's session ask of each other, whatever dialect they speak."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from feedmux.model.ports import Outlet


class Peer(Protocol):
    """The client's connection."""

    def answer(self, payload: bytes, /) -> None:
        """Send a message of the protocol, ahead of data that cannot leave yet."""

    def remind(self, delay: float, /) -> None:
        """Call :meth:`Dialogue.expire` in about ``delay`` seconds."""

    def close(self, code: int, reason: str) -> None:
        """Start the closing handshake; the session ends before this returns.

        Args:
            code: see RFC 6455 §7.4; 4000 to 4499 invite to come back, 4500 to 4999 do not.
            reason: at most 123 bytes of UTF-8.
        """


class Dialogue(Protocol):
    """One client's session, as its connection sees it.

    What :meth:`begin` or :meth:`take` raises is a defect, and logged; the one is followed by a close,
    the other by :meth:`fail`. The others may not raise.
    """

    @property
    def subscriptions(self) -> int:
        """How many streams the client has, or waits for."""

    @property
    def is_idle(self) -> bool:
        """Whether the client is closed when it says nothing for too long."""

    @property
    def next_deadline(self) -> float:
        """When :meth:`expire` has something to do, on the monotonic clock; infinite for never."""

    def begin(self) -> None:
        """Say what comes before the client has said anything. Called once, before all others."""

    def take(self, payload: bytes) -> None:
        """Take one message of the client."""

    def fail(self) -> None:
        """Tell the client that its message could not be answered, and that it is not to blame."""

    def expire(self, now: float) -> None:
        """Do what time brings about."""

    def end(self) -> None:
        """The client is gone: nothing of it is held any more. Called once, after all others."""


SessionMaker = Callable[[Peer, Outlet], Dialogue]
"""Makes the session of a client that has been let in."""
