"""Envelopes to the ``/ws`` protocol's data messages: prefix + payload + suffix.

The payload is the JSON text of ``data`` and is never decoded here; the prefix is built once
per topic and kind, so that a message costs two joins.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from weakref import WeakValueDictionary

from feedmux.model.event import Envelope, EventKind
from feedmux.model.ports import Format, Statistics
from feedmux.model.topic import Topic
from feedmux.wire.fields import Dissection, FieldsFormat
from feedmux.wire.frame import data_frame, text_frame
from feedmux.wire.place import Places

DataFrame = Callable[[bytes, bytes, int, bytes, int], bytes]
"""See :func:`feedmux.wire.frame.data_frame`."""
TextFrame = Callable[[bytes], bytes]
"""See :func:`feedmux.wire.frame.text_frame`."""

_NS_PER_MS = 1_000_000

# An enum's member costs a search each time it is named (Python 3.11); these run per message.
_SNAPSHOT, _UPDATE, _STATUS = EventKind.SNAPSHOT, EventKind.UPDATE, EventKind.STATUS


def beginning(stream: str, kind: str) -> bytes:
    """What a message begins with, up to its ``data``."""
    return f'{{"stream":{json.dumps(stream)},"type":"{kind}","data":'.encode()


def source(brand: str) -> bytes:
    """The field ``source`` of every message, with the comma before it."""
    return f',"source":{json.dumps(brand)}'.encode()


def milliseconds(envelope: Envelope) -> int:
    """The ``timestamp`` of a message: the venue's time, or ours where the venue gave none."""
    return (envelope.venue_ns or envelope.receive_ns) // _NS_PER_MS


class StreamFormat:
    """The format of one kind of client: what its frames look like.

    Args:
        places: names of streams.
        statuses: False leaves status messages out, for clients that cannot bear them.
        data_frame: puts an update together; a native twin may.
        text_frame: puts everything else into a frame. Where there are no WebSockets a frame is the text
            itself: :func:`feedmux.wire.frame.data_text` and ``bytes`` leave it as it is.

    Attributes:
        fields: empty: whole messages.
    """

    fields: frozenset[str] = frozenset()

    def __init__(
        self,
        places: Places,
        *,
        statuses: bool = True,
        data_frame: DataFrame = data_frame,
        text_frame: TextFrame = text_frame,
    ) -> None:
        self._places = places
        self._data_frame = data_frame
        self._text_frame = text_frame
        self._statuses = statuses
        self._source = source(places.brand)
        self._updates: dict[Topic, bytes] = {}
        self._others: dict[tuple[Topic, str], bytes] = {}
        self._sets: WeakValueDictionary[frozenset[str], FieldsFormat] = WeakValueDictionary()
        self._dissection = Dissection()

    def frame(self, envelope: Envelope, /) -> bytes | None:
        """One shared frame for all clients of this format; None when they are not to get it."""
        kind = envelope.kind
        if kind is _UPDATE:
            topic = envelope.topic
            prefix = self._updates.get(topic)
            if prefix is None:
                prefix = self._updates[topic] = self._prefix(topic, "update")
            at_ms = (envelope.venue_ns or envelope.receive_ns) // _NS_PER_MS  # milliseconds(), spelt out
            return self._data_frame(prefix, envelope.payload, at_ms, self._source, envelope.seq)
        if kind is _STATUS and not self._statuses:
            return None
        return self._text_frame(self._rare(envelope))

    def only(self, fields: frozenset[str], /) -> Format:
        """The same messages with these fields of ``data`` alone; one format for each set in use."""
        found = self._sets.get(fields)
        if found is None:
            found = self._sets[fields] = FieldsFormat(self, fields, self._dissection)
        return found

    def forget(self, topic: Topic, /) -> None:
        """Nobody holds ``topic`` any more: drop what was kept for it."""
        self._updates.pop(topic, None)
        for kind in EventKind:
            self._others.pop((topic, kind.name.lower()), None)

    def statistics(self) -> Statistics:
        """How many beginnings of messages are kept, and how many sets of fields."""
        return {"prefixes": len(self._updates) + len(self._others), "field_sets": len(self._sets)}

    def _rare(self, envelope: Envelope) -> bytes:
        """Snapshots, gaps and statuses: they name their epoch."""
        kind = envelope.kind.name.lower()
        prefix = self._others.get((envelope.topic, kind))
        if prefix is None:
            prefix = self._others[envelope.topic, kind] = self._prefix(envelope.topic, kind)
        seq = b',"seq":%d' % envelope.seq if envelope.kind is _SNAPSHOT else b""
        end = (milliseconds(envelope), self._source, seq, envelope.epoch)
        return prefix + envelope.payload + b',"timestamp":%d%b%b,"epoch":%d}' % end

    def _prefix(self, topic: Topic, kind: str) -> bytes:
        return beginning(self._places.stream(topic), kind)
