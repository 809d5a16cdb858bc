from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from feedmux.model.event import Envelope, EventKind
from feedmux.model.topic import PUBLIC, Topic
from feedmux.wire.place import Places
from feedmux.wire.stream import StreamFormat
from support.examples import EXAMPLES
from support.frames import FrameReader
from support.places import LINEAR


@given(
    brand=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12),
    instrument=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12),
    kind=st.sampled_from(EventKind),
    data=st.dictionaries(st.text(max_size=4), st.integers() | st.text(max_size=8), max_size=3),
    seq=st.integers(0, 2**64 - 1),
)
@settings(max_examples=EXAMPLES, deadline=None)
def test_a_message_is_json_whatever_the_names_are(
    brand: str, instrument: str, kind: EventKind, data: dict[str, int | str], seq: int
) -> None:
    places = Places(brand, [LINEAR])
    topic = Topic(PUBLIC, "bybit", "linear", "ticker", instrument)
    payload = json.dumps(data).encode()
    frame = StreamFormat(places).frame(Envelope(topic, 7, seq, kind, 0, 5_000_000, "", payload))
    assert frame is not None
    (read,) = FrameReader().feed(frame)
    told = json.loads(read.payload)
    assert list(told)[:5] == ["stream", "type", "data", "timestamp", "source"]
    assert told["stream"] == f"{brand}.futures.ticker.{instrument}"
    assert (told["type"], told["data"], told["timestamp"]) == (kind.name.lower(), data, 5)
    assert told["source"] == brand
    assert told.get("seq") == (seq if kind in {EventKind.UPDATE, EventKind.SNAPSHOT} else None)
    assert told.get("epoch") == (None if kind is EventKind.UPDATE else 7)
