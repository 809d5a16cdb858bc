from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from feedmux.client.recording import Direction, Entry, Kind, decode, encode, timestamp
from feedmux.model.errors import MalformedRecording
from support.examples import EXAMPLES

TIMES = st.integers(0, 253_402_300_799_999_999).map(lambda microseconds: microseconds * 1000)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
MESSAGES = st.builds(
    Entry,
    at_ns=TIMES,
    direction=st.sampled_from(Direction),
    kind=st.sampled_from([Kind.TEXT, Kind.BINARY]),
    payload=st.binary() | TEXTS.map(str.encode),
)
CLOSES = st.builds(
    Entry,
    at_ns=TIMES,
    direction=st.sampled_from(Direction),
    kind=st.just(Kind.CLOSE),
    code=st.none() | st.integers(1000, 4999),
    reason=TEXTS,
)


@given(entry=MESSAGES | CLOSES)
@settings(max_examples=EXAMPLES, deadline=None)
def test_what_is_written_is_what_is_read(entry: Entry) -> None:
    line = encode(entry)
    assert line.index(b"\n") == len(line) - 1
    assert decode(line, path="x", number=1) == entry


@given(one=TIMES, other=TIMES)
@settings(max_examples=EXAMPLES, deadline=None)
def test_times_sort_as_their_texts(one: int, other: int) -> None:
    assert (one < other) == (timestamp(one) < timestamp(other))


@given(data=st.binary(max_size=80))
@settings(max_examples=EXAMPLES, deadline=None)
def test_any_bytes_are_an_entry_or_a_named_error(data: bytes) -> None:
    for line in (data, b'{"ts":"2025-11-21T09:30:00Z","dir":"in","type":"text","data":"' + data + b'"}\n'):
        try:
            decode(line, path="x", number=1)
        except MalformedRecording as error:
            assert error.line == 1
