"""Lay out the lines of :mod:`feedmux.app.log`; apart from it because it takes a tenth of a second to load."""

from __future__ import annotations

import logging
import os

import structlog
from structlog.typing import EventDict, Processor

FIRST = ("timestamp", "level", "logger", "message", "exception")
"""The keys that begin a JSON line, in this order; fields follow."""


def formatter(*, as_json: bool, coloured: bool) -> logging.Formatter:
    """Make what turns a record into a line.

    Args:
        as_json: for machines; else for people.
        coloured: with the colours of a terminal.
    """
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[structlog.stdlib.ExtraAdder(), *_facts()],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            *(_json() if as_json else _readable(coloured=coloured)),
        ],
    )


def take_over() -> None:
    """Send what structlog's own loggers say the same way."""
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
