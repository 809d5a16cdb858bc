"""One timing wheel for thousands of deadlines: pings, idle checks, stalls.

Theory of operation
-------------------
Time is cut into ticks; slot ``t mod slots`` holds what falls due in tick ``t``. Adding is one
append; advancing touches only what is due. An item may be in the wheel more than once: whoever
is called looks at its own deadlines and is free to find that nothing is due. There is no
cancel, because that check costs less than keeping handles for thousands of connections.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Wheel(Generic[Item]):
    """Items by the tick in which they fall due.

    Args:
        tick: the length of a tick, seconds.
        slots: how many ticks the wheel spans; what lies beyond comes up at its far end.
        now: the time on the caller's monotonic clock.
    """

    def __init__(self, tick: float, slots: int, now: float) -> None:
        self._tick = tick
        self._slots: list[list[Item]] = [[] for _ in range(slots)]
        self._next = int(now / tick)
        self._size = 0

    def add(self, item: Item, delay: float) -> None:
        """``item`` falls due in ``delay`` seconds, rounded up to a tick, at most the wheel's span."""
        ticks = min(max(1, -int(-delay // self._tick)), len(self._slots) - 1)
        self._slots[(self._next + ticks) % len(self._slots)].append(item)
        self._size += 1

    def advance(self, now: float) -> Iterator[Item]:
        """Take out what has fallen due by ``now``. Items may be added while this runs."""
        target = int(now / self._tick)
        while self._next <= target:
            index = self._next % len(self._slots)
            due, self._slots[index] = self._slots[index], []
            self._next += 1
            self._size -= len(due)
            yield from due

    def __len__(self) -> int:
        return self._size
