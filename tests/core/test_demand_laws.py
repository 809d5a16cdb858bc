from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from feedmux.core.demand import Demand
from support.examples import EXAMPLES

TOPICS = st.sampled_from(["btc", "eth", "sol"])
HOLDERS = st.sampled_from(["a", "b", "c", "d"])


class DemandModel(RuleBasedStateMachine):
    """Against the plainest thing that is right: a set of pairs."""

    def __init__(self) -> None:
        super().__init__()
        self.demand: Demand[str, str] = Demand()
        self.pairs: set[tuple[str, str]] = set()

    def held(self, topic: str) -> set[str]:
        return {holder for other, holder in self.pairs if other == topic}

    @rule(topic=TOPICS, holder=HOLDERS)
    def add(self, topic: str, holder: str) -> None:
        is_first = not self.held(topic)
        self.pairs.add((topic, holder))
        assert self.demand.add(topic, holder) == is_first

    @rule(topic=TOPICS, holder=HOLDERS)
    def remove(self, topic: str, holder: str) -> None:
        is_last = self.held(topic) == {holder}
        self.pairs.discard((topic, holder))
        assert self.demand.remove(topic, holder) == is_last

    @rule(holder=HOLDERS)
    def forget(self, holder: str) -> None:
        orphans = {topic for topic, _ in self.pairs if self.held(topic) == {holder}}
        self.pairs = {pair for pair in self.pairs if pair[1] != holder}
        forgotten = self.demand.forget(holder)
        assert set(forgotten) == orphans
        assert len(forgotten) == len(orphans)

    @invariant()
    def both_say_the_same(self) -> None:
        assert sorted(self.demand.wants()) == sorted(self.pairs)
        for topic in ("btc", "eth", "sol"):
            assert sorted(self.demand.holders(topic)) == sorted(self.held(topic))
            assert (topic in self.demand) == bool(self.held(topic))
        for holder in "abcd":
            topics = self.demand.topics(holder)
            assert sorted(topics) == sorted(t for t, other in self.pairs if other == holder)
        assert len(self.demand) == len({topic for topic, _ in self.pairs})


TestDemand = DemandModel.TestCase
TestDemand.settings = settings(max_examples=EXAMPLES, stateful_step_count=30, deadline=None)
