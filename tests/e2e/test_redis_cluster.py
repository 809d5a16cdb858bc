"""A Redis Cluster: each market is one partition, on the node that has its slot, wherever that goes."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
import pytest_asyncio

from contract import test_bus
from feedmux.bus.redis_config import RedisConfig, RedisRefused
from feedmux.bus.redis_slots import slot_of
from feedmux.core.lease import Terms
from feedmux.model.link_errors import RequestLost
from support.buses import Wiring
from support.certificates import HOST
from support.cluster import QUICK
from support.debian import DebianProgram
from support.family import LIVELY
from support.processes import Stage
from support.programs import free_port
from support.redis import RedisServer
from support.redis_cluster import RedisCluster, redis_cluster
from support.redis_ear import SOON, open_link, running_link
from support.redis_leases import seeking
from support.redis_story import FAILOVER_S, bus_follows, gateways_follow
from support.redis_wiring import RedisWiring
from support.resp import RespError
from support.waiting import eventually, until

globals().update({name: test for name, test in vars(test_bus).items() if name.startswith("test_")})
"""Every test of the contract, with the fixture below."""

TAG: Final = "{feedmux:bybit.linear}"
SLOT: Final = slot_of(TAG.encode())


@pytest.fixture(scope="module", name="calm")
def _calm(redis_program: DebianProgram, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisCluster]:
    """Three nodes; nobody may kill one, and who moves a slot brings it back."""
    with redis_cluster(redis_program, tmp_path_factory.mktemp("calm")) as cluster:
        yield cluster


@pytest.fixture(name="rough")
def _rough(redis_program: DebianProgram, tmp_path: Path) -> Iterator[RedisCluster]:
    """Three nodes for a test's own use; each has a replica."""
    with redis_cluster(redis_program, tmp_path, replicas=3) as cluster:
        yield cluster


@pytest_asyncio.fixture
async def wiring(calm: RedisCluster) -> AsyncIterator[Wiring]:
    wiring = RedisWiring(calm.config(TAG), beat_s=1000.0)
    yield wiring
    await wiring.close()


def address(server: RedisServer) -> str:
    return f"redis://{HOST}:{server.port}"


# Where things are


def test_slots_are_those_of_redis(calm: RedisCluster) -> None:
    names = ["", "a", "{}", "{}a", "a{b}c", "{a{b}c}", "{a", "a}b{c}", "é", "x" * 1000, TAG, TAG + ":topic:é"]
    names += [f"feedmux:bybit.{number}" for number in range(200)]
    asked = calm.masters[0].client()
    with asked:
        found = asked.ask_all([("CLUSTER", "KEYSLOT", name) for name in names])
    assert found == [slot_of(name.encode()) for name in names]


async def test_links_find_the_nodes_of_their_partitions(calm: RedisCluster) -> None:
    owners = set()
    for market in ("bybit.linear", "bybit.spot", "bybit.inverse", "deribit"):
        tag = f"{{feedmux:{market}}}"
        channel = f"{tag}:topic:x".encode()
        owner = calm.owner(slot_of(channel))
        owners.add(owner)
        async with open_link(calm.config(tag)) as (link, ear):
            assert link.statistics()["address"] == address(owner)
            link.subscribe(channel)
            link.publish(channel, b"x")
            await until(lambda ear=ear: ear.messages)  # type: ignore[misc]
            assert [node.listening(channel) for node in calm.masters if node is owner] == [[1]]
            assert await link.call("SET", f"{tag}:lease", "1") == b"OK"
            await link.call("DEL", f"{tag}:lease")
    assert len(owners) > 1, "markets are spread"


async def test_nodes_that_are_away_do_not_matter(calm: RedisCluster) -> None:
    away = msgspec.structs.replace(
        calm.config(TAG), port=free_port(), known=[(HOST, free_port()), (HOST, calm.masters[2].port)]
    )
    async with open_link(away) as (link, _):
        assert link.statistics()["address"] == address(calm.owner(SLOT))


async def test_what_is_wrong_is_named(calm: RedisCluster, redis: RedisServer) -> None:
    wrong = {
        "is a node of a Redis Cluster; expected REDIS_CLUSTER=true": RedisConfig(
            host=HOST, port=calm.masters[0].port, backoff=SOON
        ),
        "ERR This instance has cluster support disabled": RedisConfig(
            host=HOST, port=redis.port, is_cluster=True, backoff=SOON
        ),
        "no node of the Redis Cluster answers: no connection to": RedisConfig(
            host=HOST, port=free_port(), is_cluster=True, backoff=SOON
        ),
    }
    for said, config in wrong.items():
        async with running_link(config) as (link, _):
            await until(lambda said=said, link=link: said in str(link.statistics()["trouble"]), said)  # type: ignore[misc]


async def test_a_slot_that_nobody_has_is_named(redis_program: DebianProgram, tmp_path: Path) -> None:
    with redis_cluster(redis_program, tmp_path) as cluster:
        cluster.owner(SLOT).ask("CLUSTER", "DELSLOTS", str(SLOT))
        named = msgspec.structs.replace(cluster.config(TAG), port=cluster.owner(0).port)
        async with running_link(named) as (link, _):
            await until(lambda: f"has slot {SLOT}" in str(link.statistics()["trouble"]))


# What becomes of a slot


