"""Which topics are held, by whom, in which formats: topic to rows."""

from __future__ import annotations

from collections.abc import Callable

from feedmux.hub.cache import LastValue
from feedmux.model.event import Envelope, State
from feedmux.model.ports import Format, Row, Subscriber
from feedmux.model.topic import Topic

RowMaker = Callable[[], Row]


class Entry:
    """All that a hub knows of one held topic.

    Args:
        topic: the topic.
        make_row: makes the rows, one for each format in use.
    """

    __slots__ = ("_make_row", "last", "rows", "state", "status", "topic", "waiting")

    def __init__(self, topic: Topic, make_row: RowMaker) -> None:
        self.topic = topic
        self.last = LastValue(topic)
        self.rows: dict[Format, Row] = {}
        self.waiting: dict[Subscriber, None] = {}
        self.state: State | None = None
        self.status: Envelope | None = None
        self._make_row = make_row

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
            row = self.rows[subscriber.format] = self._make_row()
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
        for layout, row in self.rows.items():
            frame = layout.frame(envelope)
            if frame is not None:
                row.offer(frame, envelope.key)
