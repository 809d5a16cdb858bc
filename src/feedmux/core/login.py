"""Decide which of those who share a WebSocket logs in, and when what they subscribed to follows.

Theory of operation
===================

Where there are opening messages they log in, and nobody has to. Otherwise somebody has to be named, each
time the WebSocket opens:

=========  ================================  ===================================================
state      event                             what happens
=========  ================================  ===================================================
idle       opened for a client               named: that client; nothing waits for it
idle       opened again                      waiting; named: the first of those who share it
waiting    the one named subscribes          idle; the subscriptions follow
waiting    so long passed                    idle; the subscriptions follow
waiting    the connection is lost            idle
any        the one named leaves and has      the next one is named; if the subscriptions wait, they
           said nothing                      wait anew
any        it leaves and has said something  nobody is named: it may have logged in
=========  ================================  ===================================================

Time comes in as an argument. Invariant: subscriptions never wait for longer than :data:`PATIENCE_S` after
the latest naming.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

PATIENCE_S: Final = 5.0
NOBODY: Final = 0


class Login:
    """Who logs in to one WebSocket; see *Theory of operation*.

    Args:
        has_opening: whether opening messages do.
        patience_s: how long subscriptions wait for the one who is named.
    """

    __slots__ = ("_has_opening", "_has_spoken", "_named", "_patience_s", "_until")

    def __init__(self, *, has_opening: bool, patience_s: float = PATIENCE_S) -> None:
        self._has_opening, self._patience_s = has_opening, patience_s
        self._named = NOBODY
        self._has_spoken = False
        self._until: float | None = None

    @property
    def named(self) -> int:
        """The number of the client who has to log in; 0: nobody."""
        return self._named

    @property
    def until(self) -> float | None:
        """When what waits for the login follows without it, monotonic seconds; None: nothing waits."""
        return self._until

    def opened_for(self, client: int) -> None:
        """It is open for the first time, for this client."""
        self._name(NOBODY if self._has_opening else client, None)

    def opened_again(self, members: Sequence[int], now: float) -> int:
        """It is open again; returns who has to log in.

        Args:
            members: who shares it, the longest first.
            now: monotonic seconds.
        """
        self.lost()
        if not self._has_opening and members:
            self._name(members[0], now + self._patience_s)
        return self._named

    def lost(self) -> None:
        """Its connection ended: whoever was named is not any more."""
        self._name(NOBODY, None)

    def spoke(self, client: int) -> None:
        """A client sent something."""
        self._has_spoken = self._has_spoken or client == self._named

    def subscribed(self, client: int) -> bool:
        """A client subscribed; returns whether what waited follows now."""
        if client != self._named:
            return False
        is_waiting = self._until is not None
        self.lost()
        return is_waiting

    def left(self, client: int, members: Sequence[int], now: float) -> int:
        """A client left; returns who has to log in instead; 0: nobody."""
        if client != self._named:
            return NOBODY
        if self._has_spoken or not members:
            self._name(NOBODY, self._until)
        else:
            self._name(members[0], None if self._until is None else now + self._patience_s)
        return self._named

    def is_due(self, now: float) -> bool:
        """Whether what waited has waited long enough; it follows then, once."""
        if self._until is None or now < self._until:
            return False
        self.lost()
        return True

    def _name(self, client: int, until: float | None) -> None:
        self._named, self._until, self._has_spoken = client, until, False
