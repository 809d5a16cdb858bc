"""Nodes of a cluster: real processes around a real Redis, and one venue that counts its connections."""

from __future__ import annotations

import asyncio
import signal

from support.cluster import QUICK, owner_of
from support.family import LIVELY, TICKER, TRADES
from support.processes import Stage
from support.redis import RedisServer
from support.streams import judge


async def test_all_nodes_serve_one_subscription_and_the_same_values(stage: Stage, redis: RedisServer) -> None:
    venue = await stage.venue(*LIVELY)
    nodes = [await stage.gateway(venue.url, REDIS_URL=redis.url, **QUICK) for _ in range(3)]
    clients = [await stage.client(node) for node in nodes for _ in range(2)]
    await asyncio.gather(*(client.subscribe("ticker:BTCUSDT", "trade:BTCUSDT") for client in clients))
    await venue.carries("tickers.BTCUSDT", "publicTrade.BTCUSDT")
    await asyncio.gather(*(client.data(TRADES, count=20) for client in clients))
    values: dict[int, object] = {}
    for client in clients:
        for run in judge(client.messages, TICKER):
            for value in run.values:
                assert values.setdefault(value["seq"], value["data"]) == value["data"]
        assert len(judge(client.messages, TRADES)) == 1


async def test_another_node_takes_over_from_one_that_was_killed(stage: Stage, redis: RedisServer) -> None:
    venue = await stage.venue(*LIVELY)
    nodes = [await stage.gateway(venue.url, REDIS_URL=redis.url, **QUICK) for _ in range(2)]
    clients = [await stage.client(node) for node in nodes]
    await asyncio.gather(*(client.subscribe("ticker:BTCUSDT", "trade:BTCUSDT") for client in clients))
    await asyncio.gather(*(client.data(TRADES, count=3) for client in clients))
    owner = await owner_of(nodes)
    owner.running.process.send_signal(signal.SIGKILL)
    other = clients[1 - nodes.index(owner)]
    await other.status("reconnecting", TICKER)
    await other.status("live", TICKER)
    await other.data(TRADES, seen=other.seen, count=5)
    assert len(judge(other.messages, TICKER)) == 2
    assert len(judge(other.messages, TRADES)) == 2
