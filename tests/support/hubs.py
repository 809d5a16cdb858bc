"""A hub's surroundings: a bus whose answers the test writes, and subscribers that keep all they get."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from feedmux.core.increments import ObjectLimits
from feedmux.core.latency import Latency
from feedmux.core.outbox import TopicRow
from feedmux.hub.hub import Hub
from feedmux.hub.table import KEPT, RowMaker
from feedmux.model.event import Envelope, EventKind, Gap, GapReason, State, Status
from feedmux.model.ports import Format, Outlet, Parcel, Row, Statistics
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


def trade(seq: int, epoch: int = 1) -> Envelope:
    """Trades, which nothing replaces."""
    return msgspec.structs.replace(value(TRADE, seq, epoch), key="")


def candle(seq: int, opened: int, *, closed: bool = False, epoch: int = 1) -> Envelope:
    """A state of the candle that opened then; nothing replaces the closed one."""
    key = "" if closed else f"{KLINE.text}:{opened}"
    return msgspec.structs.replace(value(KLINE, seq, epoch), key=key)


def status(topic: Topic, state: State, reason: str = "", epoch: int = 1) -> Envelope:
    payload = msgspec.json.encode(Status(state, reason))
    return Envelope(topic, epoch, 0, EventKind.STATUS, 0, 0, "", payload)


def gap(topic: Topic, seq: int, epoch: int = 1) -> Envelope:
    payload = msgspec.json.encode(Gap(seq + 1, None, GapReason.LINK))
    return Envelope(topic, epoch, seq, EventKind.GAP, 0, 0, "", payload)


class Alarm:
    """One call that time will make."""

    def __init__(self, at: float, call: Callable[[], None]) -> None:
        self.at = at
        self.call: Callable[[], None] | None = call

    def cancel(self) -> None:
        self.call = None


class ScriptedTime:
    """A clock and timers that go when the test says so."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.alarms: list[Alarm] = []

    def monotonic(self) -> float:
        return self.now

    def time_ns(self) -> int:
        return int(self.now * 1e9)

    def call_later(self, delay: float, call: Callable[[], None]) -> Alarm:
        alarm = Alarm(self.now + delay, call)
        self.alarms.append(alarm)
        return alarm

    @property
    def set(self) -> list[float]:
        """When the timers that are set will be called."""
        return [alarm.at for alarm in self.alarms if alarm.call is not None]

    def goes(self, seconds: float) -> None:
        """Time goes by; timers are called when theirs comes."""
        end = self.now + seconds
        while due := [alarm for alarm in self.alarms if alarm.call is not None and alarm.at <= end]:
            first = min(due, key=lambda alarm: alarm.at)
            self.now = max(self.now, first.at)
            self.ring(first)
        self.now = end

    def ring(self, alarm: Alarm) -> None:
        """Call a timer, perhaps before its time."""
        call = alarm.call
        alarm.cancel()
        if call is not None:
            call()


class ScriptedBus:
    """Carries what the test says, and answers a want with :attr:`answers` before it returns."""

    def __init__(self, make_row: RowMaker = TopicRow, *, limits: ObjectLimits = KEPT) -> None:
        self.time = ScriptedTime()
        self.latency = Latency()
        self.hub = Hub(make_row, self.time, self.time.call_later, self.latency, limits=limits)
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
        self, layout: Format = FULL, then: Callable[[Topic, str | None], None] | None = None
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

    @property
    def paused(self) -> bool:
        return False

    def pause(self) -> None:
        raise AssertionError("nobody but its socket pauses an outlet")

    def resume(self) -> None:
        raise AssertionError("it is not paused")

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
