"""Drain outboxes when the event loop has handed out what it had: once per turn, all at once.

No timer: the first outbox that gets something schedules one call at the end of the turn. An idle
gateway adds no latency; a busy one forms batches by itself. A turn drains a bounded number of
outboxes, in the order in which they were listed, so that reading, accepting and pings have their
turn between; what the others wait with grows meanwhile, and so does what one write takes.

This is the specification of ``feedmux._native.outbox.Flush``, which is what a gateway runs.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from feedmux.core.outbox import Outbox


class Flush:
    """The outboxes that have something to drain.

    Args:
        call_soon: the event loop's.
        most: outboxes that are drained in one turn.
        after: is called when all that was listed at one moment is drained, however many turns it took.
    """

    def __init__(
        self,
        call_soon: Callable[[Callable[[], None]], Any],
        most: int = 512,
        after: Callable[[], None] | None = None,
    ) -> None:
        self._call_soon = call_soon
        self._most = most
        self._after = after
        self._dirty: deque[Outbox] = deque()
        self._scheduled = False
        self._left = 0

    def mark(self, outbox: Outbox, /) -> None:
        """``outbox`` has something to drain."""
        self._dirty.append(outbox)
        if not self._scheduled:
            self._scheduled = True
            self._call_soon(self.run)

    def run(self) -> None:
        """Drain what is listed, at most ``most``; the rest has its turn after everybody else's."""
        self._left = self._left or len(self._dirty)
        try:
            for _ in range(min(self._left, self._most)):
                self._left -= 1
                self._dirty.popleft().drain()
        finally:
            self._scheduled = bool(self._dirty)
            if self._dirty:
                self._call_soon(self.run)
        if self._after is not None and not self._left:
            self._after()
