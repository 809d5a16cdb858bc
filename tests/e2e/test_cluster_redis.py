"""Redis dies, sleeps, hangs up or is not there yet: no client is sent away, and everything heals by itself.

The node that has the venue's connection goes on serving its own clients; those of others are told.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from support.family import TICKER, TRADES
from support.nodes import ARGS, CANDLES, LIVELY, Node, Nodes, clients_of, silence_s, told
from support.processes import Stage
from support.redis import RedisServer

PATIENCE_S = 30.0
"""Redis is connected to again within five seconds, and a lease may be waited for after that."""


class Outage:
    """A cluster whose Redis is to go away."""

    def __init__(self, nodes: Nodes, owner: Node) -> None:
        self.nodes, self.redis, self.owner = nodes, nodes.redis, owner
        self.others = clients_of(nodes.others(owner))

    async def is_told(self) -> None:
        """Wait until the clients of the other nodes were told, and those of the owner served meanwhile."""
        await asyncio.gather(*(client.status("reconnecting", TICKER) for client in self.others))
        await self.nodes.flow(self.owner.clients)

    async def lapses(self) -> None:
        """Wait until the owner may not write any more, and serves its own clients all the same."""
        await self.is_told()
        await self.owner.running.line("lease_lost")
        await self.nodes.flow(self.owner.clients)

    async def is_over(self) -> None:
        """Wait until all clients are served again."""
        lives = (client.status("live", TICKER, deadline_s=PATIENCE_S) for client in self.others)
        await asyncio.gather(*lives)
        await self.nodes.flow(deadline_s=PATIENCE_S)


def longest(outage: Outage) -> str:
    """How long the one that waited longest was without a value."""
    return f"clients of other nodes were without values for {max(map(silence_s, outage.others)):.2f} s"


async def test_the_owner_goes_on_with_its_connection_when_redis_was_killed_and_is_back(
    stage: Stage, redis: RedisServer, say: Callable[[str], None]
) -> None:
    nodes = await Nodes.start(stage, redis, 3)
    outage = Outage(nodes, await nodes.owner())
    redis.kill()
    await outage.is_told()
    await redis.restart()
    await outage.is_over()
    await nodes.is_one()
    assert await nodes.owner() is outage.owner
    assert (await nodes.venue.report())["connections_ever"] == 1
    nodes.check()
    for client in outage.owner.clients:
        assert told(client.messages, TICKER) == told(client.messages, CANDLES) == ["snapshot", "values"]
        assert told(client.messages, TRADES) == ["values"]
    for client in outage.others:
        assert told(client.messages, TRADES) == ["values", "reconnecting", "gap", "live", "values"]
    say(f"Redis killed and started again at once: {longest(outage)}")


async def is_killed(outage: Outage) -> None:
    """It stays away until the lease is over, and has forgotten everything when it is back."""
    outage.redis.kill()
    await outage.lapses()
    await outage.redis.restart()


async def sleeps(outage: Outage) -> None:
    """It answers nobody for ten seconds."""
    with outage.redis.sleep(10):
        await outage.lapses()


@pytest.mark.parametrize("goes", [is_killed, sleeps])
async def test_a_redis_that_was_away_for_longer_than_a_lease_gives_it_to_one_of_them(
    stage: Stage, redis: RedisServer, say: Callable[[str], None], goes: Callable[[Outage], Awaitable[None]]
) -> None:
    nodes = await Nodes.start(stage, redis, 3)
    outage = Outage(nodes, await nodes.owner())
    await goes(outage)
    await outage.is_over()
    await nodes.is_one()
    nodes.check()
    for client in outage.owner.clients:
        cuts = told(client.messages, TRADES)
        assert cuts in (["values"], ["values", "reconnecting", "gap", "live", "values"])
    say(f"Redis {goes.__name__.replace('_', ' ')} for longer than a lease lasts: {longest(outage)}")


async def test_connections_that_redis_ends_are_made_again(stage: Stage, redis: RedisServer) -> None:
    nodes = await Nodes.start(stage, redis, 2)
    owner = await nodes.owner()
    for _ in range(3):
        for kind in ("normal", "pubsub"):
            assert redis.kill_clients(kind) >= len(nodes.all)
            await nodes.flow(count=3)
    await nodes.is_one()
    assert await nodes.owner() is owner
    assert (await nodes.venue.report())["connections_ever"] == 1
    nodes.check()
    for client in owner.clients:
        assert told(client.messages, TRADES) == ["values"]
    for client in clients_of(nodes.others(owner)):
        words = [word for word in told(client.messages, TRADES) if word != "values"]
        assert words[:2] == ["reconnecting", "gap"]
        assert words[-1] == "live"


async def test_a_redis_that_is_not_there_yet_keeps_no_node_from_its_clients(
    stage: Stage, redis: RedisServer
) -> None:
    redis.kill()
    venue = await stage.venue(*LIVELY)
    nodes = Nodes(stage, redis, venue, await stage.tap(venue), {"SUBSCRIBE_TIMEOUT": 0.5, "LEASE_TTL": 1})
    for node in await asyncio.gather(nodes.join(), nodes.join()):
        assert (await node.get("/ready")).status == 200
        client = await stage.client(node)
        node.clients.append(client)
        answer = await client.subscribe(*ARGS)
        assert answer["success"]
        assert answer["pending"] == list(ARGS)
    assert not await venue.topics()
    await redis.restart()
    await nodes.flow(deadline_s=PATIENCE_S)
    await nodes.is_one()
    nodes.check()
    for client in nodes.clients:
        assert told(client.messages, TICKER) == ["live", "snapshot", "values"]
