"""Turn log records into lines on stderr: JSON for machines, coloured columns for people.

Everything below ``app`` logs through the standard :mod:`logging`; structlog renders those
records and its own alike. A JSON line is ``timestamp`` (ISO 8601, UTC, ends in ``Z``),
``level``, ``logger``, ``message``, then ``exception`` if there is one, then the fields.

Which of the two: LOG_JSON decides if it is true or false; ``auto`` means JSON when
ENVIRONMENT is ``production`` and stderr is not a terminal.
"""

from __future__ import annotations

import logging
import os
import sys
from typing import TextIO

import structlog
from structlog.typing import EventDict, Processor

from feedmux.app.settings import Settings

FIRST = ("timestamp", "level", "logger", "message", "exception")
"""The keys that begin a JSON line, in this order; fields follow."""


def configure(settings: Settings, stream: TextIO | None = None) -> None:
    """Send all log lines of this process to ``stream``; replaces what was configured before.

    Args:
        settings: what to log and how.
        stream: where to; stderr without it.
    """
    target = stream or sys.stderr
    as_json = writes_json(settings, terminal=target.isatty())
    output = logging.StreamHandler(target)
    output.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.ExtraAdder(), *_facts()],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *(_json() if as_json else _readable(coloured=target.isatty())),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [output]
    root.setLevel("DEBUG" if settings.debug else settings.log_level)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_facts(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


def writes_json(settings: Settings, *, terminal: bool) -> bool:
    """Say whether lines are JSON; ``terminal`` says whether stderr is one."""
    if settings.log_json is not None:
        return settings.log_json
    return settings.environment == "production" and not terminal


def _facts() -> list[Processor]:
    """Return what every record is given, ours or the standard library's."""
    return [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]


def _json() -> list[Processor]:
    return [
        structlog.processors.format_exc_info,
        structlog.processors.EventRenamer("message"),
        _capital_level,
        _in_order,
        structlog.processors.JSONRenderer(ensure_ascii=False),
    ]


def _readable(*, coloured: bool) -> list[Processor]:
    """Lay a line out for people. Tracebacks stay plain: a rich one would print local variables."""
    return [
        structlog.dev.ConsoleRenderer(
            colors=coloured and not os.environ.get("NO_COLOR"),
            exception_formatter=structlog.dev.plain_traceback,
            pad_event_to=0,
        )
    ]


def _capital_level(_logger: object, _method: str, event: EventDict) -> EventDict:
    event["level"] = str(event["level"]).upper()
    return event


def _in_order(_logger: object, _method: str, event: EventDict) -> EventDict:
    first = {key: event.pop(key) for key in FIRST if key in event}
    return first | dict(event)
