"""The breaker beside a count of failures in a row."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from feedmux.core.breaker import Breaker, Circuit
from support.examples import EXAMPLES

pytestmark = pytest.mark.law

LIMIT, COOLDOWN_S = 3, 60


class Breakers(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.breaker = Breaker(LIMIT, COOLDOWN_S)
        self.now = 0
        self.failures = 0
        self.opened_at: int | None = None

    @rule(seconds=st.integers(0, 90))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds

    @rule()
    def failed(self) -> None:
        self.breaker.failed(self.now)
        self.failures += 1
        if self.failures >= LIMIT:
            self.opened_at = self.now

    @rule()
    def succeeded(self) -> None:
        self.breaker.succeeded()
        self.failures, self.opened_at = 0, None

    @rule()
    def ask(self) -> None:
        due = 0 if self.opened_at is None else max(0, self.opened_at + COOLDOWN_S - self.now)
        assert self.breaker.wait_s(self.now) == due
        assert (self.breaker.circuit is Circuit.CLOSED) == (self.failures < LIMIT)


TestBreakers = Breakers.TestCase
TestBreakers.settings = settings(max_examples=EXAMPLES, deadline=None)
