"""A simulated Deribit, a gateway and clients in processes of their own: what breaks, and what is shown.

test_deribit.py has the stories that need a venue which says exactly one thing.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from support import deribit_truth as truth
from support.processes import Client, DeribitVenue, Gateway, Stage
from support.streams import is_slice, judge, states, values
from support.tap import Tap
from support.waiting import eventually

NAME, OPTION = "BTC-PERPETUAL", "BTC-28DEC29-80000-C"
TICKER, TRADES = f"mudrex.deribit.ticker.{NAME}", f"mudrex.deribit.trade.{NAME}"
CANDLES, GREEKS = f"mudrex.deribit.kline.1.{NAME}", f"mudrex.deribit.ticker.{OPTION}"
CHANNELS = {
    TICKER: f"ticker.{NAME}.100ms",
    TRADES: f"trades.{NAME}.100ms",
    CANDLES: f"chart.trades.{NAME}.1",
    GREEKS: f"ticker.{OPTION}.100ms",
}
ARGS = (f"ticker:{NAME}", f"trade:{NAME}", f"kline:1m:{NAME}", f"ticker:{OPTION}")
LIVELY = ("--rate", "40", "--candle-speed", "120", "--any-order", "--credits", "0")
NOWHERE = "ws://127.0.0.1:9/v5/public/linear"
QUICK = {
    "VENUES": "deribit",
    "DERIBIT_RECONNECT_DELAY_INITIAL": 0.1,
    "DERIBIT_RECONNECT_DELAY_MAX": 0.2,
    "DERIBIT_PING_INTERVAL": 0.3,
    "DERIBIT_PING_TIMEOUT": 2,
}


async def gateway_on(stage: Stage, url: str, **settings: object) -> Gateway:
    """A gateway that serves the Deribit at this address."""
    return await stage.gateway(NOWHERE, **(QUICK | {"DERIBIT_WS_URL": url} | settings))


class Scene:
    """A Deribit behind a tap, a gateway, and a client that reads every kind of stream."""

    def __init__(self, venue: DeribitVenue, tap: Tap, gateway: Gateway, client: Client) -> None:
        self.venue, self.tap, self.gateway, self.client = venue, tap, gateway, client

    @classmethod
    async def set(cls, stage: Stage) -> Scene:
        venue = await stage.deribit(*LIVELY)
        tap = await stage.tap(venue)
        gateway = await gateway_on(stage, tap.url)
        scene = cls(venue, tap, gateway, await stage.client(gateway))
        answer = await scene.client.subscribe(*ARGS)
        assert answer["args"] == list(ARGS)
        await scene.flows(0)
        return scene

    async def flows(self, seen: int) -> None:
        """Wait for some values of each stream, and for a candle that is closed."""
        for stream in CHANNELS:
            await self.client.data(stream, seen=seen, count=3)
        await self.client.wait(lambda m: m.get("stream") == CANDLES and m["data"].get("confirmed"), seen=seen)

    async def breaks(self, seen: int) -> None:
        """Wait until the client was told of a break and of its end, and values flow again."""
        for state in ("reconnecting", "live"):
            for stream in CHANNELS:
                await self.client.status(state, stream, seen=seen)
        await self.flows(self.client.seen)
        await self.venue.has(*CHANNELS.values())

    def check(self, connections: int) -> None:
        """Judge all that was shown against what the venue said on each of its connections."""
        for stream, channel in CHANNELS.items():
            runs = judge(self.client.messages, stream)
            assert len(runs) == connections
            said = [self.truth(stream, truth.read(payloads, channel)) for payloads in self.tap.payloads()]
            for run in runs:
                shown = [message["data"] for message in run.values]
                assert any(is_slice(shown, whole) for whole in said), stream

    @staticmethod
    def truth(stream: str, said: list[Any]) -> list[object]:
        """What should be shown of a stream, given what its channel said."""
        if stream == TRADES:
            return [[truth.trade(one) for one in trades] for trades in said]
        if stream == CANDLES:
            return list(truth.candles(said, NAME))
        return [truth.ticker(one) for one in said]


async def test_what_is_shown_is_what_was_said_before_and_after_every_cut(stage: Stage) -> None:
    scene = await Scene.set(stage)
    for clean in (False, True):
        seen = scene.client.seen
        await scene.venue.do("cut", clean=clean)
        await scene.breaks(seen)
    seen = scene.client.seen
    scene.tap.reset_after(777)
    await scene.breaks(seen)
    scene.check(connections=4)
    closed = [m["data"] for m in values(scene.client.messages, CANDLES) if m["data"]["confirmed"]]
    assert len({candle["openTime"] for candle in closed}) == len(closed) >= 4
    option = values(scene.client.messages, GREEKS)[-1]["data"]
    assert {"markIv", "greeks", "underlyingPrice"} <= set(option)
    assert all("e" not in text for text in option["greeks"].values())


async def test_who_comes_late_gets_the_present_state_of_every_stream(stage: Stage) -> None:
    venue = await stage.deribit("--rate", "40")
    gateway = await gateway_on(stage, venue.url)
    client = await stage.client(gateway)
    await client.subscribe(*ARGS)
    for stream in CHANNELS:
        await client.data(stream)
    late = await stage.client(gateway)
    await late.subscribe(*ARGS)
    for stream in (TICKER, CANDLES, GREEKS):
        snapshot = await late.data(stream)
        assert snapshot["type"] == "snapshot"
        assert snapshot["data"] in [message["data"] for message in values(client.messages, stream)]
    assert (await late.data(TRADES))["type"] == "update"
    await venue.has(*CHANNELS.values())


async def test_a_channel_that_the_venue_drops_without_a_word_is_rejected(stage: Stage) -> None:
    venue = await stage.deribit("--drop", f"ticker.{OPTION}.100ms")
    gateway = await gateway_on(stage, venue.url)
    client = await stage.client(gateway)
    answer = await client.subscribe(f"ticker:{OPTION}", f"ticker:{NAME}", "kline:1h:DOGE-PERPETUAL")
    assert answer["args"] == [f"ticker:{NAME}"]
    assert {one["arg"] for one in answer["rejected"]} == {f"ticker:{OPTION}", "kline:1h:DOGE-PERPETUAL"}
    assert {one["reason"] for one in answer["rejected"]} == {
        "deribit refused it: it knows no such channel; its answer leaves it out"
    }
    await client.data(TICKER)


async def test_a_delisted_channel_ends_at_the_next_connection(stage: Stage) -> None:
    venue = await stage.deribit()
    gateway = await gateway_on(stage, venue.url)
    client = await stage.client(gateway)
    await client.subscribe(f"ticker:{NAME}", f"ticker:{OPTION}")
    await client.data(TICKER)
    await venue.do("delist", topic=CHANNELS[GREEKS])
    await venue.do("cut")
    await client.status("refused", GREEKS)
    await client.status("live", TICKER)


async def test_one_mute_channel_is_stale_and_a_mute_venue_is_replaced(stage: Stage) -> None:
    venue = await stage.deribit("--rate", "20", "--candle-speed", "120")
    gateway = await gateway_on(stage, venue.url, TICKER_SILENCE=1.5, KLINE_SILENCE=1.5)
    client = await stage.client(gateway)
    await client.subscribe(*ARGS)
    for stream in CHANNELS:
        await client.data(stream)
    seen = client.seen
    await venue.do("mute", topics=[CHANNELS[CANDLES]])
    told = await client.status("stale", seen=seen)
    assert (told["stream"], told["data"]["reason"]) == (CANDLES, "no kline for 1.5 s")
    before = client.seen
    await venue.do("unmute")
    await client.status("live", CANDLES, seen=before)
    first = await client.data(CANDLES, seen=before)
    assert first["data"]["confirmed"] is False, "what ended the last candle was lost"
    assert states(client.messages, TICKER) == []
    seen = client.seen
    await venue.do("mute")
    told = await client.status("reconnecting", TRADES, seen=seen)
    assert told["data"]["reason"] == "every topic that should have spoken is silent"
    await venue.do("unmute")
    for stream in CHANNELS:
        await client.data(stream, seen=client.seen)
        judge(client.messages, stream)


async def test_a_venue_that_answers_nothing_is_replaced(stage: Stage) -> None:
    venue = await stage.deribit()
    gateway = await gateway_on(stage, venue.url, DERIBIT_PING_TIMEOUT=0.7)
    client = await stage.client(gateway)
    await client.subscribe(f"trade:{NAME}")
    await client.data(TRADES)
    await venue.do("mute", pongs=False)
    told = await client.status("reconnecting", TRADES)
    assert told["data"]["reason"] == "no answer to the ping within 0.7 s"
    await venue.do("unmute")
    await client.data(TRADES, seen=client.seen)


async def test_test_requests_are_answered_in_time(stage: Stage) -> None:
    venue = await stage.deribit("--heartbeat-speed", "60", "--heartbeat-grace", "1")
    gateway = await gateway_on(stage, venue.url, DERIBIT_PING_INTERVAL=60)
    client = await stage.client(gateway)
    await client.subscribe(f"ticker:{NAME}")
    await client.data(TICKER)

    async def tests() -> int:
        requests: dict[str, int] = (await venue.report())["requests"]
        return requests.get("public/test", 0)

    await eventually(tests, lambda count: count >= 5, "five test requests were answered")
    assert states(client.messages, TICKER) == []
    assert (await venue.report())["connections_ever"] == 1


async def test_a_close_for_a_missed_heartbeat_is_a_cut_like_any_other(stage: Stage) -> None:
    venue = await stage.deribit()
    gateway = await gateway_on(stage, venue.url)
    client = await stage.client(gateway)
    await client.subscribe(f"ticker:{NAME}")
    await client.data(TICKER)
    await venue.do("close", code=4000, reason="heartbeat close")
    told = await client.status("reconnecting", TICKER)
    assert "4000" in told["data"]["reason"]
    await client.status("live", TICKER)


async def test_too_many_requests_refuse_nothing(stage: Stage) -> None:
    venue = await stage.deribit()
    await venue.do("limit", method="public/subscribe")
    gateway = await gateway_on(stage, venue.url)
    client = await stage.client(gateway)
    answer = await client.subscribe(f"ticker:{NAME}")
    assert answer["rejected"] is None
    await client.data(TICKER)
    assert (await venue.report())["connections_ever"] == 2


async def test_maintenance_leaves_everything_pending_until_it_is_over(stage: Stage) -> None:
    venue = await stage.deribit()
    await venue.do("maintenance")
    gateway = await gateway_on(stage, venue.url, SUBSCRIBE_TIMEOUT=0.5)
    client = await stage.client(gateway)
    answer = await client.subscribe(f"ticker:{NAME}")
    assert answer["pending"] == [f"ticker:{NAME}"]
    await venue.do("behave")
    await venue.do("cut")
    await client.status("live", TICKER)
    await client.data(TICKER)


async def test_garbage_of_every_kind_does_not_stop_the_feed(stage: Stage) -> None:
    venue = await stage.deribit(*LIVELY)
    gateway = await gateway_on(stage, venue.url)
    client = await stage.client(gateway)
    await client.subscribe(*ARGS)
    for stream in CHANNELS:
        await client.data(stream, count=2)
    for kind in ("truncated", "wrong-typed", "duplicated", "reordered", "non-json"):
        spoil = partial(venue.do, "garbage", kind=kind)
        await eventually(spoil, lambda answer: answer["topics"] == 4, f"{kind} came on every channel")
        seen = client.seen
        for stream in CHANNELS:
            await client.data(stream, seen=seen, count=3)
    for stream in CHANNELS:
        judge(client.messages, stream)
