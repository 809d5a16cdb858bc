"""Stay within what a platform allows: one budget, for one link or for several.

Whoever may not send yet waits in line, or is refused at once, as its owner decides. Links of one event loop
that are given the same limiter share its budget, as connections of one account have to.

Whoever listens is told what each message took, and, ahead of that, what had flowed in since the latest one
if it had to wait. A budget fills without pause, so there is no other moment to tell of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from feedmux.client.clock import SystemClock
from feedmux.client.telemetry import Telemetry
from feedmux.client.telemetry_events import RateLimiterConsume, RateLimiterRefill, TelemetryEvent
from feedmux.core.budget import Budget, Queue
from feedmux.model.checks import require_kind, require_number, require_text, require_whole
from feedmux.model.errors import InvalidSetting, RateLimited
from feedmux.model.link_errors import RequestTimeout
from feedmux.model.ports import Clock, Statistics


class WhenOver(StrEnum):
    """What becomes of a message that the budget does not allow yet."""

    WAIT = "wait"
    REFUSE = "refuse"


MAX_WAITING: Final = 1000


class _Turn:
    """One who waits."""

    __slots__ = ("allowed", "method")

    def __init__(self, method: str) -> None:
        self.method = method
        self.allowed: asyncio.Future[None] = asyncio.get_running_loop().create_future()


class Limiter:
    """A budget and those who wait for it.

    Args:
        budget: what is allowed; see :mod:`feedmux.core.allowance` for platforms.
        when_over: see :class:`WhenOver`.
        max_waiting: how many messages may wait.
        name: what telemetry calls it: its buckets are ``name.bucket``.
        telemetry: who is told of what is taken and refilled.
        clock: time.

    Raises:
        InvalidSetting: one of them is something else.
    """

    def __init__(
        self,
        budget: Budget,
        *,
        when_over: WhenOver = WhenOver.WAIT,
        max_waiting: int = MAX_WAITING,
        name: str = "limiter",
        telemetry: Telemetry | None = None,
        clock: Clock | None = None,
    ) -> None:
        require_kind("budget", budget, Budget, "a Budget, e.g. of feedmux.core.allowance")
        require_text("name", name)
        if not (isinstance(when_over, str) and when_over in set(WhenOver)):
            raise InvalidSetting("when_over", when_over, f"one of {', '.join(WhenOver)}")
        self._budget, self._when_over = budget, WhenOver(when_over)
        self._clock = clock or SystemClock()
        require_whole("max_waiting", max_waiting, "a number of messages above 0", least=1)
        self._queue: Queue[_Turn] = Queue(budget, max_waiting)
        self.name = name
        self.telemetry = Telemetry() if telemetry is None else telemetry
        """Who is told; may be another one at any time."""
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._queue)

    async def admit(self, method: str) -> None:
        """Return when a message may be sent; it has been paid for then.

        Raises:
            RateLimited: it may not, and is not to wait.
            Unaffordable: it never will be.
            Overflow: too many messages wait.
        """
        if not self._queue:
            wait_s = self._budget.take(self._clock.monotonic(), method)
            if not wait_s:
                if self.telemetry.tell is not None:
                    self._tell_taken(method)
                return
            if self._when_over is WhenOver.REFUSE:
                raise RateLimited(method, wait_s)
        elif self._when_over is WhenOver.REFUSE:
            raise RateLimited(method, self._budget.wait_s(self._clock.monotonic(), method))
        turn = _Turn(method)
        self._queue.push(method, turn)
        self._set_timer()
        try:
            await turn.allowed
        finally:
            self._queue.discard(turn)
            self._set_timer()

    async def admit_within(self, method: str, timeout_s: float) -> None:
        """Do the same, but not wait for longer than this.

        Raises:
            InvalidSetting: it is no time above 0.
            RequestTimeout: it took longer; nothing was sent.
        """
        require_number("timeout_s", timeout_s, "seconds above 0", above=0)
        try:
            async with asyncio.timeout(timeout_s):
                await self.admit(method)
        except TimeoutError:
            raise RequestTimeout(method, timeout_s, maybe_executed=False) from None

    def penalise(self, seconds: float) -> None:
        """The platform said that it was too much: nothing goes for so long."""
        self._budget.penalise(self._clock.monotonic(), seconds)

    def utilisation(self) -> dict[str, float]:
        """How much of each bucket is used up, from 0 to 1."""
        return self._budget.utilisation(self._clock.monotonic())

    def statistics(self) -> Statistics:
        """Return counters, how many wait, and how much is used up."""
        return {**self._budget.statistics(), "waiting": len(self), "utilisation": self.utilisation()}

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        wait_s = self._queue.wait_s(self._clock.monotonic())
        if wait_s is not None:
            self._timer = asyncio.get_running_loop().call_later(wait_s, self._let_in)

    def _let_in(self) -> None:
        self._timer = None
        while (turn := self._next()) is not None:
            if not turn.allowed.done():
                turn.allowed.set_result(None)
        self._set_timer()

    def _next(self) -> _Turn | None:
        now = self._clock.monotonic()
        if self.telemetry.tell is None:
            return self._queue.pop(now)
        before = self._budget.left()
        turn = self._queue.pop(now)
        if turn is not None:
            self._tell_refilled(turn.method, before)
            self._tell_taken(turn.method)
        return turn

    def _tell_refilled(self, method: str, before: Mapping[str, float]) -> None:
        left = self._budget.left()
        for bucket, cost in self._budget.price(method).items():
            rate = self._budget.refill_per_s(bucket)
            self._tell(RateLimiterRefill(before[bucket], left[bucket] + cost, rate, f"{self.name}.{bucket}"))

    def _tell_taken(self, method: str) -> None:
        left = self._budget.left()
        for bucket, cost in self._budget.price(method).items():
            self._tell(RateLimiterConsume(left[bucket], cost, f"{self.name}.{bucket}"))

    def _tell(self, event: TelemetryEvent) -> None:
        if self.telemetry.tell is not None:
            self.telemetry.tell(event)
