"""Ask the other side for a sign of life, and notice when none comes.

Theory of operation: every ``interval_s`` one question goes out, unless the last one still
waits for its answer. A question that waits for ``timeout_s`` ends the heartbeat with one call
of ``dead``. Data is no answer: a server may push for hours and yet have stopped reading.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from feedmux.model.ports import Clock, Statistics


class Heartbeat:
    """The two timers of one open connection.

    Args:
        interval_s: between two questions, seconds.
        timeout_s: how long an answer may take, seconds.
        ask: sends a question; must not raise.
        dead: told once that no answer came in time.
        clock: measures the round trip.
    """

    __slots__ = (
        "_ask", "_asked_at", "_clock", "_dead", "_deadline", "_interval_s", "_next", "_timeout_s",
        "answered_by", "answers", "questions", "round_trip_s",
    )  # fmt: skip

    def __init__(
        self,
        interval_s: float,
        timeout_s: float,
        *,
        ask: Callable[[], None],
        dead: Callable[[], None],
        clock: Clock,
    ) -> None:
        self._interval_s, self._timeout_s = interval_s, timeout_s
        self._ask, self._dead, self._clock = ask, dead, clock
        self._next: asyncio.TimerHandle | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._asked_at = 0.0
        self.round_trip_s: float | None = None
        """How long the latest answer took; None before the first."""
        self.answered_by: Callable[[float], None] | None = None
        """Is told how long an answer took, seconds; None: nobody wants to know."""
        self.questions = self.answers = 0
        """How many there were, on all connections."""

    def start(self) -> None:
        """Begin: the first question goes out after one interval."""
        self.stop()
        self._next = asyncio.get_running_loop().call_later(self._interval_s, self._beat)

    def stop(self) -> None:
        """End; nothing is called afterwards. Harmless when it does not run."""
        for timer in (self._next, self._deadline):
            if timer is not None:
                timer.cancel()
        self._next = self._deadline = None

    def answered(self) -> None:
        """Take the answer to the question that waits; harmless when none does."""
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
            self.round_trip_s = self._clock.monotonic() - self._asked_at
            self.answers += 1
            if self.answered_by is not None:
                self.answered_by(self.round_trip_s)

    def ask(self) -> None:
        """Ask now; harmless while an answer is waited for, or when it does not run."""
        if self._next is not None and self._deadline is None:
            self._deadline = asyncio.get_running_loop().call_later(self._timeout_s, self._expire)
            self._asked_at = self._clock.monotonic()
            self.questions += 1
            self._ask()

    def statistics(self) -> Statistics:
        """Return counters since the start, and the latest round trip."""
        return {"pings": self.questions, "pongs": self.answers, "round_trip_s": self.round_trip_s}

    def _beat(self) -> None:
        self._next = asyncio.get_running_loop().call_later(self._interval_s, self._beat)
        self.ask()

    def _expire(self) -> None:
        self.stop()
        self._dead()
