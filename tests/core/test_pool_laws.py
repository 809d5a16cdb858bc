from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from feedmux.core.pool import ERRORS_LAST_S, Choice, RecentErrors, Vitals, score
from support.examples import EXAMPLES

PENDING = st.integers(0, 50)
LATENCY = st.none() | st.floats(0, 5000)
ERRORS = st.integers(0, 20)


@given(pending=PENDING, p99_ms=LATENCY, errors=ERRORS)
@settings(max_examples=EXAMPLES, deadline=None)
def test_a_score_lies_between_ten_and_a_hundred_and_never_rises_with_trouble(
    pending: int, p99_ms: float | None, errors: int
) -> None:
    here = score(Vitals(pending, p99_ms), errors)
    assert 10 <= here <= 100
    assert score(Vitals(pending + 1, p99_ms), errors) <= here
    assert score(Vitals(pending, (p99_ms or 0.0) + 25), errors) <= here
    assert score(Vitals(pending, p99_ms), errors + 1) <= here


class ChoiceModel(RuleBasedStateMachine):
    """Against the history of all choices: members come and go, and get better and worse."""

    @initialize()
    def begin(self) -> None:
        self.choice: Choice[str] = Choice()
        self.scores: dict[str, int] = {}
        self.history: list[str] = []

    @rule(name=st.sampled_from("abcde"), value=st.sampled_from([100, 90, 80]))
    def join_or_change(self, name: str, value: int) -> None:
        self.scores[name] = value

    @rule(name=st.sampled_from("abcde"))
    def leave(self, name: str) -> None:
        self.scores.pop(name, None)
        self.choice.keep(self.scores)
        self.history = [chosen for chosen in self.history if chosen in self.scores]

    @rule(times=st.integers(1, 6))
    def choose(self, times: int) -> None:
        for _ in range(times if self.scores else 0):
            chosen = self.choice.choose(self.scores)
            best = [name for name, value in self.scores.items() if value == max(self.scores.values())]
            assert chosen in best, "nobody with a lower score than another"
            ages = {name: self.age(name) for name in best}
            assert ages[chosen] == max(ages.values()), "the one that was chosen longest ago"
            self.history.append(chosen)

    def age(self, name: str) -> int:
        """How many choices ago it was chosen; very long for one that never was."""
        return self.history[::-1].index(name) if name in self.history else 10**9

    @invariant()
    def memory_is_bounded(self) -> None:
        assert len(self.choice._chosen) <= 5


TestChoiceModel = ChoiceModel.TestCase
TestChoiceModel.settings = settings(max_examples=EXAMPLES, stateful_step_count=30, deadline=None)


@given(waits=st.lists(st.sampled_from([0.0, 1.0, 29.5, 30.0, 60.0, 61.0]), max_size=30))
@settings(max_examples=EXAMPLES, deadline=None)
def test_errors_of_the_last_minute_are_counted(waits: list[float]) -> None:
    errors, times, now = RecentErrors(), list[float](), 0.0
    for wait in waits:
        now += wait
        assert errors.count(now) == sum(then > now - ERRORS_LAST_S for then in times)
        errors.record(now)
        times.append(now)
