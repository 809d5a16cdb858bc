"""Assign positions: an epoch while continuity holds, a seq for each value in it."""

from __future__ import annotations

from feedmux.model.event import Position

_NS_PER_MS = 1_000_000


class Epochs:
    """Unix milliseconds at which continuity began, each above the one before."""

    def __init__(self) -> None:
        self._last = 0

    def begin(self, time_ns: int) -> int:
        """Start an epoch.

        Args:
            time_ns: Unix nanoseconds, now.
        """
        self._last = max(self._last + 1, time_ns // _NS_PER_MS)
        return self._last


class Counter:
    """The position of one topic's writer."""

    __slots__ = ("epoch", "seq")

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch
        self.seq = 0

    def restart(self, epoch: int) -> None:
        """Continuity was lost; count from 1 in a new epoch."""
        assert epoch > self.epoch, "epochs only rise"
        self.epoch = epoch
        self.seq = 0

    def advance(self) -> int:
        """The seq of the next value."""
        self.seq += 1
        return self.seq

    @property
    def position(self) -> Position:
        return Position(self.epoch, self.seq)
