"""A ledger beside the plainest account of the same: who wants what, and what was said of it."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from feedmux.core.ledger import NOTHING, Entry, Ledger
from feedmux.model.event import State
from feedmux.model.topic import PUBLIC, Topic

TOPICS = [
    Topic(PUBLIC, "bybit", "linear", kind, "BTCUSDT", param)
    for kind, param in (("ticker", ""), ("kline", "1"), ("kline", "60"), ("trade", ""))
]
topics = st.sampled_from(TOPICS)
holders = st.sampled_from("abc")


class LedgerMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.ledger = Ledger(lambda topic: topic.kind)
        self.wants: set[tuple[Topic, str]] = set()
        self.states: dict[Topic, State] = {}
        self.seen: dict[str, Entry] = {}

    @rule(topic=topics, holder=holders)
    def add(self, topic: Topic, holder: str) -> None:
        self.ledger.add(topic, holder)
        self.wants.add((topic, holder))

    @rule(topic=topics, holder=holders)
    def remove(self, topic: Topic, holder: str) -> None:
        was_held = self.is_held(topic)
        self.wants.discard((topic, holder))
        assert self.ledger.remove(topic, holder) == (was_held and not self.is_held(topic))

    @rule(holder=holders)
    def forget(self, holder: str) -> None:
        held = [topic for topic in TOPICS if self.is_held(topic)]
        self.wants = {want for want in self.wants if want[1] != holder}
        assert set(self.ledger.forget(holder)) == {topic for topic in held if not self.is_held(topic)}

    @rule(topic=topics, state=st.sampled_from(State))
    def tell(self, topic: Topic, state: State) -> None:
        self.ledger.tell(topic, state)
        if self.is_held(topic):
            self.states[topic] = state

    @rule()
    def read_what_turned(self) -> None:
        """Whoever reads only that has the whole."""
        for name, entry in self.ledger.turned().items():
            self.seen[name] = entry
        assert {name: entry for name, entry in self.seen.items() if entry != NOTHING} == self.expected

    @rule()
    def read_all(self) -> None:
        self.seen = self.ledger.entries()
        assert self.seen == self.expected

    @invariant()
    def only_what_is_held_is_known(self) -> None:
        for topic in TOPICS:
            assert (topic in self.ledger) == self.is_held(topic)
            if not self.is_held(topic):
                self.states.pop(topic, None)
        assert len(self.ledger) == len({topic.kind for topic, _ in self.wants})

    def is_held(self, topic: Topic) -> bool:
        return any(wanted == topic for wanted, _ in self.wants)

    @property
    def expected(self) -> dict[str, Entry]:
        found: dict[str, Entry] = {}
        for topic, _ in self.wants:
            state = self.states.get(topic, State.PENDING)
            if state is not State.REFUSED:
                before = found.get(topic.kind, NOTHING)
                is_carried = before.is_carried or state is not State.PENDING
                found[topic.kind] = Entry(before.holders + 1, is_carried)
        return found


TestLedger = LedgerMachine.TestCase
