from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from feedmux.wire.rango_topic import (
    MAX_NAME_CHARACTERS,
    is_private,
    prefix_of,
    route,
    stream_name,
    stream_topic,
)
from support.examples import EXAMPLES

PARTS = st.sampled_from(
    ["public", "global", "private", "admin", "U", "V", "eurusd", "order", "ob-inc", "ob-snap", "-inc", ""]
) | st.text("ab-.=:%☃", max_size=3)
NAMES = st.lists(PARTS, min_size=1, max_size=4).map(".".join)
UIDS = st.sampled_from(["", "U", "V", "private", "public"])


def is_meant_for(key: str, name: str, uid: str) -> bool:
    """Whether Rango's rules send a message with this routing key to a client's stream, step by step."""
    parts = key.split(".")
    if len(parts) not in {2, 3} or not name:
        return False
    scope, kind = parts[0], parts[-1]
    if kind.endswith("-snap"):
        kind = kind[: -len("-snap")] + "-inc"
    dots = name.count(".")
    if scope == "private":
        return len(parts) == 3 and bool(uid) and (dots, parts[1], kind) == (0, uid, name)
    stream = f"{parts[-2]}.{kind}"
    if scope in {"public", "global"}:
        return dots not in {0, 2} and stream == name
    return dots == 2 and f"{scope}.{stream}" == name


@given(key=NAMES, name=NAMES, uid=UIDS)
@settings(max_examples=EXAMPLES, deadline=None)
def test_a_message_reaches_exactly_the_clients_whose_name_has_its_topic(
    key: str, name: str, uid: str
) -> None:
    routed, wanted = route(key), stream_topic(name, uid)
    met = routed is not None and wanted is not None and routed.topic == wanted
    assert met == is_meant_for(key, name, uid)


@given(key=NAMES, uid=UIDS)
@settings(max_examples=EXAMPLES, deadline=None)
def test_whoever_is_to_read_a_message_has_a_name_for_it(key: str, uid: str) -> None:
    routed = route(key)
    if routed is None:
        return
    name = stream_name(routed.topic)
    reader = routed.topic.scope.removeprefix("uid=") if is_private(routed.topic) else uid
    assert stream_topic(name, reader) == routed.topic
    assert is_meant_for(key, name, reader)


@given(first=NAMES, second=NAMES)
@settings(max_examples=EXAMPLES, deadline=None)
def test_scopes_never_mix(first: str, second: str) -> None:
    one, other = route(first), route(second)
    if one is None or other is None or one.topic != other.topic:
        return
    scopes = {
        "public" if key.split(".")[0] in {"public", "global"} else key.split(".")[0]
        for key in (first, second)
    }
    assert len(scopes) == 1
    assert is_private(one.topic) == (scopes == {"private"})
    if prefix_of(one.topic) is not None:
        assert scopes == {prefix_of(one.topic)}


@given(name=st.text(max_size=300), uid=st.text(max_size=40), key=st.text(max_size=300))
@settings(max_examples=EXAMPLES, deadline=None)
def test_any_text_is_a_name_or_none(name: str, uid: str, key: str) -> None:
    topic = stream_topic(name, uid)
    assert topic is None or (stream_name(topic) == name and len(name) <= MAX_NAME_CHARACTERS)
    route(key)
