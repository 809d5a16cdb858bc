"""Programs that listen to the Mudrex proxy's Redis, beside gateways that took the proxy's place."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Sequence
from typing import Any

from support import mudrex
from support.cluster import QUICK
from support.family import LIVELY, TICKER, TRADES
from support.processes import Client, Gateway, Stage
from support.redis import RedisServer
from support.redis_listener import Message, carried, holders, listening
from support.streams import is_slice, leaves, values
from support.waiting import until

COMPAT = {**QUICK, "REDIS_COMPAT": "mudrex"}
TICKERS_OF_PROXY = "mudrex:stream:ticker:BTCUSDT"
TRADES_OF_PROXY = "mudrex:stream:trade:BTCUSDT"
CANDLES_OF_PROXY = "mudrex:stream:kline:BTCUSDT"
STREAMS = {
    TICKERS_OF_PROXY: "acme.futures.ticker.BTCUSDT",
    TRADES_OF_PROXY: "acme.futures.trade.BTCUSDT",
    CANDLES_OF_PROXY: "acme.futures.kline.1.BTCUSDT",
}
HELD = {"ticker:BTCUSDT", "trade:BTCUSDT"}


async def in_redis(redis: RedisServer, entries: dict[str, int], members: set[str]) -> None:
    """Wait until hash and set are so."""

    def is_so() -> bool:
        return (holders(redis), carried(redis)) == (entries, members)

    await until(is_so, f"{entries} and {members}", deadline=20.0)


def plain(messages: Sequence[Message], stream: str) -> list[Message]:
    """The values that a client was sent, as the proxy wrote them; snapshots that repeat one are left out."""
    found: list[Message] = []
    last = (0, 0)
    epoch = 0
    for message in values(messages, stream):
        epoch = message.get("epoch", epoch)
        if (epoch, message["seq"]) > last:
            last = (epoch, message["seq"])
            found.append({key: message[key] for key in mudrex.ENVELOPE})
    return found


def once(messages: Sequence[Message]) -> None:
    """Each trade came once, and tickers in the order of the venue."""
    trades = [trade["id"] for m in messages if ".trade." in m["stream"] for trade in m["data"]]
    assert len(trades) == len(set(trades)), "a trade came twice"
    tickers = [(m["timestamp"], m["data"]) for m in messages if ".ticker." in m["stream"]]
    times = [at for at, _ in tickers]
    assert times == sorted(times), "an older ticker came after a newer one"
    assert all(tickers[at] not in tickers[:at] for at in range(len(tickers))), "a ticker came twice"


def ours(redis: RedisServer) -> list[Any]:
    """The keys in Redis that have the proxy's names."""
    keys = redis.ask("KEYS", "mudrex:*")
    assert isinstance(keys, list)
    return keys


async def wanting(stage: Stage, node: Gateway, *args: str) -> Client:
    client = await stage.client(node)
    await client.subscribe(*args)
    return client


async def two_nodes(stage: Stage, redis: RedisServer, venue_url: str) -> list[Gateway]:
    """Two nodes, and the lease is one's; their names are 0 and 1."""
    names = ("0", "1")
    nodes = [await stage.gateway(venue_url, REDIS_URL=redis.url, NODE_NAME=name, **COMPAT) for name in names]
    await until(lambda: holder_of(redis), "a node has the lease")
    return nodes


def holder_of(redis: RedisServer) -> str:
    """The name of the node that has the lease; empty: none."""
    answer = redis.ask("HGET", "feedmux:bybit.linear:lease", "holder")
    return answer.decode().split("/")[0] if isinstance(answer, bytes) else ""


