from __future__ import annotations

import json

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from feedmux.model.event import Envelope, EventKind
from feedmux.wire.rango_format import RangoFormat
from feedmux.wire.rango_topic import route, stream_name
from support.examples import EXAMPLES
from support.frames import FrameReader

PARTS = st.sampled_from(["public", "private", "admin", "eurusd", "ob-inc", "ob-snap"]) | st.text(
    st.characters(exclude_categories=["Cs"]), max_size=6
)


@given(
    key=st.lists(PARTS, min_size=2, max_size=3).map(".".join),
    data=st.dictionaries(st.text(max_size=4), st.integers() | st.text(max_size=8), max_size=3),
    reason=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12),
)
@settings(max_examples=EXAMPLES, deadline=None)
def test_a_message_is_json_whatever_the_names_are(key: str, data: dict[str, int | str], reason: str) -> None:
    routed = route(key)
    assume(routed is not None)
    assert routed is not None
    topic, is_snapshot = routed
    kind = EventKind.SNAPSHOT if is_snapshot else EventKind.UPDATE
    layout, reader = RangoFormat(), FrameReader()

    def told(kind: EventKind, value: object) -> object:
        frame = layout.frame(Envelope(topic, 1, 1, kind, 0, 0, "", json.dumps(value).encode()))
        assert frame is not None
        (read,) = reader.feed(frame)
        return json.loads(read.payload)

    *_, stream, last = key.split(".")
    body = last if key.startswith("private.") else f"{stream}.{last}"
    assert told(kind, data) == {body: data}
    status = {"reason": reason, "state": "stale", "stream": stream_name(topic)}
    assert told(EventKind.STATUS, {"state": "stale", "reason": reason}) == {"system.status": status}
