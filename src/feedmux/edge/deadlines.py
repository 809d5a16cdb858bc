"""What a socket owes to time: it asks a timing wheel to look at it again.

The wheel only refers to sockets: one that is gone leaves nothing behind but a reference to nobody,
however far away its deadline was. In a storm of clients that come and go this is what keeps memory
in bounds.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Final, Protocol
from weakref import ref

from feedmux.core.wheel import Wheel
from feedmux.model.ports import Clock

NEVER: Final = float("inf")
_EARLY_S: Final = 0.001


class Timekeeper(Protocol):
    """Who owns the wheel."""

    @property
    def clock(self) -> Clock: ...

    @property
    def wheel(self) -> Wheel[ref[Deadlines]]: ...


class Deadlines(ABC):
    """A socket's next deadline; older entries in the wheel find that they are not it.

    Args:
        time: who owns the wheel.
    """

    __slots__ = ("__weakref__", "_next_due", "_time")

    def __init__(self, time: Timekeeper) -> None:
        self._time = time
        self._next_due = NEVER

    def remind(self, delay: float, /) -> None:
        """Look at the deadlines again in about ``delay`` seconds."""
        at = self._time.clock.monotonic() + delay
        if at < self._next_due:
            self._next_due = at
            self._time.wheel.add(ref(self), at)

    def due(self, now: float) -> None:
        """The wheel's turn: do what time brings about, unless this entry is out of date."""
        if now + _EARLY_S >= self._next_due:
            self._next_due = NEVER
            self.overdue(now)

    def retire(self) -> None:
        """Nothing falls due any more."""
        self._next_due = NEVER

    @abstractmethod
    def overdue(self, now: float) -> None:
        """A deadline may have passed."""

    @abstractmethod
    def abort(self) -> None:
        """Close the socket at once."""
