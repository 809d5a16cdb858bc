"""The last client leaves and comes back, again and again: nothing is left of it anywhere."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final

from feedmux.bus.redis_config import RedisConfig
from feedmux.bus.redis_node import RedisNode
from feedmux.bus.redis_source import RedisSource
from feedmux.client.clock import SystemClock
from feedmux.core.lease import Terms
from feedmux.feed import market as markets
from feedmux.feed.shard import ShardConfig
from feedmux.sim.bybit import BybitSim
from feedmux.sim.options import SimOptions
from support.envelopes import TICKER as TICKER_TOPIC
from support.envelopes import TRADES as TRADES_TOPIC
from support.family import TICKER
from support.feeds import QUICK
from support.nodes import LINEAR, Node, Nodes, was_there
from support.processes import Client, Stage
from support.published import Published
from support.redis import RedisServer
from support.waiting import eventually, until

TIMES: Final = 1000
WARM: Final = 300
GROWTH_BYTES: Final = 4 << 20
FEW: Final = 5
"""Sockets that were closed a moment ago may still be there."""
ARGS: Final = ("ticker:BTCUSDT", "trade:BTCUSDT")


async def comes_and_goes(nodes: Nodes, node: Node, client: Client, times: int) -> Client:
    """The only client of a node subscribes and leaves so often; now and then it hangs up instead."""
    for turn in range(times):
        answer = await client.subscribe(*ARGS)
        assert answer["success"], answer
        if turn % 50:
            await client.unsubscribe(*ARGS)
        else:
            await client.close()
            client = await nodes.stage.client(node)
    return client


@asynccontextmanager
async def are_healthy(nodes: Nodes) -> AsyncIterator[None]:
    """Ask all nodes as long as the block lasts, from when they are."""

    async def health(node: Node) -> tuple[int, str]:
        answer = await node.get("/health")
        return answer.status, answer.body["status"]

    async def stays(node: Node) -> None:
        while not is_over.is_set():
            assert await health(node) == (200, "healthy"), (await node.get("/health")).body
            await asyncio.sleep(0.02)

    for node in nodes.all:
        await eventually(lambda node=node: health(node), (200, "healthy").__eq__, "it is healthy")  # type: ignore[misc]
    is_over = asyncio.Event()
    async with asyncio.TaskGroup() as asking:
        for node in nodes.all:
            asking.create_task(stays(node))
        yield
        is_over.set()


def left_in(redis: RedisServer) -> tuple[Any, set[Any]]:
    """How many keys there are, and the channels that somebody listens to."""
    channels = redis.ask("PUBSUB", "CHANNELS")
    assert isinstance(channels, list)
    return redis.ask("DBSIZE"), set(channels)


async def test_a_thousand_times_leave_nothing_in_redis_nor_in_the_nodes(
    stage: Stage, redis: RedisServer
) -> None:
    nodes = await Nodes.start(
        stage, redis, 2, clients=0, UNSUBSCRIBE_LINGER=0, MAX_MESSAGE_RATE_PER_CLIENT=1_000_000
    )
    await until(lambda: redis.subscribers(f"feedmux:{LINEAR}:asks", f"feedmux:{LINEAR}:writer") == [1, 2])
    await until(lambda: redis.ask("EXISTS", *(f"feedmux:node:{node.name}" for node in nodes.all)) == 2)
    before = left_in(redis)
    async with are_healthy(nodes):
        clients = [await stage.client(node) for node in nodes.all]
        sizes = []
        for times in (WARM, TIMES - WARM):
            turns = (comes_and_goes(nodes, *pair, times) for pair in zip(nodes.all, clients, strict=True))
            clients = await asyncio.gather(*turns)
            await nodes.venue.carries()
            sizes.append([(node.running.memory_bytes(), node.running.descriptors()) for node in nodes.all])
        for _ in range(3):  # as often the venue is asked anew
            await asyncio.gather(*(client.subscribe(*ARGS) for client in clients))
            await asyncio.gather(*(client.data(TICKER, seen=client.seen) for client in clients))
            await asyncio.gather(*(client.unsubscribe(*ARGS) for client in clients))
            await nodes.venue.carries()
    for (memory, descriptors), (most, at_most) in zip(*sizes, strict=True):
        assert most - memory < GROWTH_BYTES, sizes
        assert at_most - descriptors < FEW, sizes

    async def left() -> tuple[Any, set[Any]]:
        return left_in(redis)

    await eventually(left, before.__eq__, f"as at the start: {before}")
    assert (await nodes.venue.report())["connections_ever"] == 1


@asynccontextmanager
async def pair(redis: RedisServer, sim: BybitSim) -> AsyncIterator[list[RedisSource]]:
    """Two nodes in this process, and what each of them sees instead of a feed."""
    was_there(redis)
    clock = SystemClock()
    market = markets.bybit("linear", sim.url(), QUICK, ShardConfig())
    make_feed = partial(markets.driver, market, clock=clock, linger_s=0.0, refused_memory_s=60.0)
    config = RedisConfig(host="127.0.0.1", port=redis.port)
    nodes = [RedisNode(config, prefix="feedmux", name=name, terms=Terms(), clock=clock) for name in "ab"]
    sources = [node.source(market.place, make_feed, Published()) for node in nodes]
    parts: list[RedisNode | RedisSource] = [*nodes, *sources]
    running = [asyncio.ensure_future(part.run()) for part in parts]
    try:
        yield sources
    finally:
        for source in sources:
            source.close()
        await asyncio.wait_for(asyncio.gather(*running), 10)


async def test_a_thousand_times_leave_no_task(redis: RedisServer) -> None:
    sim = BybitSim(SimOptions(rate=50.0, trade_rate=50.0))
    await sim.start()
    async with pair(redis, sim) as sources:
        topics = (TICKER_TOPIC, TRADES_TOPIC)

        def floor() -> Any:
            markets: Any = sim.statistics()["markets"]
            return markets["linear"]

        def shows(topics: int) -> bool:
            figures: list[Any] = [source.statistics()["cluster"] for source in sources]
            return all(one["reader"]["connected"] for one in figures) and len(floor()["topics"]) == topics

        await until(lambda: shows(0), "both read")
        before = len(asyncio.all_tasks())
        for turn in range(TIMES):
            for source in sources:
                for topic in topics:
                    source.want(topic, "hub")
            if turn % 100 == 0:
                await until(lambda: shows(2), "both are subscribed to")
            for source in sources:
                source.forget("hub")
            if turn % 100 == 50:
                await until(lambda: shows(0), "none is subscribed to")
            await asyncio.sleep(0)
        await until(lambda: shows(0), "none is subscribed to")
        await until(lambda: len(asyncio.all_tasks()) == before, f"{before} tasks, as before")
    await sim.stop()
