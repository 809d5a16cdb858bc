"""No topic is given an epoch twice, however a tenure goes."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feedmux.core.lease import Lease, Terms
from feedmux.core.lease_epochs import LeaseEpochs
from feedmux.core.lease_record import Record, decide
from feedmux.model.topic import PUBLIC, Topic
from support.examples import EXAMPLES

pytestmark = pytest.mark.law

TERMS = Terms(ttl_s=3.0, renew_s=1.0, look_s=0.5, margin_s=0.4, drift=0.25)
TOPICS = [Topic(PUBLIC, "bybit", "linear", "ticker", f"COIN{number}") for number in range(5)]
STEPS = st.one_of(
    st.sampled_from(TOPICS), st.sampled_from([0.001, 0.5, 1.0, 4.0]), st.sampled_from(["ask", "renounce"])
)


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.lists(STEPS, max_size=60), st.integers(1, 6))
def test_no_topic_is_given_an_epoch_twice(steps: list[Topic | float | str], most_topics: int) -> None:
    lease, record, now = Lease("a", TERMS), Record(run="0"), 1_000_000.0
    epochs = LeaseEpochs(lease, most_topics=most_topics)
    lease.start(now)
    begun: dict[Topic, int] = {}
    for step in ["ask", *steps]:
        lease.check(now)
        if isinstance(step, Topic):
            epoch = epochs.begin(step, now)
            if epoch is not None:
                assert begun.get(step, 0) < epoch < epochs.beyond
                begun[step] = epoch
        elif isinstance(step, float):
            now += step
        elif step == "renounce":
            lease.renounce(now)
        elif (asked := lease.ask(now)) is not None:
            record, answer = decide(record, asked.ask, int(now * 1000), "0")
            lease.answered(asked.serial, answer, now)
