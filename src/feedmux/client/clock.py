"""Read the machine's clocks, for those who do not bring their own."""

from __future__ import annotations

import time


class SystemClock:
    """The machine's time; satisfies :class:`feedmux.model.ports.Clock`."""

    def monotonic(self) -> float:
        """Return seconds on a clock that never goes back."""
        return time.monotonic()

    def time_ns(self) -> int:
        """Return Unix time in nanoseconds."""
        return time.time_ns()
