"""One stream of RabbitMQ: its position, its state, and of an object its parts."""

from __future__ import annotations

from collections import Counter as Tally

import msgspec

from feedmux.core.increments import TOO_LARGE, UNKEPT, ObjectLimits, Stored, sequence_of
from feedmux.core.sequence import Counter
from feedmux.model.event import Envelope, EventKind, Gap, GapReason, State, Status
from feedmux.model.topic import Mode, Topic

# An enum's member costs a search each time it is named (Python 3.11); these run per message.
_SNAPSHOT, _UPDATE, _STATUS, _GAP = EventKind.SNAPSHOT, EventKind.UPDATE, EventKind.STATUS, EventKind.GAP
_LIVE, _STALE = State.LIVE, State.STALE

_encode = msgspec.json.Encoder().encode


class ObjectRules(msgspec.Struct, frozen=True, kw_only=True):
    """How objects are kept.

    Args:
        limits: bounds of each; a hub that reads it has the same.
        are_numbered: whether bodies with a ``sequence`` have it by ones: each is one more than the last,
            and a snapshot's is that of the last increment in it. Else holes are not looked for.
    """

    limits: ObjectLimits = ObjectLimits()
    are_numbered: bool = True


class StreamWriter:
    """The authoritative state of one stream.

    Its methods return the events to publish, if anybody wants the stream.

    Args:
        topic: its topic.
        epoch: where it starts.
        rules: how objects are kept.
        tally: where it counts ``holes``, together with others.
    """

    __slots__ = ("_are_numbered", "_counter", "_sequence", "_tally", "reason", "state", "stored", "topic")

    def __init__(self, topic: Topic, epoch: int, rules: ObjectRules, tally: Tally[str]) -> None:
        self.topic = topic
        self.state = _LIVE
        self.reason = ""
        self.stored = Stored(rules.limits) if topic.mode is Mode.BOOK else None
        self._are_numbered = rules.are_numbered
        self._sequence: int | None = None
        self._counter = Counter(epoch)
        self._tally = tally

    @property
    def epoch(self) -> int:
        """When its continuity began."""
        return self._counter.epoch

    @property
    def size_bytes(self) -> int:
        """Bytes that it keeps."""
        return 0 if self.stored is None else self.stored.size_bytes

    @property
    def keeps(self) -> bool:
        """Whether it has something that who comes later is given."""
        return self.stored is not None and not self.stored.is_empty

    def message(self, body: bytes, now_ns: int) -> Envelope:
        """Number a message."""
        return self._value(_UPDATE, body, now_ns)

    def snapshot(self, body: bytes, now_ns: int) -> list[Envelope]:
        """Take an object's whole state.

        One that does not continue what came before is no repetition: what its readers have is not
        what it is, and they are told so, for they are sent a snapshot only when they need one.
        """
        stored, sequence = self._object, self._number(body)
        events = [] if stored.is_empty else self._compare(sequence, self._sequence, now_ns)
        self._sequence = sequence
        envelope = self._value(_SNAPSHOT, body, now_ns)
        stored.start(envelope)
        if stored.is_empty:
            return [self.status(_STALE, TOO_LARGE, now_ns)]
        events.append(envelope)
        if self.state is not _LIVE:
            events.append(self.status(_LIVE, "", now_ns))
        return events

    def increment(self, body: bytes, now_ns: int) -> list[Envelope]:
        """Take a change of an object; nothing comes of one without a snapshot before it."""
        stored = self._object
        if stored.is_empty:
            return []
        events: list[Envelope] = []
        sequence = self._number(body)
        if sequence is not None:
            last, self._sequence = self._sequence, sequence
            if last is not None and sequence != last + 1:
                events = self._compare(sequence, last + 1, now_ns)
        envelope = self._value(_UPDATE, body, now_ns)
        events.append(envelope if stored.add(envelope) else self.lose(UNKEPT, now_ns))
        return events

    def lose(self, reason: str, now_ns: int) -> Envelope:
        """Let go what is kept; the event that says so."""
        self._object.clear()
        self._sequence = None
        return self.status(_STALE, reason, now_ns)

    def doubt(self, reason: str) -> None:
        """An unknown amount was lost: what is kept is not vouched for until the next snapshot."""
        if self.keeps:
            self.state, self.reason = _STALE, reason

    def status(self, state: State, reason: str, now_ns: int) -> Envelope:
        """Change the state; the event that says so."""
        self.state, self.reason = state, reason
        return self.say(state, reason, now_ns)

    def say(self, state: State, reason: str, now_ns: int) -> Envelope:
        """The event that tells of a state which is not the stream's own: that of the connection."""
        return self._event(_STATUS, _encode(Status(state, reason)), now_ns)

    def standing(self, now_ns: int) -> Envelope:
        """The event that repeats the stream's own state."""
        return self.say(self.state, self.reason, now_ns)

    def parts(self) -> tuple[Envelope, ...]:
        """What who comes later is given."""
        return () if self.stored is None else self.stored.parts()

    def renew(self, epoch: int, now_ns: int) -> list[Envelope]:
        """Begin anew after a loss of unknown size: a gap where nothing mends it, the state, the parts."""
        events = []
        if self.stored is None:
            hole = Gap(self._counter.seq + 1, None, GapReason.LINK)
            events.append(self._event(_GAP, _encode(hole), now_ns))
        parts = self.parts()
        self._counter.restart(epoch)
        events.append(self.standing(now_ns))
        return [*events, *(self._again(part) for part in parts)]

    def _again(self, part: Envelope) -> Envelope:
        """Keep a part in the epoch that has begun; the first one is the snapshot."""
        part = msgspec.structs.replace(part, epoch=self.epoch, seq=self._counter.advance())
        if part.kind is _SNAPSHOT:
            self._object.start(part)
        else:
            self._object.add(part)
        return part

    def _number(self, body: bytes) -> int | None:
        return sequence_of(body) if self._are_numbered else None

    def _compare(self, sequence: int | None, expected: int | None, now_ns: int) -> list[Envelope]:
        """The event that says what is missing before this number, if it is not the expected one."""
        if sequence is None or expected is None or sequence == expected or self.state is not _LIVE:
            return []
        self._tally["holes"] += 1
        found = f"number {sequence} came where {expected} was expected"
        return [self.status(_STALE, f"{found}; the next snapshot makes it good", now_ns)]

    @property
    def _object(self) -> Stored:
        assert self.stored is not None, "only objects have parts"
        return self.stored

    def _value(self, kind: EventKind, body: bytes, now_ns: int) -> Envelope:
        counter = self._counter
        counter.seq += 1  # advance(), spelt out where it runs per message
        return Envelope(self.topic, counter.epoch, counter.seq, kind, 0, now_ns, "", body)

    def _event(self, kind: EventKind, payload: bytes, now_ns: int) -> Envelope:
        return Envelope(self.topic, self._counter.epoch, self._counter.seq, kind, 0, now_ns, "", payload)
