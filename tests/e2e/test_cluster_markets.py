"""Nodes with workers, and markets whose connections are on different nodes."""

from __future__ import annotations

import asyncio
import signal

from support import family
from support.family import TICKER, TRADES, children, crowd
from support.nodes import LINEAR, LIVELY, Nodes, clients_of, told, was_there
from support.processes import Stage
from support.redis import RedisServer
from support.streams import judge

SPOT = "bybit.spot"
SPOT_TICKER = "mudrex.spot.ticker.BTCUSDT"
SPOT_ARG = "ticker:BTCUSDT@bybit.spot"


async def test_workers_of_several_nodes_serve_one_subscription(stage: Stage, redis: RedisServer) -> None:
    nodes = await Nodes.start(stage, redis, 2, clients=0, **family.QUICK)
    for node in nodes.all:
        for some in (await crowd(stage, node, 6)).values():
            node.clients += some
    await nodes.venue.carries("tickers.BTCUSDT", "publicTrade.BTCUSDT")
    await asyncio.gather(*(client.data(TRADES, count=20) for client in nodes.clients))
    nodes.check()
    assert (await nodes.venue.report())["connections_ever"] == 1
    owner = await nodes.owner()
    before = nodes.lease(LINEAR, "epoch")
    children(owner)["the feed process"].kill()
    for client in nodes.clients:
        await client.status("reconnecting", TICKER)
        await client.status("live", TICKER)
    await asyncio.gather(*(client.data(TRADES, seen=client.seen, count=5) for client in nodes.clients))
    await nodes.venue.carries("tickers.BTCUSDT", "publicTrade.BTCUSDT")
    assert nodes.lease(LINEAR, "epoch") > before
    nodes.check()
    assert (await nodes.venue.report())["connections_ever"] == 2
    for client in nodes.clients:
        assert told(client.messages, TRADES) == ["values", "reconnecting", "gap", "live", "values"]


async def test_markets_whose_connections_are_on_different_nodes(stage: Stage, redis: RedisServer) -> None:
    was_there(redis, LINEAR, SPOT)
    venue = await stage.venue(*LIVELY)
    nodes = Nodes(stage, redis, venue, await stage.tap(venue), {})
    first = await nodes.join(VENUES=LINEAR)
    assert await nodes.owner() is first
    second = await nodes.join(VENUES=f"{LINEAR},{SPOT}")
    assert await nodes.owner(market=SPOT) is second
    third = await nodes.join(VENUES=f"{LINEAR},{SPOT}")
    for node in (second, third):
        for _ in range(2):
            await nodes.client(node, "ticker:BTCUSDT", "trade:BTCUSDT", SPOT_ARG)
    await nodes.client(first, "ticker:BTCUSDT", "trade:BTCUSDT")
    both = clients_of((second, third))
    await asyncio.gather(*(client.data(SPOT_TICKER, count=10) for client in both))
    await asyncio.gather(*(client.data(TRADES, count=10) for client in nodes.clients))
    await venue.carries("tickers.BTCUSDT", market="spot")
    await venue.carries("tickers.BTCUSDT", "publicTrade.BTCUSDT")
    nodes.check()
    for client in both:
        assert len(judge(client.messages, SPOT_TICKER)) == 1
    assert (await venue.report())["connections_ever"] == 2
    second.signal(signal.SIGKILL)
    await nodes.owner(second, market=SPOT)
    for client in third.clients:
        await client.status("live", SPOT_TICKER)
        await client.data(SPOT_TICKER, seen=client.seen, count=5)
        assert len(judge(client.messages, SPOT_TICKER)) == 2
        assert told(client.messages, TRADES) == ["values"]  # of the other market it knows nothing
    nodes.check(clients_of((first, third)))
