"""Drain outboxes when the event loop has handed out what it had: once per turn, all at once.

No timer: the first outbox that gets something schedules one call at the end of the turn. An idle
gateway adds no latency; a busy one forms batches by itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from feedmux.core.outbox import Outbox


class Flush:
    """The outboxes that have something to drain.

    Args:
        loop: the event loop that everything runs in.
        after: is called when all that was dirty has been drained.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, after: Callable[[], None] | None = None) -> None:
        self._call_soon = loop.call_soon
        self._after = after or _nothing
        self._dirty: list[Outbox] = []

    def mark(self, outbox: Outbox) -> None:
        """``outbox`` has something to drain."""
        if not self._dirty:
            self._call_soon(self._run)
        self._dirty.append(outbox)

    def _run(self) -> None:
        dirty, self._dirty = self._dirty, []
        for outbox in dirty:
            outbox.drain()
        self._after()


def _nothing() -> None:
    """Nobody wants to know when a flush is done."""
