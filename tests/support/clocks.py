"""Clocks that tests set; time that has to pass is not waited for."""

from __future__ import annotations

from feedmux.client.clock import SystemClock


class StandingClock(SystemClock):
    """A clock that moves when it is told to.

    Attributes:
        now: the monotonic time, in seconds.
    """

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now
