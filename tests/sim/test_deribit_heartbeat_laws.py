"""Who answers in time is never closed, who does not is closed when the grace is over."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from feedmux.sim.deribit_heartbeat import Beat, Heartbeat
from support.examples import EXAMPLES

GRACE = 10


class Beats(RuleBasedStateMachine):
    """A heartbeat looked at every second, and who answers it or not."""

    def __init__(self) -> None:
        super().__init__()
        self.heartbeat = Heartbeat(GRACE)
        self.now = 0
        self.asked_at: int | None = None
        self.closed = self.was_on = False

    @rule(interval=st.integers(1, 40))
    def start(self, interval: int) -> None:
        self.heartbeat.start(interval, self.now)
        self.asked_at, self.closed = None, False

    @rule()
    def stop(self) -> None:
        self.heartbeat.stop()
        self.asked_at = None

    @precondition(lambda self: not self.closed)
    @rule()
    def answer(self) -> None:
        self.heartbeat.answered()
        self.asked_at = None

    @precondition(lambda self: not self.closed)
    @rule(idle=st.booleans())
    def fall_silent(self, idle: bool) -> None:
        self.pass_time(60, idle)
        assert self.closed == self.was_on

    @rule(seconds=st.integers(1, 15), idle=st.booleans())
    def pass_time(self, seconds: int, idle: bool) -> None:
        self.was_on = self.heartbeat.is_on
        for _ in range(seconds):
            self.now += 1
            beats = self.heartbeat.due(self.now, idle=idle)
            overdue = self.asked_at is not None and self.now - self.asked_at >= GRACE
            assert (beats == [Beat.CLOSE]) == overdue
            if overdue:
                self.closed, self.asked_at = True, None
            if Beat.TEST_REQUEST in beats:
                assert (Beat.HEARTBEAT in beats) == idle
                self.asked_at = self.now if self.asked_at is None else self.asked_at
            assert not self.closed or beats in ([], [Beat.CLOSE])


TestBeats = Beats.TestCase
TestBeats.settings = settings(max_examples=EXAMPLES // 2, stateful_step_count=30, deadline=None)
