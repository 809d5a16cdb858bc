"""Whatever text is read as a topic is written back the same."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from feedmux.venue.bybit_topic import MARKETS, arg_of, problem_of, topic_of
from support.examples import EXAMPLES


@settings(max_examples=EXAMPLES)
@given(
    st.sampled_from(MARKETS),
    st.sampled_from(["tickers.", "publicTrade.", "kline.D.", "kline.5.", ""]),
    st.text(alphabet="ABZ09-.az*", max_size=12),
)
def test_a_text_that_is_read_is_written_back_the_same(market: str, prefix: str, rest: str) -> None:
    topic = topic_of(market, prefix + rest)
    if topic is not None:
        assert arg_of(topic) == prefix + rest
        assert problem_of(market, topic) is None
