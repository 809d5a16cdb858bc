"""A user of Redis that may do what a node needs, and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import msgspec

from feedmux.bus.redis_config import RedisConfig
from feedmux.bus.redis_presence import RedisPresence
from feedmux.core.lease import Terms
from feedmux.core.presence import Presence
from feedmux.model.event import EventKind
from support.buses import Collector
from support.certificates import HOST
from support.cluster import QUICK, owner_of
from support.debian import DebianProgram
from support.envelopes import TRADES
from support.processes import Stage
from support.redis import RedisServer
from support.redis_cluster import redis_cluster
from support.redis_ear import SOON
from support.redis_leases import seeking
from support.redis_rights import CLUSTER, PLAIN, user
from support.redis_wiring import RedisWiring
from support.waiting import until

PASSWORD = "correct-horse-battery"
FREE = {"hello", "acl|log", "acl|setuser", "auth", "config|resetstat"}
"""What everybody may, and what the test does as an administrator."""


async def test_these_rights_are_enough_and_each_is_used(redis: RedisServer) -> None:
    redis.ask("ACL", "SETUSER", *user("node", PASSWORD, PLAIN).split())
    plain = RedisConfig(host=HOST, port=redis.port, user="node", password=PASSWORD, backoff=SOON)
    assert await used(plain, [redis], "feedmux:lease") == {right[1:] for right in PLAIN}
    other = msgspec.structs.replace(plain, database=3)
    redis.ask("ACL", "SETUSER", "node", "+select")
    assert await used(other, [redis], "feedmux:lease") == {right[1:] for right in (*PLAIN, "+select")}


async def test_these_rights_are_enough_in_a_cluster(redis_program: DebianProgram, tmp_path: Path) -> None:
    node = user("node", PASSWORD, CLUSTER)
    with redis_cluster(redis_program, tmp_path, users=(node,)) as cluster:
        config = cluster.config("{feedmux:bybit.linear}")
        known = msgspec.structs.replace(config, user="node", password=PASSWORD)
        found = await used(known, cluster.nodes, "{feedmux:bybit.linear}:lease")
        assert found == {right[1:] for right in CLUSTER} - {"asking"}


async def used(config: RedisConfig, servers: Sequence[RedisServer], key: str) -> set[str]:
    """What a user needs who reads, writes and holds a lease: the commands that were called.

    Raises:
        AssertionError: Redis refused something.
    """
    for server in servers:
        server.ask("ACL", "LOG", "RESET")
        server.ask("CONFIG", "RESETSTAT")
    await story(config, key)
    called = set[str]()
    for server in servers:
        assert server.ask("ACL", "LOG") == []
        stats = server.ask("INFO", "commandstats")
        assert isinstance(stats, bytes)
        lines = (line for line in stats.decode().splitlines() if line.startswith("cmdstat_"))
        called |= {line.removeprefix("cmdstat_").partition(":")[0] for line in lines}
    return called - FREE


async def story(config: RedisConfig, key: str) -> None:
    """Write and read on a bus, hold a lease and be present, long enough that each does all that it does."""
    wiring = RedisWiring(config, beat_s=0.05)
    sink = Collector()
    reader = await wiring.reader("a", sink)
    reader.want(TRADES)
    await until(lambda: sink.of(TRADES, EventKind.SNAPSHOT))
    wiring.source.advance(TRADES)
    await until(lambda: sink.updates(TRADES))
    reader.drop(TRADES)
    await until(lambda: not wiring.source.demand.wants())
    said: list[Presence] = []

    def present() -> Presence:
        said.append(
            Presence(name="a", life=1, address="", version="", clients=0, has_rival=False, markets={})
        )
        return said[-1]

    async with seeking(config, key, Terms(ttl_s=1.0, renew_s=0.05, look_s=0.05, margin_s=0.1)) as sought:
        await until(sought.lease.may_write)
        presence = RedisPresence(sought.leases, prefix="feedmux", name="a", life=1, present=present)
        sought.leases.last_words = presence.leave
        saying = asyncio.ensure_future(presence.run())
        await until(lambda: len(said) > 1, "it was said once")
    await saying
    await wiring.close()


async def test_a_node_and_who_looks_at_it_need_no_more(stage: Stage, redis: RedisServer) -> None:
    redis.ask("ACL", "SETUSER", *user("node", PASSWORD, (*PLAIN, "+scan")).split())
    redis.ask("ACL", "LOG", "RESET")
    url = redis.url.replace("://", f"://node:{PASSWORD}@")
    venue = await stage.venue()
    node = await stage.gateway(venue.url, REDIS_URL=url, **QUICK)
    await owner_of([node])
    looking = await stage.run("cluster", "status", "--json", env={"REDIS_URL": url})
    assert await looking.end() == 0, looking.text
    assert redis.ask("ACL", "LOG") == []
