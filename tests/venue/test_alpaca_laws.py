from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from feedmux.model.topic import Topic
from feedmux.model.venue import Answer, Greeted, Malformed, Parting, Remark, Value, Welcome
from feedmux.venue.alpaca import Alpaca
from support.alpaca_feed import bar, quote, trade
from support.examples import EXAMPLES

CODEC = Alpaca("AKTESTKEY", "a-secret-of-tests")
KNOWN = (Answer, Greeted, Malformed, Parting, Remark, Value, Welcome)
SYMBOLS = st.sampled_from(["AAPL", "F", "BRK.B", "BTC/USD"])
NANOS = st.integers(0, 999_999_999)
DATA = (
    st.builds(trade, NANOS, SYMBOLS)
    | st.builds(quote, NANOS, SYMBOLS)
    | st.builds(bar, st.integers(0, 29), st.floats(1, 10).map(lambda x: round(x, 3)), SYMBOLS)
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(-1e9, 1e9) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from("TSipstcbxoahlvnz") | st.text(max_size=4), inner, max_size=8)
    ),
    max_leaves=12,
)
TYPES = st.sampled_from(["success", "error", "subscription", "t", "q", "b", "u", "c", "x", "s", "l", "d"])


def values(frames: list[list[dict[str, Any]]]) -> dict[Topic, list[Any]]:
    found: dict[Topic, list[Any]] = {}
    for frame in frames:
        for event in CODEC.decode(json.dumps(frame).encode()):
            assert isinstance(event, Value)
            data = json.loads(event.payload)
            found.setdefault(event.topic, []).extend(data if isinstance(data, list) else [data])
    return found


@given(st.lists(DATA, max_size=12))
@settings(max_examples=EXAMPLES)
def test_in_one_frame_or_in_many_each_stream_is_the_same(objects: list[dict[str, Any]]) -> None:
    assert values([objects]) == values([[one] for one in objects])


@given(st.binary(max_size=200))
@settings(max_examples=EXAMPLES)
def test_any_bytes_are_read_without_an_error(payload: bytes) -> None:
    assert all(isinstance(event, KNOWN) for event in CODEC.decode(payload))


@given(st.lists(st.tuples(TYPES, JSON), max_size=4), st.lists(DATA, max_size=3))
@settings(max_examples=EXAMPLES)
def test_whatever_stands_beside_them_good_objects_are_read(
    strange: list[tuple[str, Any]], good: list[dict[str, Any]]
) -> None:
    objects: list[Any] = [
        {"T": kind, **(more if isinstance(more, dict) else {"S": more})} for kind, more in strange
    ]
    events = CODEC.decode(json.dumps([*objects, *good]).encode())
    assert all(isinstance(event, KNOWN) for event in events)
    read = {json.dumps(one) for event in events if isinstance(event, Value) for one in listed(event)}
    assert {json.dumps(one) for data in values([[one] for one in good]).values() for one in data} <= read


def listed(event: Value) -> list[Any]:
    data = json.loads(event.payload)
    return data if isinstance(data, list) else [data]