async def test_links_follow_a_slot_that_moves_and_miss_nothing_untold(calm: RedisCluster) -> None:
    """Whoever listens is told by Redis, whoever publishes by a refusal."""
    channel = f"{TAG}:topic:x".encode()
    config = calm.config(TAG)
    home = calm.owner(SLOT)
    async with open_link(config) as (reader, ear), open_link(config) as (writer, _):
        reader.subscribe(channel)
        await until(lambda: home.listening(channel) == [1])
        for target in (*(node for node in calm.masters if node is not home), home):
            opens, messages = ear.opens, len(ear.messages)
            calm.move(SLOT, target)
            await until(lambda expected=opens: ear.opens > expected)  # type: ignore[misc]
            await until(lambda node=target: node.listening(channel) == [1])  # type: ignore[misc]
            writer.publish(channel, b"lost")
            await until(lambda node=target: writer.statistics()["address"] == address(node))  # type: ignore[misc]
            await until(lambda many=messages: len(ear.messages) > many)  # type: ignore[misc]
            assert ear.messages[messages:] == [(channel, b"mark 1")]
            assert reader.statistics()["address"] == address(target)
        assert {str(error) for error in ear.losses} == {
            "the connection ended: another node of the Redis Cluster has our channels now"
        }


async def test_a_lease_is_renewed_while_its_slot_is_on_its_way(calm: RedisCluster) -> None:
    """Its key is there already, its slot is not: Redis says where to ask for it."""
    key = f"{TAG}:lease"
    home = calm.owner(SLOT)
    target = next(node for node in calm.masters if node is not home)
    config = calm.config(TAG)
    terms = Terms(ttl_s=15.0, renew_s=0.05, look_s=0.05, margin_s=0.1)
    home.ask("HSET", key, "run", home.run_id)  # it has not forgotten: nobody waits
    async with seeking(config, key, terms) as (lease, told, leases):
        await until(lease.may_write)
        token = lease.lease.token
        calm.begin_to_move(SLOT, target)
        calm.move_key(home, target, key)
        with pytest.raises(RespError, match=r"^ASK"):
            home.ask("HGETALL", key)
        renewed = target.client()
        with renewed:

            def run() -> object:
                renewed.send("ASKING")
                assert renewed.read() == b"OK"
                return renewed.ask("HGET", key, "run")

            await until(lambda: run() == target.run_id.encode(), "it is renewed over there")
        calm.end_to_move(SLOT, target)
        await until(lambda: address(target) in str(leases.statistics()["link"]), "it followed")
        await until(lambda: not lease.trouble)
        assert (lease.may_write(), lease.lease.token) == (True, token)
        assert told.events == [("gained", token)]
        calm.move(SLOT, home, key)
        await until(lambda: address(home) in str(leases.statistics()["link"]), "it came back")
    home.ask("DEL", key)


async def test_a_cluster_that_is_down_is_waited_for(redis_program: DebianProgram, tmp_path: Path) -> None:
    """Where a part of the slots has no node, the others refuse keys; that they carry messages is not enough,
    since so does a node that the others do not reach any more."""
    with redis_cluster(redis_program, tmp_path) as cluster:
        quick = msgspec.structs.replace(cluster.config(TAG), ping_interval_s=0.1)
        async with open_link(quick) as (link, ear):
            killed = next(node for node in cluster.masters if node is not cluster.owner(SLOT))
            killed.kill()
            await until(lambda: ear.losses, "it is down", FAILOVER_S)
            assert str(ear.losses[0]) == "the connection ended: CLUSTERDOWN The cluster is down"
            await killed.restart()

            async def is_kept() -> bool:
                with suppress(RedisRefused, RequestLost):
                    return bool(await link.call("SET", TAG, "x") == b"OK")
                return False

            await eventually(is_kept, bool, "it is well", FAILOVER_S)


async def test_the_bus_goes_on_when_its_node_is_killed(rough: RedisCluster) -> None:
    await bus_follows(rough.config(TAG), rough.owner(SLOT).kill)


async def test_gateways_follow_a_slot_that_moves(stage: Stage, calm: RedisCluster) -> None:
    async def change() -> None:
        home = calm.owner(SLOT)
        target = calm.masters[(calm.masters.index(home) + 1) % 3]
        calm.move(SLOT, target, f"{TAG}:lease")

    await gateways_follow(stage, calm.settings, change)


async def test_a_cluster_is_seen_from_outside(stage: Stage, calm: RedisCluster) -> None:
    """Leases and nodes are in different nodes of Redis; all of them are asked."""
    venue = await stage.venue(*LIVELY)
    shared = {**calm.settings, **QUICK, "VENUES": "bybit.linear,bybit.spot", "REDIS_PREFIX": "seen"}
    for name in ("node-a", "node-b"):
        await stage.gateway(venue.url, NODE_NAME=name, **shared)

    async def told() -> Any:
        env = {**calm.settings, "REDIS_PREFIX": "seen"}
        running = await stage.run("cluster", "status", "--json", env=env)
        await running.end()
        assert running.stdout, running.text
        return json.loads("\n".join(running.stdout))

    def whole(body: Any) -> bool:
        names = [node["name"] for node in body["nodes"]]
        leases = {lease["market"]: lease["holder"] for lease in body["leases"]}
        both = names == ["node-a", "node-b"] and set(leases) == {"bybit.linear", "bybit.spot"}
        return both and set(leases.values()) <= set(names)

    await eventually(told, whole, "nodes and leases are seen", FAILOVER_S)
