from __future__ import annotations

from fractions import Fraction

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from feedmux.core.throttle import Throttle
from support.examples import EXAMPLES


class ThrottleModel(RuleBasedStateMachine):
    """Numbers in rising order against a list of what went, when, and whether the throttle let it."""

    @initialize(rate=st.sampled_from([0.5, 1, 2, 4, 8]))
    def begin(self, rate: float) -> None:
        self.throttle: Throttle[int] = Throttle(rate)
        self.interval = 1 / Fraction(rate)
        self.now = Fraction(1000)
        self.count = 0
        self.went: list[tuple[Fraction, int, bool]] = []

    def go(self, value: int, paced: bool) -> None:
        self.went.append((self.now, value, paced))

    @rule(eighths=st.integers(0, 12))
    def time_passes(self, eighths: int) -> None:
        self.now += Fraction(eighths, 8)

    @rule()
    def offer(self) -> None:
        self.count += 1
        if self.throttle.offer(self.count, float(self.now)):
            self.go(self.count, paced=True)

    @rule()
    def look(self) -> None:
        value = self.throttle.due(float(self.now))
        if value is not None:
            self.go(value, paced=True)
        assert self.throttle.held is None or self.throttle.wait_s(float(self.now)) > 0

    @rule()
    def let_out(self) -> None:
        value = self.throttle.release(float(self.now))
        if value is not None:
            self.go(value, paced=False)
        assert self.throttle.held is None

    @rule()
    def go_unasked(self) -> None:
        """What may not be held lets out what is, and goes."""
        self.let_out()
        self.count += 1
        self.throttle.spend(float(self.now))
        self.go(self.count, paced=False)

    @rule()
    def wait_as_long_as_it_says(self) -> None:
        self.now += Fraction(self.throttle.wait_s(float(self.now)))
        held, value = self.throttle.held, self.throttle.due(float(self.now))
        assert value == held
        if value is not None:
            self.go(value, paced=True)

    @invariant()
    def what_goes_is_never_older_and_never_goes_twice(self) -> None:
        values = [value for _, value, _ in self.went]
        assert values == sorted(set(values))

    @invariant()
    def the_newest_value_went_or_waits(self) -> None:
        if self.count:
            assert (self.throttle.held or self.went[-1][1]) == self.count

    @invariant()
    def what_the_pace_lets_go_is_an_interval_behind_what_went_before(self) -> None:
        for (before, _, _), (at, _, paced) in zip(self.went, self.went[1:], strict=False):
            assert not paced or at - before >= self.interval


TestThrottleModel = ThrottleModel.TestCase
TestThrottleModel.settings = settings(max_examples=EXAMPLES, stateful_step_count=40, deadline=None)
