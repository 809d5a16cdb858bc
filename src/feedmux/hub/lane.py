"""A row whose clients asked for more than a format: another conflation, or a rate.

Theory of operation
-------------------
A lane gives its row what its topic's mode would not: values that replace each other where the
mode keeps all of them, values that are kept where it does not, and at most so many per second.
While a value waits for its throttle (:mod:`feedmux.core.throttle`), one timer is set, and none
otherwise.

What may not wait (a status, a gap, a closed candle) lets what is held go first, so that order
holds. A held snapshot that is replaced by an update makes that one a snapshot: updates do not
name their epoch, and both are the whole state.

Who comes while a value is held is a *newcomer*: it knows that value already, from its snapshot
or from the row that it was in, or it begins with the next one. So it enters the row only when
the next event comes, and what is held goes without it.

Nobody loses a closed candle: it is offered without a key, and without a seq where values may be
let go, which makes it no value that may be lost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import ceil

import msgspec

from feedmux.core.throttle import Throttle
from feedmux.model.event import Envelope, EventKind
from feedmux.model.ports import CallLater, Clock, Format, Outlet, Row, Subscriber, Timer
from feedmux.model.topic import Mode, Topic

_SNAPSHOT, _UPDATE = EventKind.SNAPSHOT, EventKind.UPDATE
_STATES = frozenset({Mode.MERGE, Mode.CANDLE})
_TICKS = 1000  # per second: a timer that is set for less may be called too early, again and again


class Variant(msgspec.Struct, frozen=True):
    """What the clients of a lane share.

    Args:
        layout: the format of their frames.
        conflate: whether a newer value replaces one that waits.
        rate: messages per second at most; 0: as they come.
    """

    layout: Format
    conflate: bool
    rate: float = 0.0


def part(row: Row, outlet: Outlet) -> None:
    """Take an outlet out of a row and let it keep what waits there.

    A row that is left is forgotten by the outlet, but only what waits while the client is slow:
    what is on its way goes, in its order and ahead of what comes from another row.
    """
    is_paused = outlet.paused
    if is_paused:
        outlet.resume()
    row.discard(outlet)
    if is_paused:
        outlet.pause()


class Lane:
    """The row of one topic and variant.

    Args:
        topic: the topic.
        variant: what its clients share.
        row: their row; it tells of holes if values are not replaced.
        clock: time.
        call_later: sets the timer.
    """

    __slots__ = (
        "_call_later",
        "_clock",
        "_key",
        "_mode",
        "_newcomers",
        "_throttle",
        "_timer",
        "_variant",
        "row",
    )

    def __init__(
        self, topic: Topic, variant: Variant, row: Row, *, clock: Clock, call_later: CallLater
    ) -> None:
        self.row = row
        self._variant = variant
        self._mode = topic.mode
        self._key = topic.text
        self._clock = clock
        self._call_later = call_later
        self._throttle: Throttle[Envelope] | None = Throttle(variant.rate) if variant.rate else None
        self._newcomers: dict[Outlet, Subscriber] = {}
        self._timer: Timer | None = None

    @property
    def held(self) -> Envelope | None:
        """The value that waits for the throttle, if one does; it is the topic's newest."""
        return self._throttle.held if self._throttle is not None else None

    def lacks(self, outlet: Outlet) -> Envelope | None:
        """The newest value, if ``outlet`` is in the row and waits for it."""
        return self.held if outlet in self.row else None

    def add(self, outlet: Outlet, subscriber: Subscriber, /) -> None:
        """Let ``outlet`` have what comes from now on."""
        if self.held is None:
            self.row.add(outlet, subscriber)
        elif outlet not in self.row:
            self._newcomers[outlet] = subscriber

    def discard(self, outlet: Outlet, /) -> None:
        """``outlet`` gets nothing more, and lets go what waits."""
        if self._newcomers.pop(outlet, None) is None:
            self.row.discard(outlet)

    def part(self, outlet: Outlet, /) -> None:
        """``outlet`` gets nothing more of this lane, and keeps what waits."""
        if self._newcomers.pop(outlet, None) is None:
            part(self.row, outlet)

    def offer_to(self, outlet: Outlet, frame: bytes, epoch: int = 0, seq: int = 0, /) -> None:
        """Offer a frame to one outlet only; nothing replaces it."""
        self.row.offer_to(outlet, frame, epoch, seq)

    def subscribers(self) -> Iterator[Subscriber]:
        """Who the outlets belong to, in any order."""
        yield from self.row.subscribers()
        yield from self._newcomers.values()

    def take(self, envelope: Envelope) -> None:
        """Pass the next event on, now or when the throttle allows it."""
        may_wait = self._may_wait(envelope)
        if self._throttle is not None and not may_wait:
            self._send_held(self._throttle.release)
        if self._newcomers:
            self._admit()
        if self._throttle is not None:
            now = self._clock.monotonic()
            if may_wait:
                self._offer_throttled(self._throttle, envelope, now)
                return
            if envelope.kind is _UPDATE or envelope.kind is _SNAPSHOT:
                self._throttle.spend(now)
        self._offer(envelope)

    def close(self) -> None:
        """Nothing waits any more, or nobody for it."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def __contains__(self, outlet: object, /) -> bool:
        return outlet in self._newcomers or outlet in self.row

    def __len__(self) -> int:
        return len(self.row) + len(self._newcomers)

    def _may_wait(self, envelope: Envelope) -> bool:
        """Whether a newer value may replace this one: a closed candle has no key."""
        is_value = envelope.kind is _UPDATE or envelope.kind is _SNAPSHOT
        return is_value and (self._mode is not Mode.CANDLE or envelope.key != "")

    def _admit(self) -> None:
        newcomers, self._newcomers = self._newcomers, {}
        for outlet, subscriber in newcomers.items():
            self.row.add(outlet, subscriber)

    def _offer_throttled(self, throttle: Throttle[Envelope], envelope: Envelope, now: float) -> None:
        held = throttle.held
        is_held_snapshot = held is not None and held.kind is _SNAPSHOT
        if is_held_snapshot and envelope.kind is _UPDATE and self._mode in _STATES:
            envelope = msgspec.structs.replace(envelope, kind=_SNAPSHOT)
        if throttle.offer(envelope, now):
            self.close()
            self._offer(envelope)
        elif self._timer is None:
            self._set_timer(throttle, now)

    def _set_timer(self, throttle: Throttle[Envelope], now: float) -> None:
        self._timer = self._call_later(ceil(throttle.wait_s(now) * _TICKS) / _TICKS, self._due)

    def _due(self) -> None:
        """The timer's call; it may come early, by a clock that is not ours."""
        self._timer = None
        throttle = self._throttle
        assert throttle is not None, "only a throttle sets a timer"
        self._send_held(throttle.due)
        if throttle.held is not None:
            self._set_timer(throttle, self._clock.monotonic())

    def _send_held(self, let_out: Callable[[float], Envelope | None]) -> None:
        held = let_out(self._clock.monotonic())
        if held is not None:
            self.close()
            self._offer(held)

    def _offer(self, envelope: Envelope) -> None:
        """Build the lane's frame and offer it to the row."""
        frame = self._variant.layout.frame(envelope)
        if frame is None:
            return
        if not self._may_wait(envelope):
            self.row.offer(frame, "", envelope.epoch, 0)
        elif self._variant.conflate:
            self.row.offer(frame, envelope.key or self._key, envelope.epoch, envelope.seq)
        else:
            self.row.offer(frame, "", envelope.epoch, envelope.seq)
