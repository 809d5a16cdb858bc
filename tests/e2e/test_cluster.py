"""Nodes of a cluster: real processes around a real Redis, and one venue that counts its connections."""

from __future__ import annotations

import asyncio

from support.cluster import QUICK
from support.family import TICKER, TRADES
from support.nodes import CANDLES, LIVELY, TOPICS, Nodes, told
from support.processes import Stage
from support.redis import RedisServer
from support.streams import judge

OTHERS = "mudrex.futures.trade.ETHUSDT"


async def test_nodes_that_begin_a_cluster_find_out_who_asks_the_venue(
    stage: Stage, redis: RedisServer
) -> None:
    venue = await stage.venue(*LIVELY)
    gateways = [await stage.gateway(venue.url, REDIS_URL=redis.url, **QUICK) for _ in range(2)]
    clients = [await stage.client(gateway) for gateway in gateways]
    await asyncio.gather(*(client.subscribe("ticker:BTCUSDT", "trade:BTCUSDT") for client in clients))
    await asyncio.gather(*(client.data(TRADES, count=3) for client in clients))
    await venue.carries("tickers.BTCUSDT", "publicTrade.BTCUSDT")
    assert (await venue.report())["connections_ever"] == 1
    for client in clients:
        assert len(judge(client.messages, TICKER)) == len(judge(client.messages, TRADES)) == 1


async def test_all_nodes_serve_one_subscription_and_each_message_once(
    stage: Stage, redis: RedisServer
) -> None:
    nodes = await Nodes.start(stage, redis, 3, clients=5)
    await nodes.is_one()
    await nodes.flow(count=20)
    requests = await nodes.venue.requests()
    assert requests["subscribe"] <= len(TOPICS)
    for runs in nodes.check():
        assert [len(several) for several in runs.values()] == [1, 1, 1]
    assert (await nodes.venue.report())["connections_ever"] == 1


async def test_a_topic_is_given_back_with_its_last_reader_on_any_node(
    stage: Stage, redis: RedisServer
) -> None:
    nodes = await Nodes.start(stage, redis, 3, clients=1)
    first, second, third = nodes.clients
    await second.unsubscribe("trade:BTCUSDT", "kline:1m:BTCUSDT")
    await third.unsubscribe("ticker:BTCUSDT", "kline:1m:BTCUSDT")
    await third.subscribe("trade:ETHUSDT")
    left = len(second.of(TRADES)), len(second.of(CANDLES)), len(third.of(TICKER))
    await first.unsubscribe("kline:1m:BTCUSDT")
    await nodes.venue.carries("tickers.BTCUSDT", "publicTrade.BTCUSDT", "publicTrade.ETHUSDT")
    await asyncio.gather(third.data(OTHERS, count=5), first.data(TICKER, seen=first.seen, count=20))
    await first.unsubscribe("ticker:BTCUSDT", "trade:BTCUSDT")
    assert not first.of(OTHERS)
    assert not second.of(OTHERS)
    assert left == (len(second.of(TRADES)), len(second.of(CANDLES)), len(third.of(TICKER)))
    nodes.check()
    await second.unsubscribe("ticker:BTCUSDT")
    await third.socket.close()
    await nodes.venue.carries()
    assert (await nodes.venue.report())["connections_ever"] == 1


async def test_who_comes_late_gets_the_present_at_once_on_any_node(stage: Stage, redis: RedisServer) -> None:
    nodes = await Nodes.start(stage, redis, 2, clients=1)
    await nodes.venue.do("mute")  # so that nothing but a snapshot can come
    late = await nodes.join()
    assert (await late.get("/ready")).status == 200
    for node in nodes.all:
        for _ in range(3):
            client = await nodes.stage.client(node)
            answer = await client.subscribe("ticker:BTCUSDT", "kline:1m:BTCUSDT", "trade:BTCUSDT")
            assert answer["rejected"] is None, answer
            assert "pending" not in answer
            await client.data(TICKER)
            await client.data(CANDLES)
            assert told(client.messages, TICKER) == told(client.messages, CANDLES) == ["snapshot"]
            node.clients.append(client)
    await nodes.venue.do("unmute")
    await nodes.flow(count=3)
    for runs in nodes.check():
        assert [len(several) for several in runs.values()] == [1, 1, 1]
    assert (await nodes.venue.report())["connections_ever"] == 1
