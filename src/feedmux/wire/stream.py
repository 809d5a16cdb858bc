"""Envelopes to the ``/ws`` protocol's data messages: prefix + payload + suffix.

The payload is the JSON text of ``data`` and is never decoded here; the prefix is built once
per topic and kind, so that a message costs two joins.
"""

from __future__ import annotations

import json

from feedmux.model.event import Envelope, EventKind
from feedmux.model.ports import Statistics
from feedmux.model.topic import Topic
from feedmux.wire.frame import text_frame
from feedmux.wire.place import Places

_NS_PER_MS = 1_000_000

# An enum's member costs a search each time it is named (Python 3.11); these run per message.
_SNAPSHOT, _UPDATE, _STATUS = EventKind.SNAPSHOT, EventKind.UPDATE, EventKind.STATUS


class StreamFormat:
    """The format of one kind of client: what its frames look like.

    Args:
        places: names of streams.
        statuses: False leaves status messages out, for clients that cannot bear them.
    """

    def __init__(self, places: Places, *, statuses: bool = True) -> None:
        self._places = places
        self._statuses = statuses
        self._source = f',"source":{json.dumps(places.brand)}'.encode()
        self._prefixes: dict[tuple[Topic, EventKind], bytes] = {}

    def frame(self, envelope: Envelope, /) -> bytes | None:
        """One shared frame for all clients of this format; None when they are not to get it."""
        if envelope.kind is _STATUS and not self._statuses:
            return None
        return text_frame(self.message(envelope))

    def message(self, envelope: Envelope) -> bytes:
        """The message's JSON text.

        ``timestamp`` is the venue's time in milliseconds, or ours where the venue gave none.
        """
        kind = envelope.kind
        key = (envelope.topic, kind)
        prefix = self._prefixes.get(key) or self._prefix(envelope.topic, kind)
        milliseconds = (envelope.venue_ns or envelope.receive_ns) // _NS_PER_MS
        if kind is _UPDATE:
            position = b',"seq":%d}' % envelope.seq
        elif kind is _SNAPSHOT:
            position = b',"seq":%d,"epoch":%d}' % (envelope.seq, envelope.epoch)
        else:
            position = b',"epoch":%d}' % envelope.epoch
        return b'%b%b,"timestamp":%d%b%b' % (prefix, envelope.payload, milliseconds, self._source, position)

    def forget(self, topic: Topic, /) -> None:
        """Nobody holds ``topic`` any more: drop what was kept for it."""
        for kind in EventKind:
            self._prefixes.pop((topic, kind), None)

    def statistics(self) -> Statistics:
        """How many beginnings of messages are kept."""
        return {"prefixes": len(self._prefixes)}

    def _prefix(self, topic: Topic, kind: EventKind) -> bytes:
        stream = json.dumps(self._places.stream(topic))
        prefix = f'{{"stream":{stream},"type":"{kind.name.lower()}","data":'.encode()
        self._prefixes[topic, kind] = prefix
        return prefix
