"""Take work a little at a time, so that one kind of it never fills a turn of the event loop.

Theory of operation
-------------------
In a turn of the loop only so much time is spent on steps; those that are left over wait for the next
turns, in the order in which they were asked for. Between two turns everything else is done: values
are read, outboxes are written. A step is taken at once when there is time and nobody waits, so
a quiet gateway never defers anything.
"""

from __future__ import annotations

from asyncio import AbstractEventLoop
from collections import deque
from collections.abc import Callable

from feedmux.model.ports import Clock

Step = Callable[[], None]


class Turnstile:
    """Steps of one kind.

    Args:
        turn_s: how long they may take of one turn of the loop; the last one may exceed it.
        clock: time.
        loop: whose turns are counted.
    """

    def __init__(self, turn_s: float, *, clock: Clock, loop: AbstractEventLoop) -> None:
        self._turn_s = turn_s
        self._clock = clock
        self._loop = loop
        self._waiting: deque[Step] = deque()
        self._spent_s = 0.0
        self._is_turning = False

    @property
    def waiting(self) -> int:
        """How many steps wait for their turn."""
        return len(self._waiting)

    def ask(self, step: Step) -> bool:
        """Take a step, now or in a later turn.

        Args:
            step: has to find out by itself whether it is still wanted.

        Returns:
            Whether it was taken now.
        """
        if self._waiting or self._spent_s >= self._turn_s:
            self._waiting.append(step)
            return False
        self._take(step)
        return True

    def _take(self, step: Step) -> None:
        if not self._is_turning:
            self._is_turning = True
            self._loop.call_soon(self._turn)
        began = self._clock.monotonic()
        try:
            step()
        finally:
            self._spent_s += self._clock.monotonic() - began

    def _turn(self) -> None:
        """The next turn of the loop."""
        self._is_turning = False
        self._spent_s = 0.0
        while self._waiting and self._spent_s < self._turn_s:
            self._take(self._waiting.popleft())
