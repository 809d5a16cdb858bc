"""Which topics are held, by whom, in which formats: topic to rows.

Who asks for nothing special is in the row of its format; so is who asks for some fields only,
for these are a format of their own. Who asks for another conflation or for a rate is in a lane
(:mod:`feedmux.hub.lane`). Only of those who are not in the row of their own format is it
remembered where they are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from feedmux.core.increments import ObjectLimits
from feedmux.hub.cache import LastValue
from feedmux.hub.lane import Lane, Variant, part
from feedmux.hub.object import LastObject
from feedmux.model.event import Envelope, EventKind, Gap, GapReason, State
from feedmux.model.options import DEFAULTS, MAX_FIELD_SETS, Options
from feedmux.model.ports import CallLater, Clock, Format, GapFrame, Row, Subscriber
from feedmux.model.topic import Mode, Topic

RowMaker = Callable[[GapFrame | None, bool], Row]
"""Make a row; it is given how a hole is told, unless its values may not be lost at all, and whether that
mends it."""

Place = Format | Variant
"""Where a subscriber is: the row of a format, or the lane of a variant."""

# An enum's member costs a search each time it is named (Python 3.11); these run per message.
_SNAPSHOT, _UPDATE, _GAP = EventKind.SNAPSHOT, EventKind.UPDATE, EventKind.GAP
_LOSABLE = frozenset({Mode.DISTINCT, Mode.RAW, Mode.BOOK})

KEPT: Final = ObjectLimits()
"""What is kept of an object unless somebody says otherwise."""

Written = list[tuple[Envelope, bytes]]
_NOTHING: Final[tuple[tuple[Envelope, ...], Written]] = ((), [])

_encode = msgspec.json.Encoder().encode


class Entry:
    """All that a hub knows of one held topic.

    Args:
        topic: the topic.
        make_row: makes the rows, one for each format or variant in use.
        clock: time.
        call_later: sets timers.
        limits: bounds of what is kept, should the topic be an object.
    """

    __slots__ = (
        "_call_later",
        "_clock",
        "_elsewhere",
        "_is_object",
        "_make_row",
        "_openings",
        "lanes",
        "last",
        "rows",
        "state",
        "status",
        "topic",
        "waiting",
        "withheld",
    )

    def __init__(
        self,
        topic: Topic,
        make_row: RowMaker,
        clock: Clock,
        call_later: CallLater,
        limits: ObjectLimits = KEPT,
    ) -> None:
        self.topic = topic
        self._is_object = topic.mode is Mode.BOOK
        self.last: LastValue | LastObject = LastObject(limits) if self._is_object else LastValue(topic)
        self.rows: dict[Format, Row] = {}
        self.lanes: dict[Variant, Lane] = {}
        self.waiting: dict[Subscriber, None] = {}
        self.state: State | None = None
        self.status: Envelope | None = None
        self.withheld: Envelope | None = None
        self._elsewhere: dict[Subscriber, Place] = {}
        self._openings: dict[Format, tuple[tuple[Envelope, ...], Written]] = {}
        self._make_row = make_row
        self._clock = clock
        self._call_later = call_later

    @property
    def held(self) -> bool:
        """Whether anybody waits for the topic or reads it."""
        return bool(self.rows or self.lanes or self.waiting)

    @property
    def members(self) -> list[Subscriber]:
        """Everybody who has joined."""
        return [subscriber for row in self._all() for subscriber in row.subscribers()]

    @property
    def joined(self) -> int:
        """How many have joined."""
        return sum(len(row) for row in self._all())

    @property
    def settled(self) -> bool:
        """Whether the source has confirmed the topic: it is live, or was and has gone quiet."""
        return self.state in (State.LIVE, State.STALE)

    def serves(self, subscriber: Subscriber, options: Options) -> bool:
        """Whether there is room for the subscriber's set of fields; if not, it gets whole messages.

        A set that it has for itself now makes room.
        """
        if not options.fields:
            return True
        layouts = {*self.rows, *(variant.layout for variant in self.lanes)}
        in_use = {layout.fields for layout in layouts if layout.fields}
        if options.fields in in_use or len(in_use) < MAX_FIELD_SETS:
            return True
        former = self._layout(self._place_of(subscriber)).fields
        readers = [row for place, row in self._places() if self._layout(place).fields == former]
        return former != frozenset() and sum(len(row) for row in readers) == 1

    def join(self, subscriber: Subscriber, options: Options = DEFAULTS) -> None:
        """Put the subscriber's outlet where its options belong."""
        self.waiting.pop(subscriber, None)
        self._enter(subscriber, self._choose(subscriber, options))

    def leave(self, subscriber: Subscriber) -> None:
        """Take the subscriber out; the last one takes the row with it."""
        self.waiting.pop(subscriber, None)
        place = self._place_of(subscriber)
        self._elsewhere.pop(subscriber, None)
        row = self._row(place)
        if row is not None:
            row.discard(subscriber.outlet)
            self._tidy(place, row)

    def change(self, subscriber: Subscriber, options: Options) -> tuple[Envelope, ...]:
        """Put a member where its new options belong; it loses nothing that waits for it.

        Returns:
            What it lacks there: the newest value, if it waited for the throttle of the former lane; of an
            object all parts, for what mends a hole of one row would come behind the next values of another.
        """
        place, former = self._choose(subscriber, options), self._place_of(subscriber)
        row = self._row(former)
        missing: tuple[Envelope, ...] = ()
        if place == former or row is None:
            return missing
        if self._is_object:
            missing = self.last.parts()
            row.discard(subscriber.outlet)
        elif isinstance(row, Lane):
            held = row.lacks(subscriber.outlet)
            missing = () if held is None else (held,)
            row.part(subscriber.outlet)
        else:
            part(row, subscriber.outlet)
        self._elsewhere.pop(subscriber, None)
        self._tidy(former, row)
        self._enter(subscriber, place)
        if self._is_object and self.status is not None and self.state is not State.PENDING:
            self.offer_to(subscriber, self.status)  # a status that waited was let go with the rest
        return missing

    def know(self, subscriber: Subscriber) -> None:
        """A member is given the newest value now: what its lane holds is not for it any more."""
        lane = self._row(self._place_of(subscriber))
        if isinstance(lane, Lane) and lane.lacks(subscriber.outlet) is not None:
            lane.part(subscriber.outlet)
            lane.add(subscriber.outlet, subscriber)

    def offer(self, envelope: Envelope) -> None:
        """Build the frame of each format once and offer it to its row.

        A gap of an object may be let go as its values may: behind what mends it, it would spoil it again.
        """
        kind = envelope.kind
        if kind is _UPDATE or kind is _SNAPSHOT:
            seq = envelope.seq
        else:
            seq = max(envelope.seq, 1) if self._is_object and kind is _GAP else 0
        for layout, row in self.rows.items():
            frame = layout.frame(envelope)
            if frame is not None:
                row.offer(frame, envelope.key, envelope.epoch, seq)
        if self.lanes:
            for lane in self.lanes.values():
                lane.take(envelope)

    def offer_to(self, subscriber: Subscriber, envelope: Envelope) -> None:
        """Offer an event to one subscriber that has joined; nothing replaces it."""
        place = self._place_of(subscriber)
        row, frame = self._row(place), self._layout(place).frame(envelope)
        assert row is not None, "it has joined"
        if frame is not None:
            row.offer_to(subscriber.outlet, frame)

    def give(self, subscriber: Subscriber, parts: tuple[Envelope, ...]) -> None:
        """Offer the parts of the last value to one subscriber that has joined; nothing replaces them.

        Those of an object may be let go, for what tells of the hole gives them anew.
        """
        if not self._is_object:
            for part in parts:
                self.offer_to(subscriber, part)
            return
        place = self._place_of(subscriber)
        row = self._row(place)
        assert row is not None, "it has joined"
        for part, frame in self._written(self._layout(place), parts):
            row.offer_to(subscriber.outlet, frame, part.epoch, part.seq)

    def _choose(self, subscriber: Subscriber, options: Options) -> Place:
        """Where options belong; those that only say what holds anyway belong with the others."""
        layout = subscriber.format
        if options.fields and self.serves(subscriber, options):
            layout = layout.only(options.fields)
        if self._is_object:
            return layout  # each change is needed by the next, so that no rate can be kept to
        mode = self.topic.mode
        conflate = options.conflates(mode)
        if options.rate or conflate != DEFAULTS.conflates(mode):
            return Variant(layout, conflate, options.rate)
        return layout

    def _enter(self, subscriber: Subscriber, place: Place) -> None:
        row = self._row(place)
        if row is None:
            row = self._open(place)
        if place is not subscriber.format:
            self._elsewhere[subscriber] = place
        row.add(subscriber.outlet, subscriber)

    def _open(self, place: Place) -> Row | Lane:
        if not isinstance(place, Variant):
            tells = self._gap(place, self.topic.mode in _LOSABLE)
            row = self.rows[place] = self._make_row(tells, self._is_object)
            return row
        row = self._make_row(self._gap(place.layout, not place.conflate), False)
        lane = Lane(self.topic, place, row, clock=self._clock, call_later=self._call_later)
        self.lanes[place] = lane
        return lane

    def _tidy(self, place: Place, row: Row | Lane) -> None:
        """A row that nobody is in goes."""
        if len(row):
            return
        if isinstance(place, Variant):
            self.lanes.pop(place).close()
        else:
            del self.rows[place]
            self._openings.pop(place, None)

    def _all(self) -> list[Row | Lane]:
        return [*self.rows.values(), *self.lanes.values()]

    def _places(self) -> list[tuple[Place, Row | Lane]]:
        return [*self.rows.items(), *self.lanes.items()]

    def _place_of(self, subscriber: Subscriber) -> Place:
        return self._elsewhere.get(subscriber, subscriber.format)

    def _row(self, place: Place) -> Row | Lane | None:
        return self.lanes.get(place) if isinstance(place, Variant) else self.rows.get(place)

    def _written(self, layout: Format, parts: tuple[Envelope, ...]) -> Written:
        """The frames of an object's parts, built once for all who come before the next one."""
        known, written = self._openings.get(layout, _NOTHING)
        if known is not parts:
            frames = [(part, layout.frame(part)) for part in parts]
            written = [(part, frame) for part, frame in frames if frame is not None]
            self._openings[layout] = parts, written
        return written

    @staticmethod
    def _layout(place: Place) -> Format:
        return place.layout if isinstance(place, Variant) else place

    def _gap(self, layout: Format, may_lose: bool) -> GapFrame | None:
        """How readers of a format are told that values were let go because they are slow.

        Readers of an object are given it anew behind that, as it is when they are told.
        """
        if not may_lose:
            return None

        def frame(epoch: int, first: int, last: int) -> bytes:
            payload = _encode(Gap(first, last, GapReason.SLOW))
            hole = Envelope(self.topic, epoch, last, EventKind.GAP, 0, self._clock.time_ns(), "", payload)
            told = layout.frame(hole)
            assert told is not None, "every format tells of holes"
            if not self._is_object or epoch != self.last.position.epoch:
                return told
            return told + b"".join([frame for _, frame in self._written(layout, self.last.parts())])

        return frame
