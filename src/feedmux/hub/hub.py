"""Route envelopes to whoever holds their topic, and tell the bus what is held.

Theory of operation
-------------------
A subscriber *attaches* to a topic, learns its fate (``settled``), and *joins* when it is ready
to be sent the topic's frames; between the two it gets nothing, so that its own answer can go
first. On joining it is offered, in this order: the status, if the topic is not live; the
snapshot, if there is one; from then on every event. The first subscriber of a topic makes the
hub want it from the bus, the last one makes the hub drop it, and everything known of it goes.

Values whose position is not above the last one are ignored: a bus may answer a want that
somebody else made, and after a reconnect may say things twice. So are gaps and statuses of an
epoch that is over; epoch 0 is a refusal's, of a topic that nobody writes. A newer epoch makes
the last value void, for nobody vouches for it any more; its status goes to clients even if the
state is the same, because updates do not name their epoch. A pending status is for the
subscriber that waits, not for clients: their answer names what is pending. A topic that is
refused after clients joined it ends for them: they get the status, then it is revoked.

A member may *change* its options. What waits for it is kept, and what the throttle of its former lane
held back is offered at once, so that it misses nothing and sees nothing twice; only a snapshot
that it asks for repeats a position.

An object (:mod:`feedmux.hub.object`) is offered in parts where other topics have one snapshot. Should a
hub lose what its source still has, it makes a stale status of its own, and keeps the source's live
one until it has the object again. So a writer that mends an object publishes the snapshot first and then
that it is live: who hears that it is live has it.
"""

from __future__ import annotations

import msgspec

from feedmux.core.increments import ObjectLimits
from feedmux.core.latency import Latency
from feedmux.hub.table import KEPT, Entry, RowMaker
from feedmux.model.event import Envelope, EventKind, State, Status
from feedmux.model.options import DEFAULTS, Options
from feedmux.model.ports import Bus, CallLater, Clock, Format, Statistics, Subscriber
from feedmux.model.topic import Topic

# An enum's member costs a search each time it is named (Python 3.11); this runs per message.
_STATUS, _UPDATE = EventKind.STATUS, EventKind.UPDATE

_decode_status = msgspec.json.Decoder(Status).decode
_encode = msgspec.json.Encoder().encode


