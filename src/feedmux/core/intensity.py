"""Count what happens in a sliding window, and say when it is too much.

Theory of operation
-------------------
The times of what happened are kept, oldest first, and never more of them than the limit: one more
that finds the window full of them is one too many, and then nothing further needs to be counted. What
happened at *t* belongs to the window until, and without, *t* + ``within_s``.

Invariants: any ``limit + 1`` events within less than ``within_s`` exceed; fewer never do. Memory is
bounded by the limit.

Deliberately absent: the clock, and what is done about it.
"""

from __future__ import annotations

from collections import deque

from feedmux.model.checks import require_number, require_whole


class Intensity:
    """At most ``limit`` events in any ``within_s`` seconds.

    Args:
        limit: how many are tolerated; 0 tolerates none.
        within_s: the length of the window, seconds, above 0.

    Raises:
        InvalidSetting: a value is outside its range.
    """

    __slots__ = ("_times", "limit", "within_s")

    def __init__(self, limit: int = 10, within_s: float = 60.0) -> None:
        require_whole("limit", limit, "a whole number from 0", least=0)
        require_number("within_s", within_s, "seconds above 0", above=0)
        self.limit, self.within_s = limit, within_s
        self._times: deque[float] = deque()

    def exceeds(self, now: float) -> bool:
        """Count one event; True when it is one too many.

        Args:
            now: a monotonic time, never before that of an earlier call.
        """
        if self.recent(now) >= self.limit:
            return True
        self._times.append(now)
        return False

    def recent(self, now: float) -> int:
        """How many of the tolerated events are in the window that ends now."""
        while self._times and now - self._times[0] >= self.within_s:
            self._times.popleft()
        return len(self._times)

    def __repr__(self) -> str:
        return f"<Intensity {len(self._times)} of {self.limit} within {self.within_s:g} s>"
