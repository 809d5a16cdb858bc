"""A pool is never below nothing nor above its size, and fills by the clock alone."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from feedmux.sim.deribit_credits import Pool
from support.examples import EXAMPLES

SECOND = 1024
"""Times and credits in fractions of two, so that floats are exact."""


class Credits(RuleBasedStateMachine):
    """A pool beside what it should hold, in exact arithmetic."""

    @initialize(size=st.integers(1, 2**20), refill=st.integers(0, 2**14))
    def open(self, size: int, refill: int) -> None:
        self.size, self.refill, self.ticks = size, refill, 0
        self.pool = Pool(size, refill, 0.0)
        self.held = Fraction(size)
        self.spent = 0

    @property
    def now(self) -> float:
        return self.ticks / SECOND

    @rule(ticks=st.integers(0, 60 * SECOND))
    def pass_time(self, ticks: int) -> None:
        self.ticks += ticks
        self.held = min(Fraction(self.size), self.held + Fraction(self.refill * ticks, SECOND))

    @rule(cost=st.integers(0, 2**20))
    def take(self, cost: int) -> None:
        done = self.pool.take(cost, self.now)
        assert done == (self.held >= cost)
        if done:
            self.held -= cost
            self.spent += cost

    @invariant()
    def holds_what_it_should(self) -> None:
        level = self.pool.level(self.now)
        assert 0 <= level <= self.size
        assert level == self.held

    @invariant()
    def never_gives_more_than_it_had_and_got(self) -> None:
        assert self.spent <= self.size + Fraction(self.refill * self.ticks, SECOND)


TestCredits = Credits.TestCase
TestCredits.settings = settings(max_examples=EXAMPLES // 2, stateful_step_count=30, deadline=None)