async def test_a_plain_subscribe_hears_what_clients_get_as_the_proxy_wrote_it(
    stage: Stage, redis: RedisServer
) -> None:
    venue = await stage.venue(*LIVELY)
    node = await stage.gateway(venue.url, REDIS_URL=redis.url, BRAND="acme", **COMPAT)
    async with listening(redis, "SUBSCRIBE", TICKERS_OF_PROXY, TRADES_OF_PROXY, CANDLES_OF_PROXY) as listener:
        client = await wanting(
            stage, node, "ticker:BTCUSDT", "trade:BTCUSDT", "kline:1m:BTCUSDT", "kline:1h:BTCUSDT"
        )
        for channel, stream in STREAMS.items():
            await client.data(stream, count=7)
            mine = [as_proxied(message) for message in plain(client.messages, stream)[1:6]]
            await until(lambda: is_slice(mine, listener.of(channel)), f"{channel} has what clients got")  # noqa: B023
    keys = {TICKERS_OF_PROXY: mudrex.TICKER, TRADES_OF_PROXY: mudrex.TRADE, CANDLES_OF_PROXY: mudrex.CANDLE}
    for channel in STREAMS:
        for message in listener.of(channel):
            assert list(message) == mudrex.ENVELOPE
            data = message["data"]
            for item in data if isinstance(data, list) else [data]:
                assert list(item) == keys[channel]
            assert None not in list(leaves(message))
            assert (type(message["timestamp"]), message["source"]) == (int, "mudrex")
        kinds = [message["type"] for message in listener.of(channel)]
        first = "snapshot" if channel == TICKERS_OF_PROXY else "update"
        assert kinds == [first, *["update"] * (len(kinds) - 1)]


def as_proxied(message: Message) -> Message:
    return {**message, "stream": message["stream"].replace("acme", "mudrex", 1), "source": "mudrex"}


async def test_candles_of_every_interval_have_a_channel_of_their_own(
    stage: Stage, redis: RedisServer
) -> None:
    venue = await stage.venue(*LIVELY)
    node = await stage.gateway(venue.url, REDIS_URL=redis.url, **COMPAT)
    async with listening(redis, "PSUBSCRIBE", "mudrex:stream:*") as listener:
        await wanting(stage, node, "kline:1m:BTCUSDT", "kline:1d:BTCUSDT")
        for word, param in (("1m", "1"), ("1d", "D")):
            channel = f"mudrex:stream:kline:{word}:BTCUSDT"
            await listener.hears(channel, 1)
            (stream,) = {message["stream"] for message in listener.of(channel)}
            assert stream == f"mudrex.futures.kline.{param}.BTCUSDT"
    await in_redis(redis, {"kline:BTCUSDT": 2}, {"kline:BTCUSDT"})


async def test_only_the_first_market_has_the_proxys_names(stage: Stage, redis: RedisServer) -> None:
    venue = await stage.venue(*LIVELY)
    markets = ("--venue", "bybit.linear", "--venue", "bybit.spot")
    node = await stage.gateway(venue.url, *markets, REDIS_URL=redis.url, **COMPAT)
    async with listening(redis, "PSUBSCRIBE", "mudrex:*") as listener:
        client = await wanting(stage, node, "trade:BTCUSDT@bybit.spot")
        await client.data("mudrex.spot.trade.BTCUSDT", count=5)
        await client.subscribe("trade:BTCUSDT")
        await until(lambda: len(listener.heard) > 5)
        assert {m["stream"] for m in listener.of(TRADES_OF_PROXY)} == {TRADES}
    await in_redis(redis, {"trade:BTCUSDT": 1}, {"trade:BTCUSDT"})


async def test_hash_and_set_are_true_as_clients_come_and_go_and_empty_in_the_end(
    stage: Stage, redis: RedisServer
) -> None:
    venue = await stage.venue(*LIVELY)
    nodes = await two_nodes(stage, redis, venue.url)
    clients = [await wanting(stage, node, "ticker:BTCUSDT", "trade:BTCUSDT") for node in nodes]
    await in_redis(redis, dict.fromkeys(HELD, 2), HELD)
    await clients[0].unsubscribe("trade:BTCUSDT")
    await in_redis(redis, {"ticker:BTCUSDT": 2, "trade:BTCUSDT": 1}, HELD)
    await clients[0].subscribe("ticker:NOSUCHUSDT")
    await in_redis(redis, {"ticker:BTCUSDT": 2, "trade:BTCUSDT": 1}, HELD)
    for client in clients:
        await client.close()
    await in_redis(redis, {}, set())
    assert ours(redis) == []
    clients = [await wanting(stage, node, "ticker:BTCUSDT", "trade:BTCUSDT") for node in nodes]
    await in_redis(redis, dict.fromkeys(HELD, 2), HELD)
    await asyncio.gather(*(node.running.stop() for node in nodes))
    assert ours(redis) == []


