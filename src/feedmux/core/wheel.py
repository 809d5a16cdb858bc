"""One timing wheel for thousands of deadlines: pings, idle checks, stalls.

Theory of operation
-------------------
Time is cut into ticks; slot ``t mod slots`` holds what falls due in tick ``t``, and what falls
due whole turns of the wheel later. Adding is one append; advancing touches only the slots that
time has passed. An item never comes up early, however late the wheel is turned or however far
away its time is, and comes up once for each time that it was added. It may be in the wheel more
than once: whoever is called looks at its own deadlines and is free to find that nothing is due.
There is no cancel, because that check costs less than keeping handles for thousands of
connections.
"""

from __future__ import annotations

from typing import Generic, TypeVar

Item = TypeVar("Item")


class Wheel(Generic[Item]):
    """Items by the tick in which they fall due.

    Args:
        tick: the length of a tick, seconds.
        slots: how many ticks one turn has; what lies beyond is passed over once a turn.
        now: the time on the caller's monotonic clock.
    """

    def __init__(self, tick: float, slots: int, now: float) -> None:
        self._tick = tick
        self._slots: list[list[tuple[int, Item]]] = [[] for _ in range(slots)]
        self._next = int(now / tick)
        self._size = 0

    def add(self, item: Item, at: float) -> None:
        """``item`` falls due at ``at`` on the caller's clock, rounded up to a tick."""
        tick = max(-int(-at // self._tick), self._next)
        self._slots[tick % len(self._slots)].append((tick, item))
        self._size += 1

    def advance(self, now: float) -> list[Item]:
        """Take out what has fallen due by ``now``."""
        target = int(now / self._tick)
        due: list[Item] = []
        for passed in range(max(self._next, target - len(self._slots) + 1), target + 1):
            index = passed % len(self._slots)
            slot = self._slots[index]
            if slot:
                self._slots[index] = [entry for entry in slot if entry[0] > target]
                due += [item for tick, item in slot if tick <= target]
        self._next = target + 1
        self._size -= len(due)
        return due

    def __len__(self) -> int:
        return self._size
