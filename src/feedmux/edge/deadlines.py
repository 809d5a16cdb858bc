"""What a socket owes to time: it asks the server's wheel to look at it again."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from feedmux.edge.server import Server

NEVER: Final = float("inf")
_EARLY_S: Final = 0.001


class Deadlines(ABC):
    """A socket's next deadline; older entries in the wheel find that they are not it."""

    __slots__ = ("_next_due", "_server")

    def __init__(self, server: Server) -> None:
        self._server = server
        self._next_due = NEVER

    def remind(self, delay: float, /) -> None:
        """Look at the deadlines again in about ``delay`` seconds."""
        at = self._server.clock.monotonic() + delay
        if at < self._next_due:
            self._next_due = at
            self._server.wheel.add(self, at)

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
