"""Keep links running: start again what ended, and give up when it ends too often.

Theory of operation
===================

::

      add ─▶ running ─▶ ended ─▶ not to be kept (see Keep)? ─▶ gone
                ▲         │
                │         ├──▶ one restart too many in the window ─▶ all are stopped, TooManyRestarts
                │         ▼
                └─────  waiting: jittered, longer after each end in a row

A child is a coroutine function that runs as long as all is well. The restarts of all children count
together (:mod:`feedmux.core.intensity`): one that can never work would otherwise be started for ever,
and what is wrong for all of them is noticed sooner. The default is 10 in 60 s, and the default waits
are so short that a child that fails at once reaches it.

Children run in the block that ``async with`` opens. Leaving it stops them: each is cancelled and
awaited. Too many restarts cancel the block's own code too, and are raised from it.

Invariants: no child outlives the block; a child runs at most once at a time; the cancellation of the
caller reaches every child.

Deliberately absent: trees of supervisors (one is a child like any other), and restarting those that
did not end.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import deque
from collections.abc import Awaitable, Callable
from enum import Enum
from types import TracebackType
from typing import Final, Self

import msgspec

from feedmux.client.clock import SystemClock
from feedmux.client.telemetry import Telemetry
from feedmux.client.telemetry_events import SupervisorRestart
from feedmux.core.intensity import Intensity
from feedmux.core.reconnect import Backoff
from feedmux.model.checks import require_kind, require_number, require_text, require_whole, type_of
from feedmux.model.errors import Duplicate, IllegalEvent, InvalidSetting, TooManyRestarts
from feedmux.model.ports import Clock, Dice, Statistics

_LOG: Final = logging.getLogger(__name__)
_RESTART: Final = "%s ended (%s); it is started again in %.2f s"
_SHOWN: Final = 200
_MOST_RESTARTS: Final = 1_000_000

Run = Callable[[], Awaitable[None]]
"""Runs a child once; called again for each restart."""


class Keep(Enum):
    """Which ends of a child are answered by a restart."""

    ALWAYS = "permanent"
    """Every one: it is not meant to return."""
    ON_FAILURE = "transient"
    """When it raises; when it returns, it is done."""
    NEVER = "temporary"
    """None; its failure is told and forgotten."""


class SupervisorConfig(msgspec.Struct, frozen=True, kw_only=True):
    """When a supervisor gives up, and how long it waits before a restart.

    Args:
        max_restarts: so many restarts, of all children together, are tolerated, at most a million ...
        within_s: ... in any so many seconds.
        backoff: the longest waits before a restart; they start anew once a child ran for longer than
            the longest of them.

    Raises:
        InvalidSetting: one of them is outside its range.
    """

    max_restarts: int = 10
    within_s: float = 60.0
    backoff: Backoff = Backoff(initial=0.1, multiplier=2.0, ceiling=2.0)

    def __post_init__(self) -> None:
        expected = f"a whole number from 0 to {_MOST_RESTARTS}"
        require_whole("max_restarts", self.max_restarts, expected, least=0, most=_MOST_RESTARTS)
        require_number("within_s", self.within_s, "seconds above 0", above=0)
        require_kind("backoff", self.backoff, Backoff, "a Backoff")


_DEFAULTS: Final = SupervisorConfig()


class Supervisor:
    """Children and their restarts; used once, in ``async with``.

    Args:
        config: limits and waits.
        telemetry: who is told of each restart, besides the log.
        clock: the machine's by default.
        dice: for the jitter of the waits; the machine's by default.

    Raises:
        InvalidSetting: the config is none.
        TooManyRestarts: from the block: the limit was exceeded, and everything has been stopped.
    """

    def __init__(
        self,
        config: SupervisorConfig = _DEFAULTS,
        *,
        telemetry: Telemetry | None = None,
        clock: Clock | None = None,
        dice: Dice | None = None,
    ) -> None:
        require_kind("config", config, SupervisorConfig, "a SupervisorConfig")
        self._config, self._telemetry = config, telemetry or Telemetry()
        self._clock, self._dice = clock or SystemClock(), dice or random.SystemRandom()
        self._intensity = Intensity(config.max_restarts, config.within_s)
        self._failures: deque[tuple[str, str]] = deque(maxlen=config.max_restarts + 1)
        self._group: asyncio.TaskGroup | None = None
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._restarts = self._given_up = 0
        self._left = False

    async def __aenter__(self) -> Self:
        if self._group is not None:
            raise IllegalEvent("supervisor", "used", "enter")
        self._group = asyncio.TaskGroup()
        await self._group.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._group is not None
        self._left = True
        for task in self._tasks.values():
            task.cancel()
        # The group learns of a cancellation, which may be its own doing; other errors are not its business.
        cancelled = kind is not None and issubclass(kind, asyncio.CancelledError)
        try:
            await self._group.__aexit__(*((kind, error, trace) if cancelled else (None, None, None)))
        except BaseExceptionGroup as several:
            raise several.exceptions[0] from several.exceptions[0].__cause__

    def add(self, name: str, run: Run, *, keep: Keep = Keep.ON_FAILURE) -> None:
        """Start a child; it runs from the next turn of the loop on.

        Args:
            name: what it is called; free again once it is gone.
            run: a coroutine function.
            keep: which of its ends are answered by a restart.

        Raises:
            InvalidSetting: the name is no text, ``run`` cannot be called, or ``keep`` is no :class:`Keep`.
            Duplicate: a child of that name is there.
            IllegalEvent: the block was not entered, or was left.
        """
        require_text("name", name)
        if not callable(run):
            raise InvalidSetting("run", type_of(run), "a coroutine function")
        require_kind("keep", keep, Keep, f"one of {', '.join(map(str, Keep))}")
        if self._group is None or self._left:
            raise IllegalEvent("supervisor", "left" if self._left else "new", "add")
        if name in self._tasks:
            raise Duplicate("child", name)
        task = self._group.create_task(self._keep(name, run, keep), name=f"supervised-{name}")
        self._tasks[name] = task
        task.add_done_callback(lambda _: self._tasks.pop(name, None))

    async def stop(self, name: str) -> bool:
        """Stop one child and wait for its end; it is not started again.

        Returns:
            Whether there was one.
        """
        task = self._tasks.get(name) if isinstance(name, str) else None
        if task is None:
            return False
        task.cancel()
        await asyncio.wait([task])
        return True

    async def wait(self) -> None:
        """Wait until no child is left. With one that is always kept: until it is too much."""
        while self._tasks:
            await asyncio.wait(self._tasks.values())

    @property
    def names(self) -> tuple[str, ...]:
        """The children that run or wait for a restart."""
        return tuple(self._tasks)

    def statistics(self) -> Statistics:
        """Return counters since the start, and the present."""
        return {
            "children": len(self._tasks),
            "restarts": self._restarts,
            "recent_restarts": self._intensity.recent(self._clock.monotonic()),
            "given_up": self._given_up,
        }

    async def _keep(self, name: str, run: Run, keep: Keep) -> None:
        """Run one child for as long as its ends are answered by restarts."""
        in_a_row = 0
        while True:
            began = self._clock.monotonic()
            error = await _once(run)
            now = self._clock.monotonic()
            reason = "it returned" if error is None else _reason(error)
            _obey(name, error)
            if keep is Keep.NEVER or (keep is Keep.ON_FAILURE and error is None):
                self._forget(name, error, reason)
                return
            self._failures.append((name, reason))
            if self._intensity.exceeds(now):
                self._left = True
                limit, within_s = self._config.max_restarts, self._config.within_s
                raise TooManyRestarts(limit, within_s, tuple(self._failures)) from error
            in_a_row = 0 if now - began > self._config.backoff.ceiling else in_a_row
            wait_s = self._dice.uniform(0.0, self._config.backoff.limit(in_a_row))
            in_a_row += 1
            self._restarting(name, reason, wait_s, in_a_row)
            await asyncio.sleep(wait_s)

    def _restarting(self, name: str, reason: str, wait_s: float, in_a_row: int) -> None:
        self._restarts += 1
        _LOG.warning(_RESTART, name, reason, wait_s)
        if self._telemetry.tell is not None:
            self._telemetry.tell(
                SupervisorRestart(failures=in_a_row, wait_ms=wait_s * 1000, child=name, reason=reason)
            )

    def _forget(self, name: str, error: BaseException | None, reason: str) -> None:
        if error is not None:
            self._given_up += 1
            _LOG.warning("%s ended (%s); it is not started again", name, reason)


async def _once(run: Run) -> BaseException | None:
    """Run a child to its end; why it failed, or None."""
    try:
        await run()
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        return error  # something within was cancelled, not the child
    except Exception as error:  # noqa: BLE001 - the outermost edge: the log and the telemetry tell it
        return error
    return None


def _obey(name: str, error: BaseException | None) -> None:
    """End here if the child was told to stop, whatever it made of that."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        if error is not None:
            _LOG.warning("%s failed while it was stopped (%s)", name, _reason(error))
        raise asyncio.CancelledError


def _reason(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"[:_SHOWN]
