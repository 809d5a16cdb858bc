"""Deribit through a real gateway: what its clients are shown, and what they are told when it goes wrong.

The venue is a small Deribit in the test's own process, which says exactly what a story needs.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import AsyncIterator
from typing import Any

import pytest_asyncio

from support.deribit_feed import MINUTE_MS, NAME, NOON_MS, candle, channel, ticker, trades
from support.deribit_server import BUSY, DeribitServer
from support.processes import Client, Gateway, Stage
from support.streams import judge, states, values

TICKER = f"mudrex.deribit.ticker.{NAME}"
TRADES = f"mudrex.deribit.trade.{NAME}"
CANDLES = f"mudrex.deribit.kline.1.{NAME}"
NOWHERE = "ws://127.0.0.1:9/v5/public/linear"
QUICK = {
    "DERIBIT_RECONNECT_DELAY_INITIAL": 0.1,
    "DERIBIT_RECONNECT_DELAY_MAX": 0.2,
    "DERIBIT_PING_INTERVAL": 0.3,
}


@pytest_asyncio.fixture
async def venue() -> AsyncIterator[DeribitServer]:
    server = DeribitServer()
    await server.start()
    yield server
    await server.stop()


async def gateway_on(stage: Stage, venue: DeribitServer, **settings: object) -> Gateway:
    """A gateway that serves Deribit alone."""
    return await stage.gateway(
        NOWHERE, **({"VENUES": "deribit", "DERIBIT_WS_URL": venue.url} | QUICK | settings)
    )


def candles(client: Client) -> list[tuple[int, float, bool]]:
    """The candles that a client was shown: which minute, the close so far, whether it is confirmed."""
    shown = [message["data"] for message in values(client.messages, CANDLES)]
    return [
        ((one["openTime"] - NOON_MS) // MINUTE_MS, float(one["close"]), one["confirmed"]) for one in shown
    ]


async def shown(client: Client, venue: DeribitServer, kind: str, *data: Any) -> None:
    """Push data, and wait until the client was shown as many values of it more."""
    stream = {"ticker": TICKER, "trade": TRADES, "kline": CANDLES}[kind]
    seen = client.seen
    for one in data:
        await venue.push(channel(kind), one)
    await client.data(stream, seen=seen, count=len(data))


async def test_every_kind_of_stream_and_who_comes_late(stage: Stage, venue: DeribitServer) -> None:
    gateway = await gateway_on(stage, venue)
    client = await stage.client(gateway)
    answer = await client.subscribe(f"ticker:{NAME}", f"trade:{NAME}@deribit", f"kline:1m:{NAME}")
    assert answer["success"]
    assert answer["rejected"] is None
    assert "pending" not in answer
    await venue.carries(*map(channel, ("ticker", "trade", "kline")))
    await shown(client, venue, "ticker", ticker(1), ticker(2))
    await shown(client, venue, "trade", trades(1, 2), trades(3))
    await shown(client, venue, "kline", candle(0, 1), candle(1, 2), candle(1, 3))
    first, second = values(client.messages, TICKER)
    assert (first["type"], second["type"]) == ("snapshot", "update")
    assert first["data"] == {"symbol": NAME, "markPrice": "1.0"}
    assert first["timestamp"] == NOON_MS + 1
    assert [one["tradeSeq"] for m in values(client.messages, TRADES) for one in m["data"]] == [1, 2, 3]
    late = await stage.client(gateway)
    await late.subscribe(f"ticker:{NAME}", f"kline:1m:{NAME}")
    assert (await late.data(TICKER))["data"]["markPrice"] == "2.0"
    running = await late.data(CANDLES)
    assert (running["type"], running["data"]["close"], running["data"]["confirmed"]) == (
        "snapshot",
        "3.0",
        False,
    )
    assert running["data"]["closeTime"] == NOON_MS + 2 * MINUTE_MS - 1
    await shown(late, venue, "kline", candle(2, 4))
    await late.data(CANDLES, count=3)
    assert candles(late) == [(1, 3, False), (1, 3, True), (2, 4, False)]
    assert candles(client)[-2:] == candles(late)[-2:]
    for stream in (TICKER, TRADES, CANDLES):
        assert len(judge(client.messages, stream)) == 1
    assert venue.opened == 1


async def test_a_channel_that_is_left_out_of_the_answer_is_rejected_and_the_others_stand(
    stage: Stage, venue: DeribitServer
) -> None:
    venue.unknown.add("NOPE-PERPETUAL")
    gateway = await gateway_on(stage, venue)
    client = await stage.client(gateway)
    answer = await client.subscribe(
        f"ticker:{NAME}", "ticker:NOPE-PERPETUAL", "ticker:nope", f"kline:4h:{NAME}"
    )
    assert answer["args"] == [f"ticker:{NAME}"]
    reasons = {one["arg"]: one["reason"] for one in answer["rejected"]}
    assert reasons["ticker:NOPE-PERPETUAL"] == (
        "deribit refused it: it knows no such channel; its answer leaves it out"
    )
    assert "upper-case" in reasons["ticker:nope"]
    assert "1m, 3m, 5m, 10m, 15m, 30m, 1h, 2h, 3h, 6h, 12h, 1d" in reasons[f"kline:4h:{NAME}"]
    assert [len(one["channels"]) for one in venue.asked("public/subscribe")] == [2]


async def test_a_busy_venue_leaves_a_subscription_pending_until_it_has_time(
    stage: Stage, venue: DeribitServer
) -> None:
    gateway = await gateway_on(stage, venue, SUBSCRIBE_TIMEOUT=0.5)
    venue.errors["public/subscribe"] = deque([BUSY])
    client = await stage.client(gateway)
    answer = await client.subscribe(f"ticker:{NAME}")
    assert answer["pending"] == [f"ticker:{NAME}"]
    await venue.cut()
    await client.status("live", TICKER)
    await shown(client, venue, "ticker", ticker(1))


async def test_a_cut_is_told_and_no_candle_that_was_open_then_is_called_closed(
    stage: Stage, venue: DeribitServer
) -> None:
    gateway = await gateway_on(stage, venue)
    client = await stage.client(gateway)
    await client.subscribe(f"ticker:{NAME}", f"trade:{NAME}", f"kline:1m:{NAME}")
    await shown(client, venue, "ticker", ticker(1))
    await shown(client, venue, "trade", trades(1))
    await shown(client, venue, "kline", candle(0, 1), candle(1, 2))
    seen = client.seen
    await venue.cut()
    for stream in (TICKER, TRADES, CANDLES):
        await client.status("reconnecting", stream, seen=seen)
        await client.status("live", stream, seen=seen)
    await shown(client, venue, "ticker", ticker(2))
    await shown(client, venue, "trade", trades(5))
    await shown(client, venue, "kline", candle(2, 3), candle(3, 4))
    await shown(client, venue, "kline", candle(4, 5))
    await client.data(CANDLES, count=6)
    assert candles(client) == [
        (0, 1, False), (1, 2, False), (2, 3, False), (3, 4, False), (3, 4, True), (4, 5, False),
    ]  # fmt: skip
    for stream, kinds in ((TICKER, ["snapshot"]), (TRADES, ["update"]), (CANDLES, ["update"] * 4)):
        runs = judge(client.messages, stream)
        assert [message["type"] for message in runs[1].values] == kinds
        gaps = [m for m in client.of(stream) if m["type"] == "gap"]
        assert len(gaps) == (0 if stream == TICKER else 1)


async def test_silence_is_stale_then_a_new_connection(stage: Stage, venue: DeribitServer) -> None:
    gateway = await gateway_on(stage, venue, TICKER_SILENCE=1)
    client = await stage.client(gateway)
    await client.subscribe(f"ticker:{NAME}", f"trade:{NAME}")
    await shown(client, venue, "ticker", ticker(1))
    seen = client.seen
    told = await client.status("reconnecting", TRADES, seen=seen)
    assert told["data"]["reason"] == "every topic that should have spoken is silent"
    assert states(client.messages, TICKER)[:2] == ["stale", "reconnecting"]
    await client.status("live", TICKER, seen=seen)
    assert venue.opened >= 2


async def test_a_topic_that_expired_while_the_connection_was_away_ends(
    stage: Stage, venue: DeribitServer
) -> None:
    gateway = await gateway_on(stage, venue)
    client = await stage.client(gateway)
    await client.subscribe(f"trade:{NAME}", "trade:ETH-PERPETUAL")
    venue.unknown.add(NAME)
    await venue.cut()
    told = await client.status("refused", TRADES)
    assert "its answer leaves it out" in told["data"]["reason"]
    await client.status("live", "mudrex.deribit.trade.ETH-PERPETUAL")


async def test_several_venues_in_one_gateway_and_tail_on_one_of_them(
    stage: Stage, venue: DeribitServer
) -> None:
    bybit = await stage.venue()
    gateway = await stage.gateway(
        bybit.url, "--venue", "bybit.linear", "--venue", "deribit", DERIBIT_WS_URL=venue.url, **QUICK
    )
    client = await stage.client(gateway)
    await client.subscribe("ticker:BTCUSDT", f"ticker:{NAME}@deribit")
    await client.data("mudrex.futures.ticker.BTCUSDT")
    await shown(client, venue, "ticker", ticker(1))
    tail = await stage.run("tail", f"ticker:{NAME}@deribit", "--url", gateway.url, "--count", "2")
    await gateway.shows(lambda stats: stats["connections"]["active_connections"] == 2, "tail is there")
    await gateway.shows(lambda stats: stats["pubsub"]["total_subscriptions"] == 3, "tail has subscribed")
    await venue.push(channel("ticker"), ticker(2))
    assert await tail.end() == 0, tail.text
    lines = [json.loads(line) for line in tail.output if line.startswith("{")]
    assert [(one["stream"], one["data"]["markPrice"]) for one in lines] == [(TICKER, "1.0"), (TICKER, "2.0")]
    health = (await gateway.get("/health")).body
    assert set(health["venues"]) == {"bybit.linear", "deribit"}
    upstream = (await gateway.stats())["upstream"]["clients"]
    assert upstream["deribit"]["subscribed_count"] == upstream["linear"]["subscribed_count"] == 1
    await venue.cut()
    await client.status("reconnecting", TICKER)
    assert states(client.messages, "mudrex.futures.ticker.BTCUSDT") == []
