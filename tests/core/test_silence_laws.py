from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from feedmux.core.silence import SilenceWatch
from feedmux.model.topic import PUBLIC, Topic
from support.examples import EXAMPLES

LIMITS = {"ticker": 5, "kline": 11}
TOPICS = [Topic(PUBLIC, "v", "", kind, name) for kind in ("ticker", "kline", "trade") for name in "AB"]
topics = st.sampled_from(TOPICS)


class SilenceModel(RuleBasedStateMachine):
    """The watch against a model that judges every topic afresh from its last sign of life."""

    def __init__(self) -> None:
        super().__init__()
        self.watch = SilenceWatch(LIMITS)
        self.now = 0
        self.alive_at: dict[Topic, int] = {}
        self.reported: set[Topic] = set()

    def late(self) -> set[Topic]:
        return {t for t, at in self.alive_at.items() if self.now - at >= LIMITS[t.kind]}

    @rule(seconds=st.integers(0, 12))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds

    @rule(topic=topics)
    def expect(self, topic: Topic) -> None:
        self.watch.expect(topic, self.now)
        if topic.kind in LIMITS:
            self.alive_at[topic] = self.now
            self.reported.discard(topic)

    @rule(topic=topics)
    def hear(self, topic: Topic) -> None:
        assert self.watch.heard(topic, self.now) == (topic in self.reported)
        if topic in self.alive_at:
            self.alive_at[topic] = self.now
        self.reported.discard(topic)

    @rule(topic=topics)
    def forget(self, topic: Topic) -> None:
        self.watch.forget(topic)
        self.alive_at.pop(topic, None)
        self.reported.discard(topic)

    @rule()
    def restart(self) -> None:
        self.watch.restart(self.now)
        self.alive_at = dict.fromkeys(self.alive_at, self.now)
        self.reported = set()

    @rule()
    def check(self) -> None:
        verdict = self.watch.check(self.now)
        late = self.late()
        assert len(set(verdict.stale)) == len(verdict.stale)
        assert set(verdict.stale) == late - self.reported
        assert verdict.mute == (bool(self.alive_at) and late == set(self.alive_at))
        self.reported |= late

    @invariant()
    def it_counts_what_the_model_counts(self) -> None:
        assert self.watch.statistics() == {"judged": len(self.alive_at), "late": len(self.reported)}


TestSilenceModel = SilenceModel.TestCase
TestSilenceModel.settings = settings(max_examples=EXAMPLES, stateful_step_count=40, deadline=None)
