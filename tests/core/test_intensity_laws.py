from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from feedmux.core.intensity import Intensity
from support.examples import EXAMPLES

WAITS = st.sampled_from([0.0, 0.25, 1.0, 3.75, 4.0, 4.25, 20.0])


class IntensityModel(RuleBasedStateMachine):
    """Against the list of everything that was ever tolerated."""

    @initialize(limit=st.integers(0, 4))
    def begin(self, limit: int) -> None:
        self.limit = limit
        self.intensity = Intensity(limit, 4.0)
        self.tolerated: list[float] = []
        self.now = 100.0

    def in_window(self) -> list[float]:
        return [then for then in self.tolerated if then > self.now - 4.0]

    @rule(wait=WAITS)
    def something_happens(self, wait: float) -> None:
        self.now += wait
        too_many = len(self.in_window()) == self.limit
        assert self.intensity.exceeds(self.now) == too_many
        if not too_many:
            self.tolerated.append(self.now)

    @rule(wait=WAITS)
    def time_passes(self, wait: float) -> None:
        self.now += wait
        assert self.intensity.recent(self.now) == len(self.in_window())

    @invariant()
    def no_window_holds_more_than_the_limit(self) -> None:
        for start in self.tolerated:
            assert sum(start <= then < start + 4.0 for then in self.tolerated) <= self.limit


TestIntensityModel = IntensityModel.TestCase
TestIntensityModel.settings = settings(max_examples=EXAMPLES, stateful_step_count=40, deadline=None)
