"""One topic's writer: its position, its state, its last value."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol, cast

import msgspec

from feedmux.core.closing import OLD, Closing
from feedmux.core.sequence import Counter
from feedmux.core.ticker import TickerMerge, Unmerged
from feedmux.model.event import Envelope, EventKind, Gap, GapReason, State, Status
from feedmux.model.topic import Mode, Topic
from feedmux.model.venue import Candle, Merge, Value


class Merging(Protocol):
    """One ticker's state: merged from parts, and written."""

    def apply(self, snapshot: bool, order: int, fields: dict[str, str], /) -> bytes | Unmerged:
        """Take one part; the whole state's JSON text, or why there is none.

        See :meth:`feedmux.core.ticker.TickerMerge.apply`.
        """

    def clear(self) -> None:
        """Forget everything."""


Render = Callable[[Mapping[str, str]], bytes]
MakeMerge = Callable[[Topic], Merging]


class RenderedMerge:
    """A ticker whose state is written anew with every part.

    Args:
        render: writes the JSON text of a state.
    """

    __slots__ = ("_merge", "_render", "clear")

    def __init__(self, render: Render) -> None:
        self._merge = TickerMerge()
        self._render = render
        self.clear = self._merge.clear

    def apply(self, snapshot: bool, order: int, fields: dict[str, str], /) -> bytes | Unmerged:
        """Take one part; see :class:`Merging`."""
        state = self._merge.apply(snapshot, order, fields)
        return state if isinstance(state, Unmerged) else self._render(state)


# An enum's member costs a search each time it is named (Python 3.11); these run per message.
_SNAPSHOT, _UPDATE = EventKind.SNAPSHOT, EventKind.UPDATE
_MERGE, _CANDLE, _DISTINCT = Mode.MERGE, Mode.CANDLE, Mode.DISTINCT

_encode = msgspec.json.Encoder().encode


class TopicWriter:
    """The authoritative state of one topic that a feed writes.

    Args:
        topic: the topic.
        epoch: where it starts.
        make_merge: makes what merges and writes a state that comes in parts.
    """

    __slots__ = (
        "_closing",
        "_counter",
        "_is_behind",
        "_key",
        "_last",
        "_merge",
        "_mode",
        "_seen",
        "reason",
        "state",
        "topic",
    )

    def __init__(self, topic: Topic, epoch: int, make_merge: MakeMerge) -> None:
        self.topic = topic
        self.state = State.PENDING
        self.reason = ""
        self._mode = topic.mode
        self._key = topic.text
        self._counter = Counter(epoch)
        self._merge = make_merge(topic)
        self._closing: Closing[Candle] = Closing()
        self._last: Envelope | None = None
        self._seen: Value | None = None
        self._is_behind = False

    def merge(self, event: Merge, receive_ns: int) -> Envelope | Unmerged:
        """Merge a part into the state.

        Returns:
            The event to publish; or why there is none: nothing is known yet, or the venue's
            order is broken and the topic must be asked for anew.
        """
        payload = self._merge.apply(event.snapshot, event.order, event.fields)
        if type(payload) is not bytes:
            return cast(Unmerged, payload)
        kind = _SNAPSHOT if event.snapshot else _UPDATE
        # The first value of an epoch names it: for a slow reader no later one may take its place.
        key = self._key if self._counter.seq else ""
        return self._write(kind, event.venue_ns, receive_ns, key, payload)

    def take(self, event: Value, receive_ns: int) -> Envelope | Unmerged | None:
        """Number a value.

        Returns:
            The event to publish; None when it repeats the last one, or is older; or why there is none: all
            that comes is older, so that the ticker must be asked for anew.
        """
        seen, self._seen = self._seen, event
        mode = self._mode
        if mode is _MERGE:
            return self._take_whole(event, seen, receive_ns)
        if seen is not None:
            if mode is _CANDLE and event.venue_ns < seen.venue_ns:
                self._seen = seen
                return None
            if mode is _DISTINCT and event.payload == seen.payload:
                return None
        return self._write(_UPDATE, event.venue_ns, receive_ns, event.key, event.payload)

    def take_candle(self, event: Candle, receive_ns: int) -> tuple[Envelope, ...]:
        """Number a candle whose venue does not say when it closes.

        Returns:
            The events to publish: the candle before it, closed, if that is known, and its own state;
            none when a later candle came already.
        """
        ended = self._closing.take(event.opened_ms, event)
        if ended is OLD:
            return ()
        state = event.key, event.payload
        texts = (state,) if ended is None else (("", ended.closed), state)
        return tuple(self._write(_UPDATE, 0, receive_ns, key, payload) for key, payload in texts)

    def status(self, state: State, reason: str, now_ns: int) -> Envelope:
        """Change the state; the event that says so."""
        self.state, self.reason = state, reason
        if state is State.STALE:
            self._closing.quiet()
        return self._event(EventKind.STATUS, now_ns, _encode(Status(state, reason)))

    def standing(self, now_ns: int) -> Envelope:
        """The event that repeats the present state."""
        return self.status(self.state, self.reason, now_ns)

    def snapshot(self) -> Envelope | None:
        """The last value at its position; None when there is none, or the kind has no state."""
        if self._last is None or self._mode is Mode.DISTINCT:
            return None
        return msgspec.structs.replace(self._last, kind=EventKind.SNAPSHOT)

    def gap(self, now_ns: int) -> Envelope | None:
        """The event that tells of a hole of unknown size; None where a snapshot will mend it."""
        if self._mode is Mode.MERGE:
            return None
        hole = Gap(self._counter.seq + 1, None, GapReason.LINK)
        return self._event(EventKind.GAP, now_ns, _encode(hole))

    def restart(self, epoch: int) -> None:
        """Continuity was lost: nothing that was known before is vouched for any more."""
        self._counter.restart(epoch)
        self._merge.clear()
        self._closing.clear()
        self._last = None
        self._seen = None
        self._is_behind = False

    def _take_whole(self, event: Value, seen: Value | None, receive_ns: int) -> Envelope | Unmerged | None:
        """Number a ticker that comes whole each time; the second older one in a row is no exception."""
        if seen is not None and event.venue_ns < seen.venue_ns and event.ordered:
            self._seen = seen
            was_behind, self._is_behind = self._is_behind, True
            return Unmerged.DESYNC if was_behind else None
        self._is_behind = False
        if self._counter.seq:
            return self._write(_UPDATE, event.venue_ns, receive_ns, event.key, event.payload)
        return self._write(_SNAPSHOT, event.venue_ns, receive_ns, "", event.payload)

    def _write(self, kind: EventKind, venue_ns: int, receive_ns: int, key: str, payload: bytes) -> Envelope:
        counter = self._counter
        counter.seq += 1  # advance(), spelt out where it runs per message
        self._last = envelope = Envelope(
            self.topic, counter.epoch, counter.seq, kind, venue_ns, receive_ns, key, payload
        )
        return envelope

    def _event(self, kind: EventKind, now_ns: int, payload: bytes) -> Envelope:
        return Envelope(self.topic, self._counter.epoch, self._counter.seq, kind, 0, now_ns, "", payload)
