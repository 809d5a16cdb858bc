"""A dialect of a few words, spoken by a session that keeps nothing."""

from __future__ import annotations

from feedmux.edge.dialogue import Peer
from feedmux.model.ports import Outlet


class Echo:
    """A client's session that answers every message with itself.

    Args:
        peer: its connection.
        outlet: its outbox.
        greeting: what it says first; empty: nothing.
    """

    def __init__(self, peer: Peer, outlet: Outlet, greeting: bytes = b"") -> None:
        self._peer = peer
        self._greeting = greeting
        self.ends = 0

    @property
    def subscriptions(self) -> int:
        return 0

    @property
    def is_idle(self) -> bool:
        return False

    @property
    def next_deadline(self) -> float:
        return float("inf")

    def begin(self) -> None:
        if self._greeting == b"raise":
            raise LookupError("no greeting")
        if self._greeting == b"leave":
            self._peer.close(4500, "not today")
        elif self._greeting:
            self._peer.answer(self._greeting)

    def take(self, payload: bytes) -> None:
        if payload == b"raise":
            raise LookupError("no answer")
        if payload == b"leave":
            self._peer.close(4321, "as you wish")
        else:
            self._peer.answer(payload)

    def fail(self) -> None:
        self._peer.answer(b"sorry")

    def expire(self, now: float) -> None:
        pass

    def end(self) -> None:
        self.ends += 1
