"""Whatever happens to a market, a reader that merges what it was sent knows the venue's state."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from feedmux.sim.bybit_floor import Floor
from feedmux.sim.options import SimOptions
from support.examples import EXAMPLES

TICKER = "tickers.BTCUSDT"
KLINE = "kline.1.BTCUSDT"
TOPICS = (TICKER, KLINE, "publicTrade.BTCUSDT", "tickers.ETHUSDT")
READERS = st.integers(0, 2)
ACK = b"\x81\x02{}"


class ManualClock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def monotonic(self) -> float:
        return self.seconds

    def time_ns(self) -> int:
        return 1_790_757_082_000_000_000 + int(self.seconds * 1e9)


class Merging:
    """A reader that keeps what it was sent: merged tickers, all candles, all frames."""

    def __init__(self, floor: Floor) -> None:
        self.topics: set[str] = set()
        self.messages: list[dict[str, Any]] = []
        self.tickers: dict[str, dict[str, str]] = {}
        self.acks = 0
        floor.members.add(self)

    def queue(self, frames: Iterable[bytes]) -> None:
        for frame in frames:
            header = 2 if frame[1] < 126 else 4
            self._take(json.loads(frame[header:]))

    def _take(self, message: dict[str, Any]) -> None:
        if not message:
            self.acks += 1
            return
        self.messages.append(message)
        topic = message["topic"]
        if topic.startswith("tickers."):
            known = {} if message["type"] == "snapshot" else self.tickers[topic]
            self.tickers[topic] = known | message["data"]

    def flush(self) -> None:
        """Frames are taken when they are queued."""

    def sweep(self, now: float) -> None:
        """Nobody is cut here."""


class Market(RuleBasedStateMachine):
    """One market, three readers; ``market`` is set by the two cases below."""

    market = "linear"

    def __init__(self) -> None:
        super().__init__()
        self.clock = ManualClock()
        self.floor = Floor(self.market, SimOptions(candle_speed=100, kline_rate=10), self.clock)
        self.readers = [Merging(self.floor) for _ in range(3)]
        self.asked = [0, 0, 0]
        self.muted: set[str] = set()

    @rule(count=st.integers(1, 8))
    def pass_time(self, count: int) -> None:
        for _ in range(count):
            self.clock.seconds += self.floor.tick_s
            self.floor.tick()

    @rule(reader=READERS, topic=st.sampled_from(TOPICS))
    def subscribe(self, reader: int, topic: str) -> None:
        member = self.readers[reader]
        if topic not in member.topics:
            member.topics.add(topic)
            self.asked[reader] += 1
            self.floor.subscribe(member, [topic], ACK)

    @rule(reader=READERS, topic=st.sampled_from(TOPICS))
    def unsubscribe(self, reader: int, topic: str) -> None:
        member = self.readers[reader]
        member.topics.discard(topic)
        member.tickers.pop(topic, None)
        self.floor.unsubscribe(member, [topic])

    @rule(topics=st.sets(st.sampled_from(TOPICS)))
    def mute(self, topics: set[str]) -> None:
        self.muted |= topics
        self.floor.mute(topics)

    @rule()
    def unmute(self) -> None:
        self.muted = set()
        self.floor.unmute()
        self.pass_time(1)

    @invariant()
    def readers_know_the_state(self) -> None:
        for member in self.readers:
            for topic in member.topics - self.muted:
                if topic.startswith("tickers."):
                    assert member.tickers[topic] == self.floor.state(topic)

    @invariant()
    def no_ticker_goes_back(self) -> None:
        for member in self.readers:
            for topic in (TICKER, "tickers.ETHUSDT"):
                crosses = [m["cs"] for m in member.messages if m["topic"] == topic]
                assert crosses == sorted(set(crosses))

    @invariant()
    def every_request_is_acknowledged_once(self) -> None:
        waiting = self.floor.statistics()["pending_acks"]
        assert isinstance(waiting, int)
        assert sum(self.asked) - sum(member.acks for member in self.readers) == waiting

    @invariant()
    def a_closed_candle_never_changes(self) -> None:
        for member in self.readers:
            closed: set[int] = set()
            for candle in (m["data"][0] for m in member.messages if m["topic"] == KLINE):
                assert candle["start"] not in closed
                if candle["confirm"]:
                    closed.add(candle["start"])


class SpotMarket(Market):
    market = "spot"


TestLinear = Market.TestCase
TestLinear.settings = settings(max_examples=EXAMPLES // 5, stateful_step_count=25, deadline=None)
TestSpot = SpotMarket.TestCase
TestSpot.settings = settings(max_examples=EXAMPLES // 10, stateful_step_count=25, deadline=None)


def run_alone(seed: int, joins: Iterable[int] = (0,)) -> list[dict[str, Any]]:
    """The ticker data that the first reader gets; others join before the given ticks."""
    clock, count = ManualClock(), 30
    floor = Floor("linear", SimOptions(seed=seed), clock)
    members = []
    for tick in range(count):
        for _ in range(sum(join == tick for join in joins)):
            members.append(Merging(floor))
            floor.subscribe(members[-1], [TICKER, "publicTrade.BTCUSDT"], ACK)
        clock.seconds += floor.tick_s
        floor.tick()
    return [m["data"] for m in members[0].messages if m["topic"] == TICKER]


def test_the_same_seed_sends_the_same_data_whoever_else_reads() -> None:
    assert len(run_alone(5)) == 31
    assert run_alone(5) == run_alone(5) == run_alone(5, joins=(0, 3, 3, 17))
    assert run_alone(5) != run_alone(6)