class Hub:
    """The reader's end of a bus, for many subscribers.

    Args:
        make_row: makes a row for each topic and format.
        clock: time.
        call_later: sets timers, for clients that asked for a rate.
        latency: is told which value is the oldest that was offered and not sent.
        limits: bounds of what is kept of each object; those of its writer.
    """

    def __init__(
        self,
        make_row: RowMaker,
        clock: Clock,
        call_later: CallLater,
        latency: Latency | None = None,
        *,
        limits: ObjectLimits = KEPT,
    ) -> None:
        self._make_row = make_row
        self._clock = clock
        self._call_later = call_later
        self._latency = latency or Latency()
        self._limits = limits
        self._bus: Bus | None = None
        self._entries: dict[Topic, Entry] = {}
        self._formats: set[Format] = set()
        self._received = 0
        self._old = 0

    def connect(self, bus: Bus) -> None:
        """Set where wants and drops go; before the first attach."""
        self._bus = bus

    def attach(self, topic: Topic, subscriber: Subscriber, *, asker: int) -> bool:
        """Hold ``topic`` for ``subscriber``.

        Returns:
            True when the source has confirmed the topic already; else ``settled`` will be
            called, perhaps before this returns.
        """
        entry = self._entries.get(topic)
        if entry is not None:
            entry.waiting[subscriber] = None
            return entry.settled
        entry = Entry(topic, self._make_row, self._clock, self._call_later, self._limits)
        self._entries[topic] = entry
        entry.waiting[subscriber] = None
        assert self._bus is not None, "connect() comes first"
        self._bus.want(topic, asker)
        return False

    def join(
        self, topic: Topic, subscriber: Subscriber, options: Options = DEFAULTS, *, snapshot: bool = True
    ) -> None:
        """Send ``subscriber`` the topic's frames from now on; it must be attached.

        Args:
            topic: the topic.
            subscriber: who joins.
            options: how it is served.
            snapshot: whether it begins with the last value.
        """
        entry = self._entries[topic]
        entry.join(subscriber, options)
        self._formats.add(subscriber.format)
        status = entry.status if entry.state not in (State.LIVE, State.PENDING) else None
        if status is not None:
            entry.offer_to(subscriber, status)
        if snapshot:
            entry.give(subscriber, entry.last.parts())

    def change(
        self, topic: Topic, subscriber: Subscriber, options: Options, *, snapshot: bool = False
    ) -> None:
        """Serve ``subscriber``, who has joined, by other options from now on.

        Args:
            topic: the topic.
            subscriber: who has joined it.
            options: how it is served.
            snapshot: whether it wants the last value again.
        """
        entry = self._entries[topic]
        missing = entry.change(subscriber, options)
        parts = entry.last.parts() if snapshot else ()
        if parts:
            entry.know(subscriber)
        entry.give(subscriber, parts or missing)

    def serves(self, topic: Topic, subscriber: Subscriber, options: Options) -> bool:
        """Whether ``subscriber`` would get just the fields that its options name, not whole messages."""
        entry = self._entries.get(topic)
        return entry is None or entry.serves(subscriber, options)

    def detach(self, topic: Topic, subscriber: Subscriber) -> None:
        """``subscriber`` no longer holds ``topic``."""
        entry = self._entries.get(topic)
        if entry is None:
            return
        entry.leave(subscriber)
        if not entry.held:
            self._drop(entry)

    def receive(self, envelope: Envelope, /) -> None:
        """Take one event from the bus (:class:`feedmux.model.ports.Sink`)."""
        entry = self._entries.get(envelope.topic)
        if entry is None:
            return
        self._received += 1
        if not entry.last.accept(envelope):
            self._old += 1
            if entry.last.fault:
                self._tell_fault(entry, envelope)
        elif envelope.kind is _UPDATE:
            latency = self._latency
            if latency.oldest is None and entry.rows:
                latency.oldest = envelope
            entry.offer(envelope)
        elif envelope.kind is _STATUS:
            self._take_status(entry, envelope)
        else:
            entry.offer(envelope)
            if entry.withheld is not None and not entry.last.fault:
                self._take_status(entry, entry.withheld)

    def statistics(self) -> Statistics:
        """Counters of the hub; ``subscriptions`` counts who has joined, over all topics.

        ``ignored_old`` also has what is of no use for an object: snapshots that repeat it, and
        increments without one.
        """
        return {
            "topics": len(self._entries),
            "received": self._received,
            "ignored_old": self._old,
            "subscriptions": sum(entry.joined for entry in self._entries.values()),
        }

    def readers(self) -> dict[Topic, int]:
        """How many have joined each topic."""
        return {topic: entry.joined for topic, entry in self._entries.items()}

    def topics(self) -> dict[Topic, State | None]:
        """Every held topic and its state, as far as it is known."""
        return {topic: entry.state for topic, entry in self._entries.items()}

    def _take_status(self, entry: Entry, envelope: Envelope) -> None:
        status = _decode_status(envelope.payload)
        entry.withheld = None
        if entry.last.fault and status.state is State.LIVE:
            self._tell_fault(entry, envelope)
            entry.withheld = envelope
            return
        known = entry.status
        news = status.state is not entry.state or known is None or envelope.epoch > known.epoch
        entry.state, entry.status = status.state, envelope
        if news and status.state is not State.PENDING:
            entry.offer(envelope)
        if status.state is State.REFUSED:
            self._refuse(entry, status.reason)
        elif entry.settled:
            for subscriber in list(entry.waiting):
                if subscriber in entry.waiting:
                    subscriber.settled(entry.topic, refused=None)

    def _tell_fault(self, entry: Entry, cause: Envelope) -> None:
        """Say what nobody else knows: the object is lost here, however well its source is."""
        if entry.state is State.STALE:
            return
        withheld = entry.status if entry.state is State.LIVE else None
        payload = _encode(Status(State.STALE, entry.last.fault))
        now_ns = self._clock.time_ns()
        self._take_status(
            entry, Envelope(entry.topic, cause.epoch, cause.seq, _STATUS, 0, now_ns, "", payload)
        )
        entry.withheld = withheld

    def _refuse(self, entry: Entry, reason: str) -> None:
        """The topic has ended: nobody holds it any more."""
        waiting, members = list(entry.waiting), entry.members
        for subscriber in (*waiting, *members):
            entry.leave(subscriber)
        if self._entries.get(entry.topic) is entry:
            self._drop(entry)
        for subscriber in waiting:
            subscriber.settled(entry.topic, refused=reason)
        for subscriber in members:
            subscriber.revoked(entry.topic)

    def _drop(self, entry: Entry) -> None:
        del self._entries[entry.topic]
        for layout in self._formats:
            layout.forget(entry.topic)
        assert self._bus is not None
        self._bus.drop(entry.topic)