async def test_another_node_takes_over_and_listeners_hear_nothing_twice(
    stage: Stage, redis: RedisServer
) -> None:
    venue = await stage.venue(*LIVELY)
    nodes = await two_nodes(stage, redis, venue.url)
    async with listening(redis, "SUBSCRIBE", TICKERS_OF_PROXY, TRADES_OF_PROXY) as listener:
        clients = [await wanting(stage, node, "ticker:BTCUSDT", "trade:BTCUSDT") for node in nodes]
        await asyncio.gather(*(client.data(TRADES, count=3) for client in clients))
        await in_redis(redis, dict.fromkeys(HELD, 2), HELD)
        owner = nodes[int(holder_of(redis))]
        owner.running.process.send_signal(signal.SIGKILL)
        other = clients[1 - nodes.index(owner)]
        await other.status("reconnecting", TICKER)
        seen = len(listener.heard)
        await other.data(TRADES, seen=other.seen, count=5)
        await until(lambda: len(listener.heard) > seen + 10, "the next owner is heard")
        await in_redis(redis, dict.fromkeys(HELD, 1), HELD)
    once(listener.of(TICKERS_OF_PROXY))
    once(listener.of(TRADES_OF_PROXY))
    snapshots = [m["type"] for m in listener.of(TICKERS_OF_PROXY)].count("snapshot")
    assert snapshots == 2, "one of each owner"


async def test_an_owner_that_was_stopped_says_nothing_afterwards(stage: Stage, redis: RedisServer) -> None:
    venue = await stage.venue(*LIVELY)
    nodes = await two_nodes(stage, redis, venue.url)
    async with listening(redis, "SUBSCRIBE", TICKERS_OF_PROXY, TRADES_OF_PROXY) as listener:
        clients = [await wanting(stage, node, "ticker:BTCUSDT", "trade:BTCUSDT") for node in nodes]
        await asyncio.gather(*(client.data(TRADES, count=3) for client in clients))
        owner = nodes[int(holder_of(redis))]
        other = nodes[1 - nodes.index(owner)]
        owner.running.process.send_signal(signal.SIGSTOP)
        await in_redis(redis, dict.fromkeys(HELD, 1), HELD)
        seen = len(listener.heard)
        await until(lambda: len(listener.heard) > seen + 10, "the next owner is heard")
        owner.running.process.send_signal(signal.SIGCONT)
        await in_redis(redis, dict.fromkeys(HELD, 2), HELD)
        assert nodes[int(holder_of(redis))] is other
        seen = len(listener.heard)
        await until(lambda: len(listener.heard) > seen + 10)
        await asyncio.gather(*(client.data(TRADES, seen=client.seen, count=5) for client in clients))
        await in_redis(redis, dict.fromkeys(HELD, 2), HELD)
    once(listener.of(TICKERS_OF_PROXY))
    once(listener.of(TRADES_OF_PROXY))


async def test_a_gateway_with_workers_is_heard_too(stage: Stage, redis: RedisServer) -> None:
    venue = await stage.venue(*LIVELY)
    settings: dict[str, Any] = {**COMPAT, "WORKERS": 2, "SHM_RING_BYTES": 1 << 20}
    node = await stage.gateway(venue.url, REDIS_URL=redis.url, **settings)
    async with listening(redis, "SUBSCRIBE", TRADES_OF_PROXY) as listener:
        client = await wanting(stage, node, "trade:BTCUSDT")
        await until(lambda: len(listener.heard) >= 5)
        await client.data(TRADES, count=5)
        await in_redis(redis, {"trade:BTCUSDT": 1}, {"trade:BTCUSDT"})
        await node.running.stop()
    assert ours(redis) == []
