from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from feedmux.model.event import Envelope, EventKind
from feedmux.wire.stream import StreamFormat
from support.examples import EXAMPLES
from support.frames import FrameReader
from support.hubs import TICKER
from support.places import PLACES

NAMES = st.text(max_size=4)
VALUES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5)
)
OBJECTS = st.dictionaries(NAMES, VALUES | st.lists(VALUES, max_size=2), max_size=5)
SETS = st.frozensets(NAMES, min_size=1, max_size=5)


@given(data=OBJECTS | st.lists(OBJECTS, max_size=3), sets=st.lists(SETS, min_size=1, max_size=3))
@settings(max_examples=EXAMPLES, deadline=None)
def test_every_set_sees_its_fields_of_any_data_as_they_were(
    data: dict[str, object] | list[dict[str, object]], sets: list[frozenset[str]]
) -> None:
    whole = StreamFormat(PLACES)
    envelope = Envelope(TICKER, 1, 1, EventKind.UPDATE, 0, 0, "", json.dumps(data).encode())
    for fields in sets:
        frame = whole.only(fields).frame(envelope)
        assert frame is not None
        (read,) = FrameReader().feed(frame)
        shown = json.loads(read.payload)["data"]
        items, expected = (data, shown) if isinstance(data, list) else ([data], [shown])
        for item, kept in zip(items, expected, strict=True):
            assert list(kept.items()) == [(name, value) for name, value in item.items() if name in fields]
