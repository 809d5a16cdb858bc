"""Take the lines of the log to those clients that asked for them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

_ROOT: Final = logging.getLogger("feedmux")
TRACE: Final = 5
"""Python's number of the level 0 of docs/reference/local-protocol.md."""
_MOST: Final = 5
_OFF: Final = logging.CRITICAL + 1


def python_level(level: int) -> int:
    """Return Python's number of a level from 0 to 5; of what is above, one at which nothing is logged."""
    if level > _MOST:
        return _OFF
    return level * 10 or TRACE


def wire_level(number: int) -> int:
    """Return the level from 0 to 5 of one of Python's numbers."""
    return max(min(number // 10, _MOST), 0)


class Listening(logging.Handler):
    """Where the log goes.

    Args:
        tell: takes a level and a line.
    """

    def __init__(self, tell: Callable[[int, str], None]) -> None:
        super().__init__()
        self._tell = tell
        self._is_telling = False
        self.setFormatter(logging.Formatter("%(asctime)s %(name)s: %(message)s"))

    def begin(self) -> None:
        """Take the lines of all of feedmux; they go nowhere else."""
        _ROOT.addHandler(self)
        _ROOT.propagate = False
        self.want(_MOST + 1)

    def want(self, level: int) -> None:
        """Have lines made from this level on, and no others."""
        _ROOT.setLevel(python_level(level))

    def end(self) -> None:
        """Take no more lines."""
        _ROOT.removeHandler(self)
        _ROOT.propagate = True
        _ROOT.setLevel(logging.NOTSET)

    def emit(self, record: logging.LogRecord) -> None:
        """Tell one line; what telling it has to say is not told."""
        if self._is_telling:
            return
        self._is_telling = True
        try:
            self._tell(wire_level(record.levelno), self.format(record).replace("\n", " | "))
        except Exception:  # noqa: BLE001 - logging must never fail
            self.handleError(record)
        finally:
            self._is_telling = False
