"""Say in the log that a link is down, why, and when it is back: once per change, not once per attempt."""

from __future__ import annotations

import logging
from typing import Final

_LOG: Final = logging.getLogger(__name__)
_DOWN: Final = "link to %s is down: %s; next attempt in %.2f s"
_BACK: Final = "link to %s is back"
_REASONS_TOLD: Final = 8


class Trouble:
    """The reasons that were told since the link was last whole."""

    __slots__ = ("_told",)

    def __init__(self) -> None:
        self._told: set[str] = set()

    def tell(self, where: str, reason: str, wait_s: float) -> None:
        """An attempt or a connection ended: a warning for a new reason, a line for debugging otherwise."""
        is_new = reason not in self._told and len(self._told) < _REASONS_TOLD
        _LOG.log(logging.WARNING if is_new else logging.DEBUG, _DOWN, where, reason, wait_s)
        if is_new:
            self._told.add(reason)

    def over(self, where: str) -> None:
        """The link is whole; says so if it was not."""
        if self._told:
            self._told.clear()
            _LOG.warning(_BACK, where)
