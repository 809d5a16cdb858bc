"""Which topics are held, by whom, in which formats: topic to rows."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from feedmux.hub.cache import LastValue
from feedmux.model.event import Envelope, EventKind, Gap, GapReason, State
from feedmux.model.ports import Clock, Format, GapFrame, Row, Subscriber
from feedmux.model.topic import Mode, Topic

RowMaker = Callable[[GapFrame | None], Row]
"""Make a row; it is given how a hole is told, unless its values may not be lost at all."""

_GAP, _STATUS = EventKind.GAP, EventKind.STATUS
_LOSABLE = frozenset({Mode.DISTINCT, Mode.RAW, Mode.BOOK})

_encode = msgspec.json.Encoder().encode


class Entry:
    """All that a hub knows of one held topic.

    Args:
        topic: the topic.
        make_row: makes the rows, one for each format in use.
        clock: time.
    """

    __slots__ = ("_clock", "_make_row", "last", "rows", "state", "status", "topic", "waiting")

    def __init__(self, topic: Topic, make_row: RowMaker, clock: Clock) -> None:
        self.topic = topic
        self.last = LastValue(topic)
        self.rows: dict[Format, Row] = {}
        self.waiting: dict[Subscriber, None] = {}
        self.state: State | None = None
        self.status: Envelope | None = None
        self._make_row = make_row
        self._clock = clock

    @property
    def held(self) -> bool:
        """Whether anybody waits for the topic or reads it."""
        return bool(self.rows or self.waiting)

    @property
    def members(self) -> list[Subscriber]:
        """Everybody who has joined."""
        return [subscriber for row in self.rows.values() for subscriber in row.subscribers()]

    @property
    def joined(self) -> int:
        """How many have joined."""
        return sum(len(row) for row in self.rows.values())

    @property
    def settled(self) -> bool:
        """Whether the source has confirmed the topic: it is live, or was and has gone quiet."""
        return self.state in (State.LIVE, State.STALE)

    def join(self, subscriber: Subscriber) -> None:
        """Put the subscriber's outlet into the row of its format."""
        self.waiting.pop(subscriber, None)
        row = self.rows.get(subscriber.format)
        if row is None:
            row = self.rows[subscriber.format] = self._make_row(self._gap(subscriber.format))
        row.add(subscriber.outlet, subscriber)

    def leave(self, subscriber: Subscriber) -> None:
        """Take the subscriber out; the last of its format takes the row with it."""
        self.waiting.pop(subscriber, None)
        row = self.rows.get(subscriber.format)
        if row is not None:
            row.discard(subscriber.outlet)
            if not len(row):
                del self.rows[subscriber.format]

    def offer(self, envelope: Envelope) -> None:
        """Build the frame of each format once and offer it to its row."""
        kind = envelope.kind
        seq = 0 if kind is _GAP or kind is _STATUS else envelope.seq
        for layout, row in self.rows.items():
            frame = layout.frame(envelope)
            if frame is not None:
                row.offer(frame, envelope.key, envelope.epoch, seq)

    def offer_to(self, subscriber: Subscriber, envelope: Envelope) -> None:
        """Offer an event to one subscriber that has joined; nothing replaces it."""
        frame = subscriber.format.frame(envelope)
        if frame is not None:
            self.rows[subscriber.format].offer_to(subscriber.outlet, frame)

    def _gap(self, layout: Format) -> GapFrame | None:
        """How readers of a format are told that values were let go because they are slow."""
        if self.topic.mode not in _LOSABLE:
            return None

        def frame(epoch: int, first: int, last: int) -> bytes:
            payload = _encode(Gap(first, last, GapReason.SLOW))
            hole = Envelope(self.topic, epoch, last, _GAP, 0, self._clock.time_ns(), "", payload)
            told = layout.frame(hole)
            assert told is not None, "every format tells of holes"
            return told

        return frame
