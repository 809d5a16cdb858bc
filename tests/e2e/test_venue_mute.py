"""The venue is connected and says nothing, or is not there at all, or talks nonsense."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest

from support import truth
from support.processes import Client, Stage, Venue
from support.streams import judge, states, values
from support.waiting import eventually

BTC = "mudrex.futures.ticker.BTCUSDT"
ETH = "mudrex.futures.ticker.ETHUSDT"
TRADES = "mudrex.futures.trade.BTCUSDT"
CANDLES = "mudrex.futures.kline.1.BTCUSDT"
QUICK = {"BYBIT_RECONNECT_DELAY_MAX": 0.3, "BYBIT_PING_INTERVAL": 0.2, "BYBIT_PING_TIMEOUT": 10}


async def connections(venue: Venue) -> int:
    """How many connections to its markets the venue ever had."""
    count: int = (await venue.report())["connections_ever"]
    return count


async def test_a_mute_connection_is_replaced_although_its_pongs_come(stage: Stage) -> None:
    venue = await stage.venue()
    gateway = await stage.gateway(venue.url, TICKER_SILENCE=1.5, **QUICK)
    client = await stage.client(gateway)
    await client.subscribe("ticker:BTCUSDT", "trade:BTCUSDT")
    await client.data(BTC)
    await client.data(TRADES)
    seen = client.seen
    await venue.do("mute")
    for stream in (BTC, TRADES):
        told = await client.status("reconnecting", stream, seen=seen)
        assert told["data"]["reason"] == "every topic that should have spoken is silent"
    await client.status("live", BTC, seen=seen)
    assert values(client.messages[seen:], BTC)[1:] == []  # what was under way when it fell silent
    await venue.do("unmute")
    await client.data(BTC, seen=client.seen)
    await client.data(TRADES, seen=client.seen)
    assert await connections(venue) >= 2
    for stream in (BTC, TRADES):
        runs = judge(client.messages, stream)
        assert len(runs) >= 2
        assert runs[-1].values[0]["seq"] == 1
    assert judge(client.messages, BTC)[-1].values[0]["type"] == "snapshot"


async def test_a_venue_that_answers_nothing_is_replaced_until_it_does(stage: Stage) -> None:
    venue = await stage.venue()
    settings = QUICK | {"BYBIT_PING_TIMEOUT": 0.7}
    gateway = await stage.gateway(venue.url, **settings)
    client = await stage.client(gateway)
    await client.subscribe("ticker:BTCUSDT")
    await client.data(BTC)
    seen = client.seen
    await venue.do("mute", pongs=False)
    told = await client.status("reconnecting", seen=seen)
    assert told["data"]["reason"] == "no answer to the ping within 0.7 s"
    await eventually(lambda: connections(venue), lambda count: count >= 3, "it is tried again and again")
    assert states(client.messages, BTC) == ["reconnecting"]
    await venue.do("unmute")
    await venue.do("cut")
    await client.status("live", seen=seen)
    await client.data(BTC, seen=client.seen)
    assert [run.values[0]["type"] for run in judge(client.messages, BTC)] == ["snapshot", "snapshot"]


async def test_a_quiet_market_is_no_fault(stage: Stage) -> None:
    venue = await stage.venue("--trade-rate", "0")
    gateway = await stage.gateway(venue.url, TICKER_SILENCE=1, KLINE_SILENCE=1, **QUICK)
    client = await stage.client(gateway)
    answer = await client.subscribe("trade:BTCUSDT")
    assert answer["success"]
    assert "pending" not in answer

    async def pings() -> int:
        return int((await venue.requests())["ping"])

    await eventually(pings, lambda count: count >= 15, "three times as long as any topic may be silent")
    assert client.messages == [answer]
    assert await connections(venue) == 1
    assert (await gateway.get("/health")).body["status"] == "healthy"


async def test_one_mute_topic_among_live_ones_is_stale_until_it_speaks(stage: Stage) -> None:
    venue = await stage.venue()
    gateway = await stage.gateway(venue.url, TICKER_SILENCE=1.5, **QUICK)
    client = await stage.client(gateway)
    await client.subscribe("ticker:BTCUSDT", "ticker:ETHUSDT")
    await client.data(BTC)
    seen = client.seen
    await venue.do("mute", topics=["tickers.BTCUSDT"])
    told = await client.status("stale", seen=seen)
    assert told["stream"] == BTC
    assert told["data"] == {"state": "stale", "reason": "no ticker for 1.5 s"}
    health = (await gateway.get("/health")).body
    assert health["status"] == "degraded"
    assert health["reasons"] == ["1 topics are stale"]
    late = await stage.client(gateway)
    await late.subscribe("ticker:BTCUSDT")
    warned = await late.status("stale")
    last = await late.data(BTC)
    assert late.messages.index(warned) < late.messages.index(last)
    assert last["data"] == values(client.messages, BTC)[-1]["data"]
    await venue.do("unmute")
    await client.status("live", BTC, seen=seen)
    await client.data(BTC, seen=client.seen)
    assert states(client.messages, ETH) == []
    assert states(client.messages, BTC) == ["stale", "live"]
    assert len(judge(client.messages, BTC)) == 1
    assert len(judge(client.messages, ETH)) == 1
    assert await connections(venue) == 1


async def test_a_venue_that_is_down_at_the_start_is_waited_for(stage: Stage) -> None:
    venue = await stage.venue()
    tap = await stage.tap(venue)
    await tap.refuse(True)
    gateway = await stage.gateway(tap.url, SUBSCRIBE_TIMEOUT=0.5, **QUICK)
    client = await stage.client(gateway)
    loop = asyncio.get_running_loop()
    asked = loop.time()
    answer = await client.subscribe("ticker:BTCUSDT", "kline:7m:BTCUSDT")
    assert 0.4 < loop.time() - asked < 2.5
    assert answer["success"]
    assert answer["args"] == answer["pending"] == ["ticker:BTCUSDT"]
    assert [item["arg"] for item in answer["rejected"]] == ["kline:7m:BTCUSDT"]
    assert (await gateway.get("/ready")).status == 200
    await tap.refuse(False)
    live = await client.status("live")
    snapshot = await client.data(BTC)
    assert client.messages[:3] == [answer, live, snapshot]
    assert (snapshot["type"], snapshot["seq"]) == ("snapshot", 1)


async def test_a_venue_that_refuses_connections_for_a_while_is_tried_again(stage: Stage) -> None:
    venue = await stage.venue()
    gateway = await stage.gateway(venue.url, SUBSCRIBE_TIMEOUT=0.3, **QUICK)
    client = await stage.client(gateway)
    await client.subscribe("ticker:BTCUSDT")
    await client.data(BTC)
    await venue.do("refuse_connections")
    await venue.do("cut")
    await client.status("reconnecting")
    late = await stage.client(gateway)
    answer = await late.subscribe("ticker:BTCUSDT", "ticker:ETHUSDT")
    assert answer["pending"] == ["ticker:BTCUSDT", "ticker:ETHUSDT"]
    await late.status("reconnecting", BTC)

    async def refused() -> int:
        return int((await venue.report())["connections_refused"])

    await eventually(refused, lambda count: count >= 4, "it is tried again and again")
    await venue.do("refuse_connections", refuse=False)
    for reader in (client, late):
        await reader.status("live", BTC)
        assert (await reader.data(BTC, seen=reader.seen))["type"] in {"snapshot", "update"}
    await late.status("live", ETH)
    assert (await late.data(ETH))["seq"] == 1
    judge(client.messages, BTC)
    await venue.carries("tickers.BTCUSDT", "tickers.ETHUSDT")


async def agrees(venue: Venue, client: Client, stream: str, topic: str) -> None:
    """Wait until the client is shown the very state that the venue has."""
    seen = client.seen

    async def same() -> bool:
        state = (await venue.do("state", market="linear", topic=topic))["state"]
        data = truth.ticker(state)
        return any(message["data"] == data for message in values(client.messages[seen:], stream))

    await eventually(same, bool, f"{stream} shows what the venue has")


async def test_garbage_of_every_kind_does_not_stop_the_feed(stage: Stage) -> None:
    venue = await stage.venue(
        "--rate", "50", "--trade-rate", "20", "--kline-rate", "5", "--garbage-every", "20"
    )
    gateway = await stage.gateway(venue.url, **QUICK)
    client = await stage.client(gateway)
    await client.subscribe("ticker:BTCUSDT", "ticker:ETHUSDT", "trade:BTCUSDT", "kline:1m:BTCUSDT")

    async def spoilt() -> int:
        return int((await venue.report())["markets"]["linear"]["spoilt"])

    await eventually(spoilt, lambda count: count >= 25, "each kind of garbage came five times")
    for kind in ("truncated", "wrong-typed", "duplicated", "reordered", "non-json"):
        spoil = partial(venue.do, "garbage", kind=kind)
        await eventually(spoil, lambda answer: answer["topics"] == 4, f"{kind} came on every stream")
    seen = client.seen
    for stream in (BTC, ETH, TRADES, CANDLES):
        await client.data(stream, seen=seen, count=5)
    await agrees(venue, client, BTC, "tickers.BTCUSDT")
    await agrees(venue, client, ETH, "tickers.ETHUSDT")
    for stream in (BTC, ETH, TRADES, CANDLES):
        judge(client.messages, stream)


async def test_a_message_that_names_no_stream_may_have_been_of_any(stage: Stage) -> None:
    venue = await stage.venue("--rate", "25", "--trade-rate", "25")
    gateway = await stage.gateway(venue.url, **QUICK)
    client = await stage.client(gateway)
    await client.subscribe("ticker:BTCUSDT", "ticker:ETHUSDT", "trade:BTCUSDT")
    for stream in (BTC, ETH, TRADES):
        await client.data(stream, count=3)
    seen = client.seen
    await venue.do("garbage", kind="non-json", topic="tickers.BTCUSDT")
    for stream in (BTC, ETH, TRADES):
        await client.status("reconnecting", stream, seen=seen)
        await client.status("live", stream, seen=seen)
        await client.data(stream, seen=client.seen)
        judge(client.messages, stream)
    assert any(m["type"] == "gap" for m in client.of(TRADES))
    assert await connections(venue) == 2
    await agrees(venue, client, ETH, "tickers.ETHUSDT")


@pytest.mark.parametrize("kind", ["truncated", "wrong-typed"])
async def test_a_message_that_cannot_be_read_is_a_hole_that_clients_are_told_of(
    stage: Stage, kind: str
) -> None:
    venue = await stage.venue("--rate", "25", "--trade-rate", "25", "--kline-rate", "10")
    gateway = await stage.gateway(venue.url, **QUICK)
    client = await stage.client(gateway)
    await client.subscribe("ticker:BTCUSDT", "trade:BTCUSDT", "kline:1m:BTCUSDT")
    for stream, topic in ((BTC, "tickers"), (TRADES, "publicTrade"), (CANDLES, "kline.1")):
        await client.data(stream, count=3)
        seen = client.seen
        assert (await venue.do("garbage", kind=kind, topic=f"{topic}.BTCUSDT"))["topics"] == 1
        await client.status("live", stream, seen=seen)
        await client.data(stream, seen=client.seen)
        first, second = judge(client.messages, stream)
        told = [m["type"] for m in client.of(stream) if m["type"] not in {"update", "snapshot"}]
        assert told == (["status", "status"] if stream == BTC else ["gap", "status"])
        assert (second.values[0]["seq"], second.values[0]["type"]) == (
            1,
            "snapshot" if stream == BTC else "update",
        )
        assert first.values[-1]["seq"] >= 3
    assert await connections(venue) == 1
