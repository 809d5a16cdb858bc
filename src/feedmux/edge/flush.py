"""Drain outboxes when the event loop has handed out what it had: once per turn, all at once.

No timer: the first outbox that gets something schedules one call at the end of the turn. An idle
gateway adds no latency; a busy one forms batches by itself.
"""

from __future__ import annotations

import asyncio

from feedmux.core.outbox import Outbox


class Flush:
    """The outboxes that have something to drain.

    Args:
        loop: the event loop that everything runs in.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._call_soon = loop.call_soon
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
