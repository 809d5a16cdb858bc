"""Turn what RabbitMQ delivers into envelopes of whatever is wanted, and keep objects for who comes later.

Theory of operation
-------------------
A routing key names a stream, and whether the body is an object's whole state. What nobody wants is
let go at once; only objects are kept even so, because a late reader needs what came before it.

Streams are on one of two *sides*, each a connection of its own: what is private, and all else.

============  =====================  ====================================================
side          event                  what is published to each wanted stream of the side
============  =====================  ====================================================
any           wanted                 how it is, at once: nobody confirms anything here; then
                                     the parts of an object
live          connection lost        ``reconnecting``
reconnecting  another reason         ``reconnecting``
reconnecting  connected              a message stream: a gap, then ``live`` in a new epoch;
                                     an object: ``stale`` in a new epoch and its parts, for
                                     nobody knows what came meanwhile
live          RabbitMQ dropped some  the same
live          the next snapshot      it, if it mends something, and ``live``
============  =====================  ====================================================

Streams that are neither wanted nor kept are forgotten. Objects are kept within bounds of number and
bytes; beyond, the one goes that was not changed for longest.

Deliberately absent: the connections, and what a routing key means.
"""

from __future__ import annotations

import logging
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import Final, Protocol

import msgspec

from feedmux.core.demand import Demand
from feedmux.core.sequence import Epochs
from feedmux.core.stats import Rule, Rules
from feedmux.feed.body import Flaw, flaw_of
from feedmux.feed.complaints import Complaints
from feedmux.feed.stream import ObjectRules, StreamWriter
from feedmux.model.checks import require_whole
from feedmux.model.event import State
from feedmux.model.ports import Clock, Publisher, Statistics
from feedmux.model.topic import OBJECT, PUBLIC, Topic

log = logging.getLogger(__name__)

NOT_YET: Final = "RabbitMQ is not connected yet"
LOST: Final = "the connection to RabbitMQ was lost; the next snapshot makes it good"
SPILLED: Final = "RabbitMQ dropped messages that waited for us; the next snapshot makes it good"
_EVICTED: Final = "there was no room to keep it; it begins again with the next snapshot"
DROPS: Final = ("unwanted", "no_snapshot", "routing_key", "failed", *(flaw.value for flaw in Flaw))
"""Why a message is not passed on."""
RULES: Final[Rules] = {"last_message_age_s": Rule.LEAST}
"""Of :meth:`Relay.statistics`."""
_UID: Final = "uid="
_SHOWN: Final = 80


class Routed(Protocol):
    """Where a message goes."""

    @property
    def topic(self) -> Topic: ...

    @property
    def is_snapshot(self) -> bool:
        """Whether it is an object's whole state."""


Route = Callable[[str], Routed | None]
"""What a routing key says; None: nothing. Called for every message."""


class Side(StrEnum):
    """One of the two connections, and all streams on it."""

    PUBLIC = "public"
    """What everybody may read, and what roles may."""
    PRIVATE = "private"
    """What belongs to one user."""


class RelayLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of what is taken and kept.

    Args:
        body_bytes: a larger body is dropped.
        objects: so many are kept at most.
        object_bytes: of all that is kept together.

    Raises:
        InvalidSetting: a value is below 1.
    """

    body_bytes: int = 1_048_576
    objects: int = 10_000
    object_bytes: int = 268_435_456

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            require_whole(name, getattr(self, name), "a whole number from 1", least=1)


class _Condition(msgspec.Struct):
    """How a side is."""

    state: State = State.RECONNECTING
    reason: str = NOT_YET
    epoch: int = 0
    """Streams of older epochs have not begun anew since the last loss; 0: never connected."""


class Relay:
    """The writer of all streams of RabbitMQ (:class:`feedmux.model.ports.Source`).

    Args:
        publisher: the bus's end that envelopes go into.
        route: what a routing key says.
        rules: how objects are kept.
        limits: bounds.
        clock: time.
    """

    def __init__(
        self, publisher: Publisher, *, route: Route, rules: ObjectRules, limits: RelayLimits, clock: Clock
    ) -> None:
        self._publish = publisher.publish
        self._route = route
        self._rules = rules
        self._limits = limits
        self._clock = clock
        self._epochs = Epochs()
        self._demand: Demand[Topic, str] = Demand()
        self._streams: dict[Topic, StreamWriter] = {}
        self._kept: OrderedDict[Topic, int] = OrderedDict()
        """What is kept and its bytes, the one first that was not changed for longest."""
        self._kept_bytes = 0
        self._sides = {side: _Condition() for side in Side}
        self._complaints = Complaints(log, clock)
        self._consumed = {"public": 0, "private": 0, "role": 0, "unknown": 0}
        self._tally: Counter[str] = Counter()
        self._dropped = dict.fromkeys(DROPS, 0)
        self._last_ns = 0

    # What a bus asks of a source

    def want(self, topic: Topic, holder: str, asker: int = 0) -> None:
        """``holder`` wants ``topic``; answered with its state and, of an object, with its parts."""
        self._demand.add(topic, holder)
        now_ns = self._clock.time_ns()
        side = self._sides[side_of(topic)]
        stream = self._streams.get(topic)
        if stream is None:
            stream = self._streams[topic] = self._new_stream(topic, now_ns)
        elif stream.epoch < side.epoch:  # nobody wanted it when the others began anew
            stream.renew(self._epochs.begin(now_ns), now_ns)
        if side.state is State.LIVE:
            self._publish(stream.standing(now_ns))
        else:
            self._publish(stream.say(side.state, side.reason, now_ns))
        for part in stream.parts():
            self._publish(part)

    def drop(self, topic: Topic, holder: str) -> None:
        """``holder`` no longer wants ``topic``."""
        if self._demand.remove(topic, holder):
            self._forget(topic)

    def forget(self, holder: str) -> None:
        """``holder`` died."""
        for topic in self._demand.forget(holder):
            self._forget(topic)

    # What the connections tell

    def take(self, routing_key: str, body: bytes) -> None:
        """Take one message; runs for each."""
        now_ns = self._last_ns = self._clock.time_ns()
        routed = self._route(routing_key)
        if routed is None:
            self._consumed["unknown"] += 1
            self._drop("routing_key", routing_key, "nothing is called so")
            return
        topic = routed.topic
        scope = topic.scope
        self._consumed["public" if scope == PUBLIC else "private" if scope.startswith(_UID) else "role"] += 1
        is_wanted = topic in self._demand
        is_object = topic.kind == OBJECT
        if not (is_wanted or is_object):
            self._dropped["unwanted"] += 1
            return
        flaw = flaw_of(body, self._limits.body_bytes)
        if flaw is not None:
            words = flaw.value.replace("_", " ")
            self._drop(flaw.value, routing_key, f"its body of {len(body)} bytes is {words}")
        elif is_object:
            self._take_part(topic, body, now_ns, is_snapshot=routed.is_snapshot, is_wanted=is_wanted)
        else:
            self._tally["published"] += 1
            self._publish(self._streams[topic].message(body, now_ns))

    def connected(self, side: Side) -> None:
        """Messages of a side come from now on."""
        condition = self._sides[side]
        condition.state, condition.reason = State.LIVE, ""
        if condition.epoch:
            self._begin_anew(side, LOST)
            return
        condition.epoch = 1  # nothing can have been missed yet: the streams' own epochs stand
        now_ns = self._clock.time_ns()
        for stream in self._wanted(side):
            self._publish(stream.standing(now_ns))

    def lost(self, side: Side, reason: str) -> None:
        """Nothing of a side comes any more; or still nothing, for another reason.

        Args:
            side: which.
            reason: a sentence for readers of the streams.
        """
        condition = self._sides[side]
        if condition.state is State.RECONNECTING and condition.reason == reason:
            return
        condition.state, condition.reason = State.RECONNECTING, reason
        now_ns = self._clock.time_ns()
        for stream in self._wanted(side):
            self._publish(stream.say(State.RECONNECTING, reason, now_ns))

    def spilled(self, side: Side) -> None:
        """RabbitMQ dropped messages of a side because too many waited for us."""
        self._complaints.note(
            "spilled",
            f"the {side} queue in RabbitMQ was full: messages were dropped there, and the streams are told",
        )
        if self._sides[side].state is State.LIVE:
            self._begin_anew(side, SPILLED)

    def failed(self, error: Exception) -> None:
        """Something of ours went wrong with a message: it is counted, and the next one is taken."""
        self._dropped["failed"] += 1
        if self._complaints.note("failed", "a message could not be taken"):
            log.error("why it could not be taken", exc_info=error)

    def statistics(self) -> Statistics:
        """Counters and gauges; ``last_message_age_s`` is None before the first message."""
        age_s = (self._clock.time_ns() - self._last_ns) / 1e9 if self._last_ns else None
        return {
            "topics": len(self._demand),
            "states": self._states(),
            "streams": len(self._streams),
            "published": self._tally["published"],
            "consumed": dict(self._consumed),
            "dropped": dict(self._dropped),
            "holes": self._tally["holes"],
            "spilled": self._complaints.counts["spilled"],
            "evicted": self._complaints.counts["evicted"],
            "stored_objects": len(self._kept),
            "stored_bytes": self._kept_bytes,
            "last_message_age_s": age_s,
        }

    def _take_part(
        self, topic: Topic, body: bytes, now_ns: int, *, is_snapshot: bool, is_wanted: bool
    ) -> None:
        """Take a snapshot or an increment of an object."""
        stream = self._streams.get(topic)
        if is_snapshot:
            if stream is None:
                stream = self._streams[topic] = self._new_stream(topic, now_ns)
            events = stream.snapshot(body, now_ns)
        else:
            events = [] if stream is None else stream.increment(body, now_ns)
        if stream is None or not events:
            self._dropped["no_snapshot"] += 1
            return
        self._keep(stream)
        if is_wanted:
            self._tally["published"] += 1
            for event in events:
                self._publish(event)
        elif not stream.keeps:
            del self._streams[topic]
        if len(self._kept) > self._limits.objects or self._kept_bytes > self._limits.object_bytes:
            self._evict(now_ns)

    def _keep(self, stream: StreamWriter) -> None:
        """Note what a stream keeps now, as the latest that changed."""
        topic, size = stream.topic, stream.size_bytes
        self._kept_bytes += size - self._kept.get(topic, 0)
        if stream.keeps:
            self._kept[topic] = size
            self._kept.move_to_end(topic)
        else:
            self._kept.pop(topic, None)

    def _evict(self, now_ns: int) -> None:
        """Let go what was not changed for longest, until the rest is within its bounds."""
        limits = self._limits
        while self._kept and (len(self._kept) > limits.objects or self._kept_bytes > limits.object_bytes):
            topic, size = self._kept.popitem(last=False)
            self._kept_bytes -= size
            event = self._streams[topic].lose(_EVICTED, now_ns)
            self._complaints.note("evicted", f"no more room for objects: one of {topic.instrument!r} goes")
            if topic in self._demand:
                self._publish(event)
            else:
                del self._streams[topic]

    def _begin_anew(self, side: Side, reason: str) -> None:
        """An unknown amount of a side was lost: say so to all who read it."""
        now_ns = self._clock.time_ns()
        epoch = self._sides[side].epoch = self._epochs.begin(now_ns)
        for topic in self._kept:
            if side_of(topic) is side:
                self._streams[topic].doubt(reason)
        for stream in self._wanted(side):
            for event in stream.renew(epoch, now_ns):
                self._publish(event)

    def _wanted(self, side: Side) -> Iterable[StreamWriter]:
        return [
            stream
            for topic, stream in self._streams.items()
            if topic in self._demand and side_of(topic) is side
        ]

    def _states(self) -> dict[str, int]:
        """How many of the wanted streams are how: as their connection is, unless that is live."""
        sides = {side: condition.state for side, condition in self._sides.items()}
        states: Counter[str] = Counter()
        for topic, stream in self._streams.items():
            if topic in self._demand:
                side = sides[side_of(topic)]
                states[str(stream.state if side is State.LIVE else side)] += 1
        return dict(states)

    def _new_stream(self, topic: Topic, now_ns: int) -> StreamWriter:
        return StreamWriter(topic, self._epochs.begin(now_ns), self._rules, self._tally)

    def _forget(self, topic: Topic) -> None:
        if topic not in self._kept:
            del self._streams[topic]

    def _drop(self, reason: str, routing_key: str, why: str) -> None:
        self._dropped[reason] += 1
        name = "private.…" if routing_key.startswith("private") else repr(routing_key[:_SHOWN])
        self._complaints.note(reason, f"a message to {name} was dropped: {why}")


def side_of(topic: Topic) -> Side:
    """On which connection a stream comes."""
    return Side.PRIVATE if topic.scope.startswith(_UID) else Side.PUBLIC
