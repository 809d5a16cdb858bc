from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from feedmux.wire import rango
from feedmux.wire.rango import Auth, Invalid, Ping, Subscribe, Unsubscribe
from support.examples import EXAMPLES

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
MESSAGES = st.fixed_dictionaries(
    {},
    optional={
        "event": st.sampled_from(["subscribe", "unsubscribe", "auth"]) | JSON_VALUES,
        "streams": st.lists(JSON_VALUES, max_size=4) | JSON_VALUES,
        "token": JSON_VALUES,
    },
).map(lambda value: json.dumps(value).encode())
ANYTHING = st.one_of(
    st.binary(max_size=60),
    JSON_VALUES.map(lambda value: json.dumps(value).encode()),
    MESSAGES,
    st.tuples(MESSAGES, st.integers(0, 80)).map(lambda pair: pair[0][: pair[1]]),
)
NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


@given(payload=ANYTHING)
@settings(max_examples=EXAMPLES, deadline=None)
def test_any_bytes_are_a_request_or_get_an_answer_that_is_json(payload: bytes) -> None:
    request = rango.decode(payload)
    if isinstance(request, Invalid):
        told: dict[str, Any] = json.loads(rango.error(request.text, request.code))
        assert told["error"] == request.text
        assert "Traceback" not in request.text
        assert "Expecting" not in request.text
    elif isinstance(request, Subscribe | Unsubscribe):
        assert json.loads(rango.subscribed(request.streams))["success"]["streams"] == [*request.streams]
    else:
        assert request is None or isinstance(request, Auth | Ping)


@given(event=st.sampled_from(["subscribe", "unsubscribe"]), names=st.lists(NAMES, max_size=4))
@settings(max_examples=EXAMPLES, deadline=None)
def test_names_are_any_text_and_line_feeds_in_them_are_escaped(event: str, names: list[str]) -> None:
    payload = json.dumps({"event": event, "streams": names}, ensure_ascii=False).encode()
    request = rango.decode(payload)
    assert isinstance(request, Subscribe | Unsubscribe)
    assert isinstance(request, Subscribe) == (event == "subscribe")
    assert request.streams == tuple(names)


@given(names=st.lists(NAMES, max_size=4))
@settings(max_examples=EXAMPLES, deadline=None)
def test_answers_name_streams_as_they_are(names: list[str]) -> None:
    for answer, message in ((rango.subscribed, "subscribed"), (rango.unsubscribed, "unsubscribed")):
        assert json.loads(answer(names)) == {"success": {"message": message, "streams": names}}
    for name in names:
        told = json.loads(rango.cannot_subscribe(name))
        assert told == {"success": {"message": f"cannot subscribe to {name}"}}


@given(target=st.text(max_size=40) | st.text("/?&=,stream%☃\udcff", max_size=40))
@settings(max_examples=EXAMPLES, deadline=None)
def test_any_target_names_streams_that_can_be_written(target: str) -> None:
    for name in rango.query_streams(target):
        assert not set(name) & set("&=,")
        name.encode()
