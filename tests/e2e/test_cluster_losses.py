"""The node that has the venue's connection dies, goes or stops: another one follows, and clients are told."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable

from support.family import TICKER, TRADES
from support.nodes import CANDLES, Node, Nodes, clients_of, silence_s, told
from support.processes import Client, Stage
from support.redis import RedisServer

CUT = ["values", "reconnecting", "gap", "live"]
"""What a client is told of each stream when another node follows; of a candle each value is whole."""


async def follows(nodes: Nodes, former: Node) -> list[Client]:
    """Wait until the clients of all other nodes are served by another owner; these clients."""
    clients = clients_of(nodes.others(former))
    assert await nodes.owner(former) is not former
    await asyncio.gather(*(client.status("live", TICKER) for client in clients))
    await nodes.flow(clients)
    return clients


def check(nodes: Nodes, clients: list[Client]) -> None:
    """Each of them was cut once, and told so; there is one epoch before and one after."""
    for client, runs in zip(clients, nodes.check(clients), strict=True):
        assert told(client.messages, TICKER) == ["snapshot", *CUT, "snapshot", "values"]
        assert told(client.messages, TRADES) == [*CUT, "values"]
        candles = [word for word in told(client.messages, CANDLES) if word != "snapshot"]
        assert candles == [*CUT, "values"]
        for before, after in runs.values():
            assert before.epoch is None or after.epoch is None or before.epoch < after.epoch


def longest(clients: list[Client]) -> str:
    """How long the one that waited longest was without a value."""
    return f"clients of other nodes were without values for {max(map(silence_s, clients)):.2f} s"


async def test_another_node_follows_the_one_that_was_killed_under_load(
    stage: Stage, redis: RedisServer, say: Callable[[str], None]
) -> None:
    nodes = await Nodes.start(stage, redis, 3, clients=5)
    former = await nodes.owner()
    former.signal(signal.SIGKILL)
    clients = await follows(nodes, former)
    await nodes.is_one()
    check(nodes, clients)
    say(f"kill -9 of the owner: {longest(clients)}")
    again = await nodes.join()
    late = await nodes.client(again, "ticker:BTCUSDT")
    assert told(late.messages, TICKER)[:1] in ([], ["snapshot"])
    assert (await late.data(TICKER))["type"] == "snapshot"


async def test_a_node_that_ends_hands_over_before_its_time_is_over(
    stage: Stage, redis: RedisServer, say: Callable[[str], None]
) -> None:
    nodes = await Nodes.start(stage, redis, 3, clients=3, DRAIN_SECONDS=0.1)
    former = await nodes.owner()
    former.signal(signal.SIGTERM)
    clients = await follows(nodes, former)
    assert await former.running.end() == 0
    for client in former.clients:
        assert await client.end() == (1001, "Server going away")
    await nodes.is_one()
    check(nodes, clients)
    say(f"SIGTERM of the owner: {longest(clients)}")


async def test_a_reader_that_ends_is_missed_by_nobody(stage: Stage, redis: RedisServer) -> None:
    nodes = await Nodes.start(stage, redis, 3, clients=2)
    killed, ended = nodes.others(await nodes.owner())
    alone = await nodes.client(killed, "ticker:ETHUSDT")
    await alone.data("mudrex.futures.ticker.ETHUSDT")
    killed.signal(signal.SIGKILL)
    assert await ended.running.stop() == 0
    left = clients_of(nodes.others(killed, ended))
    await nodes.is_one()  # what only the killed one wanted goes with it
    await nodes.flow(left)
    for runs in nodes.check(left):
        assert [len(several) for several in runs.values()] == [1, 1, 1]


async def test_an_owner_that_was_stopped_for_longer_than_its_time_becomes_a_reader(
    stage: Stage, redis: RedisServer, say: Callable[[str], None]
) -> None:
    nodes = await Nodes.start(stage, redis, 3, clients=3)
    former = await nodes.owner()
    former.signal(signal.SIGSTOP)
    others = await follows(nodes, former)
    seen = [client.seen for client in former.clients]
    former.signal(signal.SIGCONT)
    for client, number in zip(former.clients, seen, strict=True):
        await client.status("live", TICKER, seen=number)
    await nodes.flow()
    await nodes.is_one()
    check(nodes, nodes.clients)
    say(f"SIGSTOP of the owner: {longest(others)}")
