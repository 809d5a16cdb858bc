"""Stop calling who does not answer: a circuit breaker.

Theory of operation
===================

::

    closed ──failures in a row reach the limit──▶ open ──cooldown over──▶ half open
      ▲  ⟲ succeeded: the count starts anew        ▲                        │   │
      │                                            └────────failed──────────┘   │
      └───────────────────────────────succeeded─────────────────────────────────┘

While it is *open* nothing is tried, and whoever asks is told at once instead of waiting for a
timeout. *Half open* is the one attempt that decides.

It only knows what it is told. The backoff between attempts is the business of
:mod:`feedmux.core.reconnect`; the longer of the two waits counts.

Source: M. Nygard, "Release It!", 2nd edition, 2018, "Circuit Breaker".
"""

from __future__ import annotations

from enum import StrEnum

from feedmux.model.checks import require_number, require_whole


class Circuit(StrEnum):
    """Whether something may be tried."""

    CLOSED = "closed"
    """As usual."""
    OPEN = "open"
    """Nothing is tried until the cooldown is over."""
    HALF_OPEN = "half open"
    """One attempt decides."""


class Breaker:
    """The machine.

    Args:
        limit: failures in a row that open it; 0: it never opens.
        cooldown_s: how long it stays open, seconds above 0.

    Raises:
        InvalidSetting: a value is outside its range.
    """

    __slots__ = ("_cooldown_s", "_failures", "_limit", "_until", "circuit")

    def __init__(self, limit: int, cooldown_s: float) -> None:
        require_whole("limit", limit, "a number of failures, or 0 for none", least=0)
        require_number("cooldown_s", cooldown_s, "seconds above 0", above=0)
        self._limit, self._cooldown_s = limit, cooldown_s
        self._failures = 0
        self._until = 0.0
        self.circuit = Circuit.CLOSED
        """Where it is."""

    def failed(self, now: float) -> None:
        """An attempt failed."""
        self._failures += 1
        if self.circuit is Circuit.HALF_OPEN or 0 < self._limit <= self._failures:
            self.circuit = Circuit.OPEN
            self._until = now + self._cooldown_s

    def succeeded(self) -> None:
        """An attempt succeeded."""
        self._failures = 0
        self.circuit = Circuit.CLOSED

    def wait_s(self, now: float) -> float:
        """Seconds until something may be tried; 0 when it may. The end of the cooldown is noted here."""
        if self.circuit is not Circuit.OPEN:
            return 0.0
        if now < self._until:
            return self._until - now
        self.circuit = Circuit.HALF_OPEN
        return 0.0

    def __repr__(self) -> str:
        return f"<Breaker {self.circuit} failures={self._failures}>"
