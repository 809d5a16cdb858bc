"""Hear everything that a program says, in every way in which it can say something."""

from __future__ import annotations

import asyncio
import json
import logging
import pickle
import traceback
import warnings
from base64 import b64encode
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self
from urllib.parse import quote

import msgspec

from feedmux.client.telemetry_events import TelemetryEvent
from feedmux.model.errors import FeedmuxError
from feedmux.model.explain import explain


class Ear(logging.Handler):
    """Keeps what was said to logs, of warnings, in events, by objects and by errors, while it listens.

    All loggers tell everything meanwhile, asyncio in its debug mode, too: that shows every callback.
    """

    def __init__(self) -> None:
        super().__init__(level=1)
        self.said: list[str] = []
        self.loggers: set[str] = set()
        self._formatter = logging.Formatter("%(name)s %(levelname)s %(message)s")
        self._levels: dict[logging.Logger, int] = {}
        self._warnings = warnings.catch_warnings()

    def __enter__(self) -> Self:
        known = [
            each for each in logging.root.manager.loggerDict.values() if isinstance(each, logging.Logger)
        ]
        for logger in (logging.root, *known):
            self._levels[logger] = logger.level
            logger.setLevel(1)
        logging.root.addHandler(self)
        self._warnings.__enter__()
        warnings.simplefilter("always")
        logging.captureWarnings(True)
        loop = asyncio.get_running_loop()
        loop.set_debug(True)
        loop.slow_callback_duration = 0.0
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.get_running_loop().set_debug(False)
        logging.captureWarnings(False)
        self._warnings.__exit__(None, None, None)
        logging.root.removeHandler(self)
        for logger, level in self._levels.items():
            logger.setLevel(level)

    def emit(self, record: logging.LogRecord) -> None:
        if record.name.startswith("websockets"):
            return  # the servers of the test, which are not what is heard
        self.loggers.add(record.name)
        self.said += [self._formatter.format(record), repr(record.args)]

    def event(self, event: TelemetryEvent) -> None:
        """A telemetry sink: what it shows, and what goes on meanwhile."""
        self.said += [repr(event), f"{event.name} {event.measures} {event.metadata}"]
        self.look_round()

    def look(self, *things: object) -> None:
        """Look at objects in every way."""
        for thing in things:
            self.said += [repr(thing), str(thing), f"{thing}"]
            if hasattr(thing, "statistics"):
                self.said += [repr(thing.statistics()), json.dumps(thing.statistics(), default=repr)]

    def hear(self, message: object) -> None:
        """A link's listener: notices are said, messages are the user's own."""
        if isinstance(message, msgspec.Struct):
            self.look(message)
        self.look_round()

    def look_round(self) -> None:
        """Look at every task, as a monitor would."""
        for task in asyncio.all_tasks():
            self.said += [repr(task), repr(task.get_coro()), repr(task.get_stack(limit=1))]

    def caught(self, error: BaseException) -> None:
        """Look at an error and all that led to it."""
        self.said += traceback.format_exception(error)
        self.said += traceback.TracebackException.from_exception(error, capture_locals=False).format()
        for each in _chain(error):
            self.said += [repr(each), str(each), repr(each.args), repr(vars(each))]
            if isinstance(each, FeedmuxError):
                self.said += [repr(explain(each)), pickle.dumps(each).decode("latin-1")]
                self.look(pickle.loads(pickle.dumps(each)))

    @contextmanager
    def catching(self) -> Iterator[list[BaseException]]:
        """Go on after an error, and keep what it says."""
        errors: list[BaseException] = []
        try:
            yield errors
        except Exception as error:  # noqa: BLE001 - whatever it is, it is looked at
            errors.append(error)
            self.caught(error)

    def leaks(self, secrets: Iterable[str]) -> list[str]:
        """What was said that has a secret in it, in any spelling."""
        spelled = {spelling for secret in secrets for spelling in _spellings(secret)}
        return [
            f"{secret}: {text[max(0, text.find(secret) - 300) : text.find(secret) + 300]}"
            for text in self.said
            for secret in spelled
            if secret in text
        ]


def _spellings(secret: str) -> set[str]:
    in_basic = b64encode(secret.encode()).decode().rstrip("=")
    return {secret, quote(secret, safe=""), json.dumps(secret)[1:-1], in_basic}


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        each = waiting.pop()
        if each is not None and id(each) not in seen:
            seen.add(id(each))
            yield each
            waiting += [each.__cause__, each.__context__]
            if isinstance(each, BaseExceptionGroup):
                waiting += each.exceptions
