from __future__ import annotations

from fractions import Fraction
from math import inf
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from feedmux.core.budget import Bucket, Budget, Queue, single, windowed
from feedmux.model.errors import FeedmuxError, Unaffordable
from support.examples import EXAMPLES
from support.jsons import STRANGE_VALUES

STEPS = st.sampled_from([0.0, 0.0, 0.0625, 0.25, 0.5, 1.0, 3.0])
RATES = st.sampled_from([0.5, 1.0, 2.0, 4.0])
"""Powers of two, like the steps: floats are exact then, and so are the laws."""
NAMES = ("a", "b", "c")


@given(
    rate=st.floats(0.01, 20_000),
    burst=st.floats(1, 100),
    start=st.floats(0, 1e7),
    steps=st.lists(st.floats(-1, 5), max_size=30),
)
@settings(max_examples=EXAMPLES, deadline=None)
def test_in_any_span_of_time_no_more_is_taken_than_the_burst_and_what_flows_in(
    rate: float, burst: float, start: float, steps: list[float]
) -> None:
    """With real figures and a clock that sometimes goes back; a span ends where the clock was latest."""
    budget, now, latest = single(rate, burst), start, -inf
    taken: list[float] = []
    for step in steps:
        now += step
        latest = max(latest, now)
        wait_s = budget.take(now, "x")
        if not wait_s:
            taken.append(latest)
        elif step > 0:
            now += wait_s
            latest = max(latest, now)
            assert budget.take(now, "x") == 0.0, "after the wait it is there"
            taken.append(latest)
    for first, begin in enumerate(taken):
        for last in range(first, len(taken)):
            span_s = taken[last] - begin + 2e-6
            assert last - first + 1 <= burst + span_s * rate + 1e-6


@given(limit=st.integers(2, 9), window_s=st.sampled_from([0.5, 1.0, 10.0]), share=st.floats(0.01, 0.99))
@settings(max_examples=EXAMPLES, deadline=None)
def test_no_window_sees_more_than_its_limit_however_eager_the_sender(
    limit: int, window_s: float, share: float
) -> None:
    bucket = windowed(
        float(limit), window_s, burst=max(1.0, limit * share) if limit * share < limit - 1 else 1.0
    )
    budget, now, sent = Budget([bucket], lambda _: {"messages": 1.0}), 0.0, []
    for _ in range(5 * limit):
        wait_s = budget.take(now, "x")
        while wait_s:
            now += wait_s
            wait_s = budget.take(now, "x")
        sent.append(now)
    for begin in sent:
        assert sum(begin <= time < begin + window_s - 1e-5 for time in sent) <= limit


@given(method=STRANGE_VALUES)
@settings(max_examples=EXAMPLES, deadline=None)
def test_any_value_as_a_method_has_a_price_or_is_an_error_of_ours(method: Any) -> None:
    budget = single(1.0, 1.0)
    for ask in (budget.price, lambda m: budget.take(0.0, m), lambda m: Queue[int](budget, 1).push(m, 1)):
        try:
            ask(method)
        except FeedmuxError:
            assert not isinstance(method, str)
        else:
            assert isinstance(method, str)


