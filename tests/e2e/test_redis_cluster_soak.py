"""Nodes of a Redis Cluster are killed and come back, slots move, over and over; `make soak` runs it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from feedmux.bus.redis_slots import slot_of
from support.debian import DebianProgram
from support.processes import Stage
from support.redis_cluster import RedisCluster, redis_cluster
from support.redis_sentinels import watched
from support.redis_story import FAILOVER_S, gateways_follow
from support.waiting import until

ROUNDS: Final = int(os.environ.get("FEEDMUX_REDIS_ROUNDS", "0"))
TAG: Final = "{feedmux:bybit.linear}"
SLOT: Final = slot_of(TAG.encode())

pytestmark = pytest.mark.skipif(not ROUNDS, reason="FEEDMUX_REDIS_ROUNDS is not set: `make soak` sets it")


@pytest.fixture(name="cluster")
def _cluster(redis_program: DebianProgram, tmp_path: Path) -> Iterator[RedisCluster]:
    """Three nodes; each has a replica."""
    with redis_cluster(redis_program, tmp_path, replicas=3) as cluster:
        yield cluster


async def test_gateways_follow_when_the_node_of_their_market_is_killed(
    stage: Stage, cluster: RedisCluster
) -> None:
    async def change() -> None:
        await until(cluster.is_whole, "the cluster is whole", FAILOVER_S)
        killed = cluster.owner(SLOT)
        killed.kill()
        await until(lambda: cluster.has_another_owner(SLOT, killed), "another one took over", FAILOVER_S)
        await killed.restart()

    await gateways_follow(stage, cluster.settings, change, rounds=ROUNDS)


async def test_gateways_follow_when_a_replica_is_told_to_take_over(
    stage: Stage, cluster: RedisCluster
) -> None:
    async def change() -> None:
        await until(cluster.is_whole, "the cluster is whole", FAILOVER_S)
        cluster.replica_of(cluster.owner(SLOT)).ask("CLUSTER", "FAILOVER")

    await gateways_follow(stage, cluster.settings, change, rounds=ROUNDS)


async def test_gateways_follow_a_slot_that_moves_around(stage: Stage, cluster: RedisCluster) -> None:
    async def change() -> None:
        home = cluster.owner(SLOT)
        target = cluster.masters[(cluster.masters.index(home) + 1) % 3]
        cluster.move(SLOT, target, f"{TAG}:lease")

    await gateways_follow(stage, cluster.settings, change, rounds=3 * ROUNDS)


async def test_gateways_follow_masters_that_sentinels_replace(
    stage: Stage, redis_program: DebianProgram, tmp_path: Path
) -> None:
    with watched(redis_program, tmp_path) as scene:

        async def change() -> None:
            await until(scene.is_whole, "each has its part", FAILOVER_S)
            killed = scene.master
            killed.kill()
            await until(lambda: scene.master is not killed, "another one took over", FAILOVER_S)
            await killed.restart()

        await gateways_follow(stage, scene.settings, change, rounds=ROUNDS)
