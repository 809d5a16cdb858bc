"""The owner is cut off from Redis alone: it stops in time, another follows, it becomes a reader.

A partition lasts until another node has followed, or ``FEEDMUX_PARTITION_S`` seconds where that is longer
(``make partition``).
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

import pytest

from feedmux.sim.faults import FaultProxy
from support.family import TICKER, TRADES
from support.nodes import ARGS, LINEAR, LIVELY, Node, Nodes, clients_of, silence_s, told, was_there
from support.overhearing import Overhearing
from support.processes import Stage
from support.redis import RedisServer

LASTS_S: Final = float(os.environ.get("FEEDMUX_PARTITION_S", "0"))
PATIENCE_S: Final = 30.0
TTL_S: Final = 3.0


class Parting(FaultProxy):
    """What stands between a node and Redis."""

    deaf = False
    """Whether what Redis says is lost, while what it is told arrives."""

    def allow(self, lane: str, piece: bytes) -> bytes:
        return super().allow(lane, b"" if self.deaf and lane == "down" else piece)

    def part(self, how: str) -> None:
        """Begin a partition of that kind."""
        if how == "deaf":
            self.deaf = True
        else:
            self.stall()

    def join(self) -> None:
        """End it."""
        self.deaf = False
        self.resume()


@asynccontextmanager
async def parted(stage: Stage, redis: RedisServer) -> AsyncIterator[tuple[Nodes, Node, Parting]]:
    """Three nodes with clients; the one that has the lease reaches Redis through a proxy."""
    was_there(redis)
    proxy = Parting("127.0.0.1", redis.port)
    await proxy.start()
    try:
        venue = await stage.venue(*LIVELY)
        nodes = Nodes(stage, redis, venue, await stage.tap(venue), {})
        former = await nodes.join(REDIS_URL=f"redis://127.0.0.1:{proxy.port}")
        assert await nodes.owner() is former
        await asyncio.gather(nodes.join(), nodes.join())
        await asyncio.gather(*(nodes.client(node, *ARGS) for node in nodes.all for _ in range(3)))
        await nodes.flow()
        yield nodes, former, proxy
    finally:
        await proxy.stop()


@pytest.mark.parametrize("how", ["silent", "deaf"])
async def test_an_owner_that_is_cut_off_from_redis_stops_and_becomes_a_reader(
    stage: Stage, redis: RedisServer, say: Callable[[str], None], how: str
) -> None:
    async with parted(stage, redis) as (nodes, former, proxy):
        others = clients_of(nodes.others(former))
        with Overhearing(redis) as heard:
            began_s, began_ns = time.monotonic(), time.time_ns()
            proxy.part(how)
            await nodes.owner(former)
            await asyncio.gather(*(client.status("live", TICKER) for client in others))
            await nodes.flow()
            await asyncio.sleep(max(0.0, began_s + LASTS_S - time.monotonic()))
            assert all(told(client.messages, TRADES) == ["values"] for client in former.clients)
            proxy.join()
            lives = (client.status("live", TICKER, deadline_s=PATIENCE_S) for client in former.clients)
            await asyncio.gather(*lives)
            await nodes.flow()
            await nodes.is_one()
            heard.read()
        token = int(nodes.lease(LINEAR, "epoch")[0])
        said_s = [(e.receive_ns - began_ns) / 1e9 for e in heard.envelopes() if e.epoch < token]
        assert said_s or how == "silent"  # what waited in the proxy may have been lost
        assert max(said_s, default=0.0) < TTL_S, "the former owner went on to publish"
        nodes.check()
        for client in nodes.clients:
            assert told(client.messages, TRADES) == ["values", "reconnecting", "gap", "live", "values"]
        waited_s = max(map(silence_s, others))
        say(
            f"partition of the owner ({how}): clients of other nodes were without values for {waited_s:.2f} s"
        )
