"""The venue's connection breaks in every way there is: clients are told, and never a falsehood."""

from __future__ import annotations

from support import truth
from support.processes import Client, Gateway, Stage, Venue
from support.streams import is_slice, judge, states
from support.tap import Tap

TICKER = "mudrex.futures.ticker.BTCUSDT"
TRADES = "mudrex.futures.trade.BTCUSDT"
CANDLES = "mudrex.futures.kline.1.BTCUSDT"
TOPICS = {TICKER: "tickers.BTCUSDT", TRADES: "publicTrade.BTCUSDT", CANDLES: "kline.1.BTCUSDT"}
LIVELY = ("--rate", "25", "--trade-rate", "25", "--kline-rate", "10")
QUICK = {
    "BYBIT_RECONNECT_DELAY_MAX": 0.2,
    "BYBIT_PING_INTERVAL": 0.3,
    "BYBIT_PING_TIMEOUT": 2,
    "BYBIT_CONNECT_TIMEOUT": 1,
}


class Scene:
    """A venue behind a tap, a gateway, and a client that reads every kind of stream."""

    def __init__(self, venue: Venue, tap: Tap, gateway: Gateway, client: Client) -> None:
        self.venue, self.tap, self.gateway, self.client = venue, tap, gateway, client

    @classmethod
    async def set(cls, stage: Stage) -> Scene:
        venue = await stage.venue(*LIVELY)
        tap = await stage.tap(venue)
        gateway = await stage.gateway(tap.url, **QUICK)
        scene = cls(venue, tap, gateway, await stage.client(gateway))
        await scene.client.subscribe("ticker:BTCUSDT", "trade:BTCUSDT", "kline:1m:BTCUSDT")
        await scene.flows(0)
        return scene

    async def flows(self, seen: int, count: int = 3) -> None:
        """Wait for some values of each stream after message number ``seen``."""
        for stream in TOPICS:
            await self.client.data(stream, seen=seen, count=count)

    async def told(self, state: str, seen: int) -> None:
        """Wait until the client was told that each stream is so."""
        for stream in TOPICS:
            await self.client.status(state, stream, seen=seen)

    async def recovers(self, seen: int) -> None:
        """Wait until everything was asked for again and values flow."""
        await self.told("live", seen)
        await self.flows(self._live_again(seen))
        await self.venue.carries(*TOPICS.values())

    def _live_again(self, seen: int) -> int:
        lives = [
            number
            for number, message in enumerate(self.client.messages)
            if number >= seen and message.get("type") == "status" and message["data"]["state"] == "live"
        ]
        return lives[-1]

    def check(self, connections: int) -> None:
        """Judge all that was shown against what the venue said on each of its connections."""
        said = [frames for frames in self.tap.connections() if any("topic" in frame for frame in frames)]
        for stream, topic in TOPICS.items():
            runs = judge(self.client.messages, stream)
            assert len(runs) == connections
            venues = [truth.shown(frames, topic) for frames in said]
            assert [run.values[0]["seq"] for run in runs[1:]] == [1] * (connections - 1)
            for run in runs:
                shown = [message["data"] for message in run.values]
                assert any(is_slice(shown, whole) for whole in venues), stream
            self._check_beginnings(stream)

    def _check_beginnings(self, stream: str) -> None:
        """What follows a cut: a snapshot, or where there is no state to show a gap."""
        messages = self.client.of(stream)
        for number, message in enumerate(messages):
            if message["type"] == "status" and message["data"]["state"] == "reconnecting":
                after = [later["type"] for later in messages[number + 1 : number + 4]]
                expected = (
                    ["status", "snapshot", "update"] if stream == TICKER else ["gap", "status", "update"]
                )
                assert after == expected, stream


async def test_a_cut_at_the_venue_is_told_and_mended(stage: Stage) -> None:
    scene = await Scene.set(stage)
    for clean in (False, True, False):
        seen = scene.client.seen
        assert (await scene.venue.do("cut", clean=clean))["connections"] == 1
        await scene.told("reconnecting", seen)
        await scene.recovers(seen)
    scene.check(connections=4)
    assert (await scene.gateway.stats())["upstream"]["clients"]["linear"]["reconnect_count"] == 3


async def test_a_reset_in_the_middle_of_a_message_shows_nothing_of_it(stage: Stage) -> None:
    scene = await Scene.set(stage)
    for count in (1, 333, 7777):
        seen = scene.client.seen
        scene.tap.reset_after(count)
        await scene.told("reconnecting", seen)
        await scene.recovers(seen)
    scene.check(connections=4)


async def test_a_half_open_connection_is_noticed_and_replaced(stage: Stage) -> None:
    scene = await Scene.set(stage)
    seen = scene.client.seen
    scene.tap.stall()
    await scene.told("reconnecting", seen)
    last = scene.client.messages[-1]
    assert "no answer to the ping" in last["data"]["reason"]
    scene.tap.resume()
    await scene.recovers(seen)
    scene.check(connections=2)


async def test_messages_that_come_in_crumbs_are_whole_again(stage: Stage) -> None:
    scene = await Scene.set(stage)
    seen = scene.client.seen
    scene.tap.dribble(7)
    await scene.flows(seen, count=10)
    assert all(states(scene.client.messages, stream) == [] for stream in TOPICS)
    seen = scene.client.seen
    scene.tap.cut()
    await scene.told("reconnecting", seen)
    await scene.recovers(seen)
    scene.check(connections=2)
