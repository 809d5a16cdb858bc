"""Tell that RabbitMQ dropped something: the first time at once, then once in a while."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

_REST_S: Final = 1.0


class Spills:
    """What was dropped of one queue.

    Args:
        tell: is called for all that was dropped since it was last, on the event loop.
        rest_s: so long it is not called after it was.
    """

    def __init__(self, tell: Callable[[], None], *, rest_s: float = _REST_S) -> None:
        self._tell, self._rest_s = tell, rest_s
        self._timer: asyncio.TimerHandle | None = None
        self._has_more = False
        self._is_closed = False

    def note(self) -> None:
        """Something was dropped."""
        if self._timer is not None:
            self._has_more = True
        elif not self._is_closed:
            self._begin()

    def close(self) -> None:
        """Tell nothing any more."""
        self._is_closed = True
        if self._timer is not None:
            self._timer.cancel()

    def _begin(self) -> None:
        self._tell()
        self._timer = asyncio.get_running_loop().call_later(self._rest_s, self._rested)

    def _rested(self) -> None:
        self._timer, has_more, self._has_more = None, self._has_more, False
        if has_more:
            self._begin()
