"""The time of a simulated venue."""

from __future__ import annotations

import time

import msgspec


class SystemClock:
    """The machine's time."""

    def monotonic(self) -> float:
        """Seconds on a clock that never goes back."""
        return time.monotonic()

    def time_ns(self) -> int:
        """Unix time in nanoseconds."""
        return time.time_ns()


class Moment(msgspec.Struct, frozen=True):
    """When a tick happens.

    Args:
        now_ms: Unix milliseconds.
        candle_ms: the candles' clock, the same unless they run faster.
    """

    now_ms: int
    candle_ms: int
