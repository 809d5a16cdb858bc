from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from support.answers import answered
from support.examples import EXAMPLES

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
OPTIONS = st.sampled_from(["conflate", "fields", "max_rate", "snapshot"]) | st.text(max_size=4)
MESSAGES = st.one_of(
    st.binary(max_size=60),
    JSON_VALUES.map(lambda value: json.dumps(value).encode()),
    st.fixed_dictionaries(
        {},
        optional={
            "op": st.sampled_from(["subscribe", "unsubscribe", "ping", "auth"]) | JSON_VALUES,
            "args": st.lists(JSON_VALUES, max_size=4) | JSON_VALUES,
            "options": st.dictionaries(OPTIONS, JSON_VALUES, max_size=3) | JSON_VALUES,
        },
    ).map(lambda value: json.dumps(value).encode()),
)


@given(payload=MESSAGES, takes_tokens=st.booleans())
@settings(max_examples=EXAMPLES, deadline=None)
def test_any_bytes_get_an_answer_that_is_json(payload: bytes, takes_tokens: bool) -> None:
    assert answered(payload, takes_tokens=takes_tokens)["op"] in {"error", "pong", "subscribe", "unsubscribe"}
