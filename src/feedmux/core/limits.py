"""Bounds on what others may ask of us, and on what we ask of others."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar


class RateWindow:
    """At most ``limit`` events in each window of one second.

    Args:
        limit: events per second, at least 1.
    """

    __slots__ = ("_count", "_limit", "_opened")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._opened = float("-inf")
        self._count = 0

    def admit(self, now: float) -> bool:
        """Count one event; False when it is over the limit."""
        if now - self._opened >= 1.0:
            self._opened = now
            self._count = 0
        self._count += 1
        return self._count <= self._limit

    def excess(self, now: float) -> int:
        """How many events of this window were over the limit; 0 when it has ended."""
        return max(0, self._count - self._limit) if self.reopens_in(now) else 0

    def reopens_in(self, now: float) -> float:
        """Seconds until the window ends; 0 when it has."""
        return max(0.0, self._opened + 1.0 - now)


Item = TypeVar("Item", bound=Hashable)


class FairQueue(Generic[Item]):
    """First come, first served, in turns among askers: who asks for much waits for himself."""

    def __init__(self) -> None:
        self._lanes: OrderedDict[int, dict[Item, None]] = OrderedDict()
        self._asker: dict[Item, int] = {}

    def push(self, asker: int, item: Item) -> None:
        """Queue ``item`` on behalf of ``asker``; an item that waits already keeps its place."""
        if item not in self._asker:
            self._asker[item] = asker
            self._lanes.setdefault(asker, {})[item] = None

    def pop(self) -> Item:
        """Take the next item; each asker has one turn, then the next asker.

        Raises:
            IndexError: nothing waits.
        """
        if not self._lanes:
            raise IndexError("the queue is empty")
        asker, lane = self._lanes.popitem(last=False)
        item = next(iter(lane))
        del lane[item], self._asker[item]
        if lane:
            self._lanes[asker] = lane
        return item

    def discard(self, item: Item) -> None:
        """``item`` need not be done any more."""
        asker = self._asker.pop(item, None)
        if asker is not None:
            lane = self._lanes[asker]
            del lane[item]
            if not lane:
                del self._lanes[asker]

    def __contains__(self, item: object) -> bool:
        return item in self._asker

    def __len__(self) -> int:
        return len(self._asker)
