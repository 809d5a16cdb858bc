"""A client that does not read what it asked for costs nobody else anything."""

from __future__ import annotations

import asyncio
from itertools import pairwise

from support.processes import Gateway, Stage
from support.streams import judge, of, values

MEGABYTE = 1024 * 1024
TICKERS = [f"mudrex.futures.ticker.{symbol}USDT" for symbol in ("BTC", "ETH")]
QUICK = {"CLOSE_TIMEOUT": 0.5}


async def waits(gateway: Gateway) -> None:
    """Wait until a client has filled its socket."""
    await gateway.shows(lambda body: body["slow_clients"]["now"] == 1, "a client is slow")


async def test_one_that_reads_nothing_is_closed_and_fifty_others_notice_nothing(stage: Stage) -> None:
    venue = await stage.venue("--rate", "20", "--trade-rate", "5000")
    gateway = await stage.gateway(
        venue.url, FANOUT_CALLBACK_TIMEOUT=30, OUTBOX_MAX_BYTES=MEGABYTE // 2, SLOW_POLICY="close", **QUICK
    )
    others = await asyncio.gather(*(stage.client(gateway) for _ in range(50)))
    await asyncio.gather(*(other.subscribe("ticker:BTCUSDT", "ticker:ETHUSDT") for other in others))
    await asyncio.gather(*(other.data(TICKERS[1]) for other in others))
    before = gateway.running.memory_bytes()
    slow = await stage.deaf(gateway, "trade:SOLUSDT", "trade:XRPUSDT", "ticker:BTCUSDT", "ticker:ETHUSDT")
    await waits(gateway)
    seen = [other.seen for other in others]
    body = await gateway.shows(lambda body: "4008" in body["closed_by_code"], "the slow one is closed")
    assert body["closed_by_code"] == {"4008": 1}
    assert body["slow_clients"]["conflated"] > 0
    assert gateway.running.memory_bytes("VmHWM") - before < 16 * MEGABYTE
    await gateway.shows(lambda body: body["connections"]["active_connections"] == 50, "it is gone")
    after = await gateway.stats()
    assert after["slow_clients"]["now"] == after["slow_clients"]["waiting_bytes"] == 0
    await venue.carries("tickers.BTCUSDT", "tickers.ETHUSDT")
    await slow.read_until_end()
    assert slow.ended
    for other, from_here in zip(others, seen, strict=True):
        for stream in TICKERS:
            assert len(values(other.messages[from_here:], stream)) >= 10
            (run,) = judge(other.messages, stream)
            assert run.values[-1]["seq"] - run.values[0]["seq"] == len(run.values) - 1
        assert other.closed is None


async def test_one_that_reads_again_gets_the_newest_values_and_no_old_ones(stage: Stage) -> None:
    venue = await stage.venue("--rate", "500", "--seed", "7")
    gateway = await stage.gateway(venue.url, FANOUT_CALLBACK_TIMEOUT=60, **QUICK)
    fast = await stage.client(gateway)
    symbols = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT", "DOGEUSDT")
    await fast.subscribe("ticker:BTCUSDT")
    slow = await stage.deaf(gateway, *(f"ticker:{symbol}" for symbol in symbols))
    await gateway.shows(lambda body: body["slow_clients"]["conflated"] > 500, "values replace older ones")
    newest = fast.messages[-1]
    async with asyncio.timeout(15):
        while not any(m["seq"] >= newest["seq"] for m in values(slow.messages, TICKERS[0])):
            await slow.read()
    shown = values(slow.messages, TICKERS[0])
    seqs = [message["seq"] for message in shown]
    assert seqs == sorted(set(seqs)), "never an older value after a newer one"
    jumps = [later - earlier for earlier, later in pairwise(seqs) if later > earlier + 1]
    assert jumps, "what was replaced shows as a jump"
    by_seq = {message["seq"]: message["data"] for message in fast.of(TICKERS[0])}
    assert all(by_seq[message["seq"]] == message["data"] for message in shown if message["seq"] in by_seq)
    assert {message["type"] for message in of(slow.messages, TICKERS[0])} <= {"snapshot", "update"}
    await gateway.shows(lambda body: body["connections"]["active_connections"] == 2, "both are there")
    judge(fast.messages, TICKERS[0])


async def test_one_that_stays_stalled_is_closed_in_time_although_little_waits(stage: Stage) -> None:
    venue = await stage.venue("--rate", "500")
    gateway = await stage.gateway(
        venue.url, FANOUT_CALLBACK_TIMEOUT=0.7, OUTBOX_MAX_BYTES=64 * MEGABYTE, **QUICK
    )
    fast = await stage.client(gateway)
    await fast.subscribe("ticker:BTCUSDT")
    slow = await stage.deaf(gateway, "ticker:BTCUSDT", "ticker:ETHUSDT", "ticker:SOLUSDT", "ticker:XRPUSDT")
    body = await gateway.shows(lambda body: body["closed_by_code"], "the stalled one is closed")
    assert body["closed_by_code"] == {"4008": 1}
    await slow.read_until_end()
    assert await gateway.shows(lambda body: body["connections"]["active_connections"] == 1, "it is gone")
    await fast.data(TICKERS[0], seen=fast.seen)
    judge(fast.messages, TICKERS[0])


async def test_one_that_asks_and_asks_and_does_not_read_is_dropped(stage: Stage) -> None:
    venue = await stage.venue()
    gateway = await stage.gateway(
        venue.url, MAX_MESSAGE_RATE_PER_CLIENT=100_000, MAX_SUBSCRIPTIONS_PER_CLIENT=100_000, **QUICK
    )
    fast = await stage.client(gateway)
    await fast.subscribe("ticker:BTCUSDT")
    before = gateway.running.memory_bytes()
    greedy = await stage.deaf(gateway, "ticker:BTCUSDT")

    async def ask() -> None:
        while True:
            await greedy.send({"op": "ping"})

    asking = asyncio.create_task(ask())
    body = await gateway.shows(lambda body: body["closed_by_code"], "it is dropped")
    assert body["closed_by_code"] == {"4008": 1}
    await asyncio.wait({asking}, timeout=15)
    assert isinstance(asking.exception(), OSError)
    assert gateway.running.memory_bytes("VmHWM") - before < 16 * MEGABYTE
    await fast.data(TICKERS[0], seen=fast.seen)
    judge(fast.messages, TICKERS[0])
