from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from feedmux.model.topic import Topic
from feedmux.wire.place import Places, Private, Rejected
from support.examples import EXAMPLES
from support.places import INTERVALS, PLACES

WITH_BROKER = Places("acme", [], has_broker=True)
NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
ARGS = st.one_of(
    NAMES,
    st.lists(st.sampled_from(["kline", "ticker", "tickers", "1h", "BTC", "", ":", ".", "@", "deribit"]))
    .map("".join),
    st.tuples(st.sampled_from(["kline:1h:", "ticker:", "tickers.", "trade:"]), NAMES).map("".join),
)  # fmt: skip


@given(arg=ARGS)
@settings(max_examples=EXAMPLES, deadline=None)
def test_any_arg_is_a_topic_that_has_a_stream_or_is_rejected_with_a_sentence(arg: str) -> None:
    try:
        topic = PLACES.parse(arg)
    except Rejected as rejected:
        assert str(rejected)
        return
    assert topic.instrument.strip()
    assert (topic.param in INTERVALS.values()) == (topic.kind == "kline")
    assert PLACES.stream(topic).endswith(topic.instrument)
    assert Topic.parse(topic.text) == topic


STREAM_NAMES = st.lists(st.sampled_from(["a", "b-inc", "-inc", ".", "..", "@", "uid=", "%", "☃"])).map(
    "".join
)


@given(name=NAMES | STREAM_NAMES, uid=st.sampled_from(["", "U1"]), ending=st.sampled_from(["", "@rabbitmq"]))
@settings(max_examples=EXAMPLES, deadline=None)
def test_any_name_is_a_stream_of_rabbitmq_that_is_called_so_or_is_rejected_with_a_sentence(
    name: str, uid: str, ending: str
) -> None:
    try:
        topic = WITH_BROKER.parse(f"stream:{name}{ending}", uid)
    except Rejected as rejected:
        assert str(rejected)
        assert isinstance(rejected, Private) <= (not uid and "." not in name)
        return
    assert (topic.scope == f"uid={uid}") == ("." not in name)
    assert WITH_BROKER.stream(topic) == f"acme.rabbitmq.{name}"
    assert Topic.parse(topic.text) == topic
