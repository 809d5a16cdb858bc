"""Turn log records into lines on stderr: JSON for machines, coloured columns for people.

Everything below ``app`` logs through the standard :mod:`logging`; structlog renders those
records and its own alike. A JSON line is ``timestamp`` (ISO 8601, UTC, ends in ``Z``),
``level``, ``logger``, ``message``, then ``exception`` if there is one, then the fields.

Which of the two: LOG_JSON decides if it is true or false; ``auto`` means JSON when
ENVIRONMENT is ``production`` and stderr is not a terminal.
"""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from feedmux.app.settings import Settings


def configure(settings: Settings, stream: TextIO | None = None) -> None:
    """Send all log lines of this process to ``stream``; replaces what was configured before.

    Args:
        settings: what to log and how.
        stream: where to; stderr without it.
    """
    from feedmux.app import log_lines

    target = stream or sys.stderr
    as_json = writes_json(settings, terminal=target.isatty())
    output = logging.StreamHandler(target)
    output.setFormatter(log_lines.formatter(as_json=as_json, coloured=target.isatty()))
    _send(output, settings)
    log_lines.take_over()


def configure_later(settings: Settings) -> None:
    """Do so when there is a first line: a process that is waited for says nothing until it is there."""
    _send(_FirstLine(settings), settings)


def writes_json(settings: Settings, *, terminal: bool) -> bool:
    """Say whether lines are JSON; ``terminal`` says whether stderr is one."""
    if settings.log_json is not None:
        return settings.log_json
    return settings.environment == "production" and not terminal


class _FirstLine(logging.Handler):
    """Gives up its place when there is something to say."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self._settings = settings

    def emit(self, record: logging.LogRecord) -> None:
        configure(self._settings)
        logging.getLogger().handle(record)


def _send(output: logging.Handler, settings: Settings) -> None:
    root = logging.getLogger()
    root.handlers[:] = [output]
    root.setLevel("DEBUG" if settings.debug else settings.log_level)
