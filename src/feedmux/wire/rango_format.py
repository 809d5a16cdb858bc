"""Envelopes to the data messages of Rango's dialect: ``{"<name>":<body>}``.

The body is what the source published and is never decoded here, so that numbers keep all their digits
(Rango reads and writes them as floats). What Rango has no message for is one of ours::

    {"system.status":{"reason":…,"state":…,"stream":…}}

A stream that has been live all the time is not told that it is: clients learn of trouble, and of its
end. A hole is told to everybody, as the state ``gap``.
"""

from __future__ import annotations

from typing import Final

import msgspec

from feedmux.model.event import Envelope, EventKind, Gap, GapReason, State, Status
from feedmux.model.ports import Format, Statistics
from feedmux.model.topic import Topic
from feedmux.wire import go_json, rango
from feedmux.wire.frame import text_frame
from feedmux.wire.rango_topic import body_name, stream_name

GAP: Final = "gap"
"""The state that tells of a hole."""

# An enum's member costs a search each time it is named (Python 3.11); these run per message.
_SNAPSHOT, _UPDATE, _GAP = EventKind.SNAPSHOT, EventKind.UPDATE, EventKind.GAP

_WHY: Final = {
    GapReason.SLOW: "this client reads too slowly",
    GapReason.LINK: "the connection to the source was interrupted",
    GapReason.LAPPED: "this server did not keep up with the source",
}

_decode_gap = msgspec.json.Decoder(Gap).decode
_decode_status = msgspec.json.Decoder(Status).decode


class RangoFormat:
    """What clients of Rango's dialect are sent.

    Args:
        statuses: False leaves statuses out, for clients that cannot bear them; holes are told anyway.

    Attributes:
        fields: empty: whole messages.
    """

    fields: frozenset[str] = frozenset()

    def __init__(self, *, statuses: bool = True) -> None:
        self._statuses = statuses
        self._updates: dict[Topic, bytes] = {}
        self._snapshots: dict[Topic, bytes] = {}
        self._troubled: set[Topic] = set()

    def frame(self, envelope: Envelope, /) -> bytes | None:
        """One shared frame for all clients; None when they are not to get it."""
        kind, topic = envelope.kind, envelope.topic
        if kind is _UPDATE:
            prefix = self._updates.get(topic)
            if prefix is None:
                prefix = self._updates[topic] = _prefix(topic, is_snapshot=False)
            return text_frame(prefix + envelope.payload + b"}")
        if kind is _SNAPSHOT:
            prefix = self._snapshots.get(topic)
            if prefix is None:
                prefix = self._snapshots[topic] = _prefix(topic, is_snapshot=True)
            return text_frame(prefix + envelope.payload + b"}")
        return self._gap(envelope) if kind is _GAP else self._status(envelope)

    def only(self, fields: frozenset[str], /) -> Format:
        """This format: bodies are anything, so they always come whole."""
        return self

    def forget(self, topic: Topic, /) -> None:
        """Nobody holds ``topic`` any more: drop what was kept for it."""
        self._updates.pop(topic, None)
        self._snapshots.pop(topic, None)
        self._troubled.discard(topic)

    def statistics(self) -> Statistics:
        """How many beginnings of messages are kept."""
        return {"prefixes": len(self._updates) + len(self._snapshots)}

    def _status(self, envelope: Envelope) -> bytes | None:
        status, topic = _decode_status(envelope.payload), envelope.topic
        if status.state is State.PENDING or not self._statuses:
            return None
        if status.state is State.LIVE:
            if topic not in self._troubled:
                return None
            self._troubled.discard(topic)
        else:
            self._troubled.add(topic)
        return text_frame(rango.status(stream_name(topic), status.state, status.reason))

    @staticmethod
    def _gap(envelope: Envelope) -> bytes:
        gap = _decode_gap(envelope.payload)
        if gap.last is None:
            missing = "An unknown number of messages is missing"
        elif gap.last == gap.first:
            missing = "1 message is missing"
        else:
            missing = f"{gap.last - gap.first + 1} messages are missing"
        return text_frame(rango.status(stream_name(envelope.topic), GAP, f"{missing}: {_WHY[gap.reason]}"))


def _prefix(topic: Topic, *, is_snapshot: bool) -> bytes:
    return b"{%b:" % go_json.string(body_name(topic, is_snapshot))