class BudgetModel(RuleBasedStateMachine):
    """Against the exact sum over everything that was ever taken, and a plain list of who waits."""

    @initialize(
        buckets=st.lists(st.tuples(st.integers(1, 8), RATES), min_size=2, max_size=3),
        prices=st.lists(
            st.dictionaries(st.integers(0, 2), st.sampled_from([0.0, 0.5, 1.0, 1.0, 2.0, 5.0]), max_size=3),
            min_size=3,
            max_size=4,
        ),
        limit=st.integers(1, 6),
    )
    def begin(self, buckets: list[tuple[int, float]], prices: list[dict[int, float]], limit: int) -> None:
        self.buckets = {
            name: Bucket(float(capacity), rate, name)
            for name, (capacity, rate) in zip(NAMES, buckets, strict=False)
        }
        names = list(self.buckets)
        self.prices = {
            f"method {n}": {names[i]: tokens for i, tokens in price.items() if i < len(names)}
            for n, price in enumerate(prices)
        }
        self.budget = Budget(self.buckets.values(), self.prices.__getitem__)
        self.queue: Queue[int] = Queue(self.budget, limit)
        self.limit = limit
        self.now = self.latest = Fraction(0)
        self.shut_until = Fraction(-1_000_000)
        self.taken: list[tuple[Fraction, str]] = []
        self.waiting: list[tuple[int, str]] = []
        self.pushed = 0

    def method(self, choice: int) -> str:
        return list(self.prices)[choice % len(self.prices)]

    def affordable(self, method: str) -> bool:
        return all(tokens <= self.buckets[name].capacity for name, tokens in self.prices[method].items())

    def level(self, name: str) -> Fraction:
        """What the bucket holds at the latest time, from the beginning on."""
        bucket = self.buckets[name]
        capacity, rate = Fraction(bucket.capacity), Fraction(bucket.refill_per_s)
        level, at = capacity, Fraction(0)
        for time, method in self.taken:
            level = min(capacity, level + (time - at) * rate) - Fraction(self.prices[method].get(name, 0.0))
            at = time
        return min(capacity, level + (self.latest - at) * rate)

    def wait(self, method: str) -> Fraction:
        waits = [self.shut_until - self.now, Fraction(0)]
        for name, tokens in self.prices[method].items():
            short = Fraction(tokens) - self.level(name)
            if short > 0:
                waits.append(short / Fraction(self.buckets[name].refill_per_s) + self.latest - self.now)
        return max(waits)

    def took(self, method: str) -> None:
        self.taken.append((self.latest, method))
        for name in self.buckets:
            assert self.level(name) >= 0, "nothing is taken that is not there"

    @rule(step=STEPS)
    def time_passes(self, step: float) -> None:
        self.now += Fraction(step)
        self.latest = max(self.latest, self.now)

    @rule(step=st.sampled_from([0.25, 2.0]))
    def the_clock_goes_back(self, step: float) -> None:
        self.now -= Fraction(step)

    @rule(choice=st.integers(0, 3), stays=st.booleans())
    def take(self, choice: int, stays: bool) -> None:
        method = self.method(choice)
        if not self.affordable(method):
            with pytest.raises(Unaffordable):
                self.budget.take(float(self.now), method)
            return
        expected = self.wait(method)
        assert self.budget.wait_s(float(self.now), method) == expected
        assert self.budget.take(float(self.now), method) == expected
        if expected and stays:
            assert self.budget.wait_s(float(self.now + expected / 2), method) > 0
            self.time_passes(float(expected))
            assert self.budget.take(float(self.now), method) == 0.0
            self.took(method)
        elif not expected:
            self.took(method)

    @rule(seconds=st.sampled_from([0.0, 0.5, 2.0]))
    def penalise(self, seconds: float) -> None:
        self.budget.penalise(float(self.now), seconds)
        self.shut_until = max(self.shut_until, self.now + Fraction(seconds))

    @rule(choices=st.lists(st.integers(0, 3), min_size=1, max_size=4))
    def push_some(self, choices: list[int]) -> None:
        for choice in choices:
            self.push(choice)

    def push(self, choice: int) -> None:
        method = self.method(choice)
        try:
            self.queue.push(method, self.pushed)
        except FeedmuxError:
            assert len(self.waiting) == self.limit or not self.affordable(method)
        else:
            self.waiting.append((self.pushed, method))
            self.pushed += 1

    def turn(self, item: int) -> bool:
        """Whether nobody who came earlier waits for one of its buckets."""
        mine = next(set(self.prices[method]) for other, method in self.waiting if other == item)
        return all(mine.isdisjoint(self.prices[method]) for other, method in self.waiting if other < item)

    @rule()
    def pop(self) -> None:
        ready = [
            item
            for item, method in self.waiting
            if self.turn(item) and self.affordable(method) and not self.wait(method)
        ]
        item = self.queue.pop(float(self.now))
        assert item == (ready[0] if ready else None)
        if item is not None:
            method = next(method for other, method in self.waiting if other == item)
            self.waiting.remove((item, method))
            self.took(method)

    @precondition(lambda self: self.waiting)
    @rule(choice=st.integers(0, 5))
    def give_up(self, choice: int) -> None:
        item, _ = self.waiting.pop(choice % len(self.waiting))
        assert self.queue.discard(item)
        assert not self.queue.discard(item)

    @invariant()
    def both_hold_the_same(self) -> None:
        assert len(self.queue) == len(self.waiting)
        assert all(item in self.queue for item, _ in self.waiting)
        waits = [self.wait(method) for item, method in self.waiting if self.turn(item)]
        assert self.queue.wait_s(float(self.now)) == (min(waits) if waits else None)

    @invariant()
    def what_is_used_is_what_was_taken(self) -> None:
        used = self.budget.utilisation(float(self.now))
        for name, bucket in self.buckets.items():
            assert used[name] == pytest.approx(float(1 - self.level(name) / Fraction(bucket.capacity)))

    def teardown(self) -> None:
        """Nobody waits for ever: the wait that the queue names is always enough for somebody."""
        while hasattr(self, "queue") and self.waiting:
            wait_s = self.queue.wait_s(float(self.now))
            assert wait_s is not None
            self.time_passes(wait_s)
            before = len(self.waiting)
            self.pop()
            assert len(self.waiting) == before - 1


TestBudgetModel = BudgetModel.TestCase
TestBudgetModel.settings = settings(max_examples=EXAMPLES, stateful_step_count=40, deadline=None)
