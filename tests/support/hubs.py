"""A hub's surroundings: a bus whose answers the test writes, and subscribers that keep all they get."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from feedmux.client.clock import SystemClock
from feedmux.core.latency import Latency
from feedmux.core.outbox import TopicRow
from feedmux.hub.hub import Hub
from feedmux.model.event import Envelope, EventKind, Gap, GapReason, State, Status
from feedmux.model.ports import Outlet, Parcel, Row, Statistics
from feedmux.model.topic import Topic
from feedmux.wire.stream import StreamFormat
from support.places import PLACES

FULL = StreamFormat(PLACES)
QUIET = StreamFormat(PLACES, statuses=False)
TICKER = PLACES.parse("ticker:BTCUSDT")
KLINE = PLACES.parse("kline:1m:BTCUSDT")
TRADE = PLACES.parse("trade:BTCUSDT")


def value(topic: Topic, seq: int, epoch: int = 1, kind: EventKind = EventKind.UPDATE) -> Envelope:
    """The value of ``topic`` at a position; its payload is told apart from all others."""
    return Envelope(topic, epoch, seq, kind, 0, 0, topic.text, b'{"n":"%d.%d"}' % (epoch, seq))


def snapshot(topic: Topic, seq: int, epoch: int = 1) -> Envelope:
    return value(topic, seq, epoch, EventKind.SNAPSHOT)


def status(topic: Topic, state: State, reason: str = "", epoch: int = 1) -> Envelope:
    payload = msgspec.json.encode(Status(state, reason))
    return Envelope(topic, epoch, 0, EventKind.STATUS, 0, 0, "", payload)


def gap(topic: Topic, seq: int, epoch: int = 1) -> Envelope:
    payload = msgspec.json.encode(Gap(seq + 1, None, GapReason.LINK))
    return Envelope(topic, epoch, seq, EventKind.GAP, 0, 0, "", payload)


class ScriptedBus:
    """Carries what the test says, and answers a want with :attr:`answers` before it returns."""

    def __init__(self) -> None:
        self.latency = Latency()
        self.hub = Hub(TopicRow, SystemClock(), latency=self.latency)
        self.hub.connect(self)
        self.answers: dict[Topic, list[Envelope]] = {}
        self.asked: list[tuple[str, Topic]] = []
        self.demand: set[Topic] = set()

    def want(self, topic: Topic, asker: int = 0) -> None:
        assert topic not in self.demand, "a hub wants a topic once"
        self.demand.add(topic)
        self.asked.append(("want", topic))
        self.say(*self.answers.get(topic, []))

    def drop(self, topic: Topic) -> None:
        self.demand.remove(topic)
        self.asked.append(("drop", topic))

    def say(self, *envelopes: Envelope) -> None:
        for envelope in envelopes:
            self.hub.receive(envelope)

    def statistics(self) -> Statistics:
        return {}


class Reader:
    """A subscriber and its outlet in one.

    Args:
        layout: the format of its frames.
        then: is called when the fate of a topic is told, while the hub is still telling.
    """

    def __init__(
        self, layout: StreamFormat = FULL, then: Callable[[Topic, str | None], None] | None = None
    ) -> None:
        self.format = layout
        self.then = then
        self.frames: list[bytes] = []
        self.keys: list[str] = []
        self.parcels: list[Parcel] = []
        self.left: list[Row] = []
        self.fates: list[tuple[Topic, str | None]] = []
        self.ended: list[Topic] = []

    @property
    def outlet(self) -> Outlet:
        return self

    def offer(self, parcel: Parcel, /) -> None:
        self.frames.append(parcel.frame)
        self.keys.append(parcel.key)
        self.parcels.append(parcel)

    def forget(self, row: Row, /) -> None:
        self.left.append(row)

    def settled(self, topic: Topic, /, *, refused: str | None) -> None:
        self.fates.append((topic, refused))
        if self.then is not None:
            self.then(topic, refused)

    def revoked(self, topic: Topic, /) -> None:
        self.ended.append(topic)

    def take(self) -> list[bytes]:
        """What came since the last time."""
        frames, self.frames = self.frames, []
        return frames

    def got(self, *envelopes: Envelope) -> bool:
        """Whether exactly these events came since the last time, as this format writes them."""
        return self.take() == [self.format.frame(envelope) for envelope in envelopes]
