from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from feedmux.core.limits import FairQueue, RateWindow
from support.examples import EXAMPLES

WAITS = st.lists(st.sampled_from([0.0, 0.0625, 0.25, 0.5, 1.0, 3.0]), min_size=1, max_size=60)


@given(limit=st.integers(1, 5), waits=WAITS)
@settings(max_examples=EXAMPLES, deadline=None)
def test_no_window_lets_more_than_its_limit_through(limit: int, waits: list[float]) -> None:
    window, now, opened, admitted = RateWindow(limit), 0.0, float("-inf"), 0
    for wait in waits:
        now += wait
        if now - opened >= 1.0:
            opened, admitted = now, 0
        passes = window.admit(now)
        assert passes == (admitted < limit), "it refuses only what is over the limit"
        admitted += passes


class FairQueueModel(RuleBasedStateMachine):
    """Against lists: a lane for each asker, and the order in which they have their turns."""

    def __init__(self) -> None:
        super().__init__()
        self.queue: FairQueue[int] = FairQueue()
        self.lanes: list[tuple[int, list[int]]] = []

    def items(self) -> list[int]:
        return [item for _, lane in self.lanes for item in lane]

    @rule(asker=st.integers(0, 3), item=st.integers(0, 9))
    def push(self, asker: int, item: int) -> None:
        self.queue.push(asker, item)
        if item in self.items():
            return
        for other, lane in self.lanes:
            if other == asker:
                lane.append(item)
                return
        self.lanes.append((asker, [item]))

    @precondition(lambda self: self.lanes)
    @rule()
    def pop(self) -> None:
        asker, lane = self.lanes.pop(0)
        assert self.queue.pop() == lane.pop(0)
        if lane:
            self.lanes.append((asker, lane))

    @rule(item=st.integers(0, 9))
    def discard(self, item: int) -> None:
        self.queue.discard(item)
        self.lanes = [(asker, [i for i in lane if i != item]) for asker, lane in self.lanes]
        self.lanes = [(asker, lane) for asker, lane in self.lanes if lane]

    @invariant()
    def both_hold_the_same(self) -> None:
        assert len(self.queue) == len(self.items())
        assert all((item in self.queue) == (item in self.items()) for item in range(10))


TestFairQueueModel = FairQueueModel.TestCase
TestFairQueueModel.settings = settings(max_examples=EXAMPLES, stateful_step_count=30, deadline=None)
