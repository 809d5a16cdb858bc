"""Hear at once when the server broke the protocol: picows tells it to a logger before anybody else."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final

_PROTOCOL_ERROR: Final = 1002
_MUTE: Final = logging.Logger("feedmux.client.picows", level=logging.CRITICAL + 1)

Broken = Callable[[int, str], None]
"""Is told with which code a connection has to be closed, and what the server did."""


class Ears(logging.LoggerAdapter[logging.Logger]):
    """What one connection of picows logs to. It writes nothing.

    picows 2.3 reads on for 10 ms after an error, and then tells its listener. It is no ``Logger``,
    because from that each connection would make one of its own.

    Args:
        broken: is told.
    """

    def __init__(self, broken: Broken) -> None:
        super().__init__(_MUTE, {})
        self._broken = broken

    def error(self, msg: object, *args: Any, **options: Any) -> None:
        """Take ``error(text, (code, what))``, or an error that picows did not foresee."""
        del options
        code, what = args[0] if args and isinstance(args[0], tuple) else (_PROTOCOL_ERROR, str(msg))
        self._broken(int(code), what)

    def exception(self, msg: object, *args: Any, **options: Any) -> None:
        """See :meth:`error`."""
        self.error(msg, *args, **options)
