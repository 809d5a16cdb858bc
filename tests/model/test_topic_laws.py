"""Whatever its fields, a topic is read as it was written."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from feedmux.model.topic import Topic
from support.examples import EXAMPLES


@settings(max_examples=EXAMPLES)
@given(st.lists(st.text(), min_size=6, max_size=6))
def test_parse_gives_back_what_text_wrote(fields: list[str]) -> None:
    topic = Topic(*fields)
    assert Topic.parse(topic.text) == topic
