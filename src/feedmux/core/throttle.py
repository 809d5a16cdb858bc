"""Hold values back so that one stream sends at most so many per second.

Theory of operation
-------------------
========  ========================  ===================================================
state     event                     what happens
========  ========================  ===================================================
ready     a value                   it goes at once; *resting*
resting   a value                   it waits; *waiting*
resting   the interval is over      *ready*
waiting   a value                   it replaces the one that waits
waiting   the interval is over      what waits goes; *resting*
waiting   what waits is let out     it goes ahead of its time; *resting*
any       something went unasked    *resting*, from now on
========  ========================  ===================================================

Invariants: two values that go are at least an interval apart, unless one was let out or went
unasked; the newest value always goes or waits, and what goes is never older than what went.

Deliberately absent: the timer (whoever has the throttle asks :meth:`Throttle.wait_s` for how long),
and a burst: a client that asks for four values in a second wants them apart.
"""

from __future__ import annotations

from typing import Generic, TypeVar

Value = TypeVar("Value")


class Throttle(Generic[Value]):
    """What one stream has sent, and what it holds back.

    Args:
        rate: values per second at most, above 0.
    """

    __slots__ = ("_interval", "_next", "held")

    def __init__(self, rate: float) -> None:
        self._interval = 1.0 / rate
        self._next = float("-inf")
        self.held: Value | None = None
        """The value that waits, if one does."""

    def offer(self, value: Value, now: float) -> bool:
        """Take the next value; True: it goes at once, False: it waits."""
        if now >= self._next:
            self.held = None
            self._next = now + self._interval
            return True
        self.held = value
        return False

    def due(self, now: float) -> Value | None:
        """What waited, if its time has come."""
        return self.release(now) if now >= self._next else None

    def release(self, now: float) -> Value | None:
        """What waits, ahead of its time: something comes that may neither wait nor overtake it."""
        value, self.held = self.held, None
        if value is not None:
            self._next = now + self._interval
        return value

    def spend(self, now: float) -> None:
        """A value went that may not be held; the next one rests after it."""
        self._next = now + self._interval

    def wait_s(self, now: float) -> float:
        """Seconds until what waits falls due; 0 when it is."""
        return max(0.0, self._next - now)
