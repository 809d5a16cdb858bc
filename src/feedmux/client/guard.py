"""Call code that is not ours, and go on whatever it raises."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final, TypeVar, TypeVarTuple

_LOG: Final = logging.getLogger(__name__)
_BLAME: Final = "%s() of the user of the link to %s raised; its failures so far: %d"

_Result = TypeVar("_Result")
_Arguments = TypeVarTuple("_Arguments")


class Guard:
    """The outermost edge of somebody's code: its failures are logged, counted, and end nothing.

    Args:
        where: where the link leads, for the log; without credentials.
    """

    __slots__ = ("_where", "errors")

    def __init__(self, where: str) -> None:
        self._where = where
        self.errors = 0
        """How often it raised."""

    def call(self, function: Callable[[*_Arguments], _Result], *arguments: *_Arguments) -> _Result | None:
        """Return what it returns; None when it raises."""
        try:
            return function(*arguments)
        except Exception:  # noqa: BLE001 - the outermost edge: blame() logs it
            self.blame(getattr(function, "__name__", "listener"))
            return None

    def blame(self, name: str) -> None:
        """Count the exception under way; log the 1st, 2nd, 4th, 8th … of them: it may come per message."""
        self.errors += 1
        if self.errors & (self.errors - 1) == 0:
            _LOG.exception(_BLAME, name, self._where, self.errors)
