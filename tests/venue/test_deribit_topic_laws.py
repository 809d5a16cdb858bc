"""Whatever channel is read as a topic is written back the same."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from feedmux.venue.deribit_topic import channel_of, problem_of, topic_of
from support.examples import EXAMPLES


@settings(max_examples=EXAMPLES)
@given(
    st.sampled_from(["ticker.", "trades.", "chart.trades.", "book.", ""]),
    st.text(alphabet="ABZ09-_.daz*", max_size=12),
    st.sampled_from([".100ms", ".raw", ".60", ".1D", ""]),
)
def test_a_channel_that_is_read_is_written_back_the_same(family: str, middle: str, last: str) -> None:
    read = topic_of(family + middle + last)
    if read is not None:
        assert channel_of(read) == family + middle + last
        assert problem_of(read) is None
