"""What a node says of a Redis that is away, or is not as it should be; and that it heals by itself."""

from __future__ import annotations

import asyncio
import re
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from feedmux.core import presence
from support.cluster import QUICK
from support.debian import DebianProgram
from support.family import LIVELY, TICKER, children
from support.processes import Gateway, Stage
from support.redis import RedisServer
from support.waiting import eventually, until

SECRET = "correct-horse-battery"
SOON = {**QUICK, "LEASE_TTL": 1, "NODE_NAME": "node-a", "REDIS_SOCKET_TIMEOUT": 1}
ALL = f"node on >{SECRET} ~* &* +@all"


@pytest.fixture
def guarded(redis_program: DebianProgram, tmp_path: Path) -> Any:
    """A server that asks who is there."""
    server = RedisServer(redis_program, tmp_path / "guarded", password="other", users=(ALL,))
    try:
        server.start()
        yield server
    finally:
        server.kill()


def url(server: RedisServer, password: str = SECRET) -> str:
    """Where it is, for the user ``node``."""
    return server.url.replace("//", f"//node:{password}@")


async def health(gateway: Gateway) -> Any:
    answer = await gateway.get("/health")
    assert SECRET not in str(answer.body)
    return {**answer.body, "http": answer.status}


async def says(gateway: Gateway, word: str, reason: str) -> Any:
    """Wait until health says so, as a degraded node that can do its job."""

    def wanted(body: Any) -> bool:
        found = any(re.search(reason, one) for one in body["reasons"])
        return body["redis"] == word and body["status"] == "degraded" and found

    body = await eventually(lambda: health(gateway), wanted, f"{word}: {reason}", 20.0)
    assert body["http"] == 200
    return body


async def is_well(gateway: Gateway) -> None:
    """Wait until nothing is wrong."""

    def wanted(body: Any) -> bool:
        return (body["redis"], body["pubsub_listener"], body["status"]) == ("connected", "ok", "healthy")

    body = await eventually(lambda: health(gateway), wanted, "healthy", 20.0)
    assert (body["http"], body["reasons"]) == (200, [])


async def test_while_redis_is_away_the_owner_says_so_and_serves_its_clients(
    stage: Stage, redis: RedisServer
) -> None:
    venue = await stage.venue(*LIVELY)
    node = await stage.gateway(venue.url, REDIS_URL=redis.url, **SOON)
    client = await stage.client(node)
    await client.subscribe("ticker:BTCUSDT")
    await client.data(TICKER)
    await is_well(node)
    await redis.stop()
    body = await says(node, "disconnected", r"^redis: no connection for \d+ s: ")
    assert body["pubsub_listener"] == "degraded"
    assert body["venues"]["bybit.linear"]["state"] == "connected"
    await client.data(TICKER, seen=client.seen, count=5)
    shown = (await node.stats())["cluster"]
    assert (shown["redis"], shown["markets"]["bybit.linear"]["runs"]) == ("disconnected", True)
    assert "feedmux_cluster_redis_connected 0.0" in (await node.get("/metrics")).body
    await redis.restart()
    await is_well(node)


async def test_a_reader_that_nobody_writes_for_says_so_after_a_takeovers_time(stage: Stage) -> None:
    venue = await stage.venue(*LIVELY)
    node = await stage.gateway(venue.url, REDIS_URL="redis://127.0.0.1:1", **SOON)
    reason = r"^bybit\.linear: no node that has the lease has been heard for \d+ s$"
    body = await says(node, "disconnected", reason)
    assert body["venues"]["bybit.linear"]["state"] == "disconnected"


async def test_a_holder_that_is_not_heard_is_named(stage: Stage, redis: RedisServer) -> None:
    venue = await stage.venue(*LIVELY)
    far = str(10**15)
    record = {"holder": "mute/1", "epoch": "1", "until": far, "top": "9", "guard": "0", "ttl": far}
    fields = [text for pair in {**record, "run": run_id(redis)}.items() for text in pair]
    redis.ask("HSET", "feedmux:bybit.linear:lease", *fields)
    node = await stage.gateway(venue.url, REDIS_URL=redis.url, **SOON)
    await says(node, "connected", r"^bybit\.linear: mute has the lease and has not been heard for \d+ s$")


def run_id(redis: RedisServer) -> str:
    said = redis.ask("INFO", "server")
    assert isinstance(said, bytes)
    found = re.search(rb"run_id:(\w+)", said)
    assert found is not None
    return found[1].decode()


@pytest.mark.parametrize(
    ("rights", "reason"),
    [
        (["-eval"], r"^redis: Redis refused EVAL: NOPERM"),
        (["-set"], r"^redis: Redis refused SET: NOPERM"),
        (["-publish"], r"^bybit\.linear: Redis refused PUBLISH: NOPERM"),
        (["-@all"], r"^redis: Redis refused .*NOPERM"),
    ],
    ids=str,
)
async def test_rights_that_are_taken_are_named_and_given_back_suffice(
    stage: Stage, guarded: RedisServer, rights: list[str], reason: str
) -> None:
    venue = await stage.venue(*LIVELY)
    node = await stage.gateway(venue.url, REDIS_URL=url(guarded), **SOON)
    await is_well(node)
    guarded.ask("ACL", "SETUSER", "node", *rights)
    word = "connected" if "PUBLISH" in reason else "refused"
    await says(node, word, reason)
    guarded.ask("ACL", "SETUSER", "node", "+@all")
    await is_well(node)


async def test_channels_that_may_not_be_listened_to_are_named_and_listened_to_later(
    stage: Stage, guarded: RedisServer
) -> None:
    venue = await stage.venue(*LIVELY)
    owner = await stage.gateway(venue.url, REDIS_URL=guarded.url.replace("//", "//:other@"), **SOON)
    await is_well(owner)
    guarded.ask("ACL", "SETUSER", "node", "resetchannels", "&feedmux:bybit.linear:asks")
    settings = {**SOON, "NODE_NAME": "node-b"}
    reader = await stage.gateway(venue.url, REDIS_URL=url(guarded), **settings)
    body = await says(reader, "connected", r"^bybit\.linear: Redis refused SUBSCRIBE: NOPERM")
    assert body["pubsub_listener"] == "degraded"
    client = await stage.client(reader)
    await client.subscribe("ticker:BTCUSDT")
    guarded.ask("ACL", "SETUSER", "node", "&feedmux:*")
    await client.data(TICKER, count=3)
    await is_well(reader)


async def test_a_redis_without_memory_is_named(stage: Stage, redis: RedisServer) -> None:
    venue = await stage.venue(*LIVELY)
    node = await stage.gateway(venue.url, REDIS_URL=redis.url, **SOON)
    await is_well(node)
    redis.ask("CONFIG", "SET", "maxmemory", "1")
    await says(node, "refused", r"^redis: Redis refused (EVAL|SET): OOM")
    redis.ask("CONFIG", "SET", "maxmemory", "0")
    await is_well(node)


async def test_a_replica_is_named(stage: Stage, redis: RedisServer) -> None:
    venue = await stage.venue(*LIVELY)
    node = await stage.gateway(venue.url, REDIS_URL=redis.url, **SOON)
    await is_well(node)
    redis.ask("REPLICAOF", "127.0.0.1", "1")
    await says(node, "disconnected", r"^redis: .* is a replica; expected the one that it copies$")
    redis.ask("REPLICAOF", "NO", "ONE")
    await is_well(node)


async def test_a_wrong_password_is_named_and_not_shown(stage: Stage, guarded: RedisServer) -> None:
    venue = await stage.venue(*LIVELY)
    node = await stage.gateway(venue.url, REDIS_URL=url(guarded, "wrong-" + SECRET), **SOON)
    await says(node, "disconnected", r"^redis: .* does not accept the credentials: WRONGPASS")
    guarded.ask("ACL", "SETUSER", "node", f">wrong-{SECRET}")
    await is_well(node)
    assert SECRET not in node.running.text


@asynccontextmanager
async def answering(port: int, answer: bytes) -> AsyncIterator[None]:
    """Somebody who is no Redis of today: says the same to everybody."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)
        writer.write(answer)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", port)
    try:
        yield
    finally:
        server.close()
        await server.wait_closed()


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"-ERR unknown command 'HELLO'\r\n", r"does not speak RESP3; expected version 6\.0 or newer$"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", r"does not speak as Redis does: "),
    ],
    ids=["an old one", "none"],
)
async def test_what_is_no_redis_of_today_is_named_until_it_is_one(
    stage: Stage, redis_program: DebianProgram, tmp_path: Path, answer: bytes, reason: str
) -> None:
    venue = await stage.venue(*LIVELY)
    server = RedisServer(redis_program, tmp_path / "redis")
    async with answering(server.port, answer):
        node = await stage.gateway(venue.url, REDIS_URL=server.url, **SOON)
        await says(node, "disconnected", rf"^redis: .*{reason}")
    try:
        await server.restart()
        await is_well(node)
    finally:
        server.kill()


async def test_two_nodes_of_one_name_both_serve_and_both_say_so(stage: Stage, redis: RedisServer) -> None:
    venue = await stage.venue(*LIVELY)
    nodes = [await stage.gateway(venue.url, REDIS_URL=redis.url, **SOON) for _ in range(2)]
    clients = [await stage.client(node) for node in nodes]
    await asyncio.gather(*(client.subscribe("ticker:BTCUSDT") for client in clients))
    for node in nodes:
        await says(node, "connected", r"^another process is called node-a, too: give each a NODE_NAME")
        await node.running.line(r"cluster\.name_taken name=node-a")
    await asyncio.gather(*(client.data(TICKER, seen=client.seen, count=5) for client in clients))
    await nodes[0].running.stop()
    await is_well(nodes[1])


async def test_a_node_that_is_started_again_after_a_crash_has_no_rival(
    stage: Stage, redis: RedisServer
) -> None:
    venue = await stage.venue(*LIVELY)
    first = await stage.gateway(venue.url, REDIS_URL=redis.url, **SOON)
    await is_well(first)
    await until(lambda: redis.ask("EXISTS", "feedmux:node:node-a"), "it says that it is there")
    first.running.signal(signal.SIGKILL)
    second = await stage.gateway(venue.url, REDIS_URL=redis.url, **SOON)
    await is_well(second)

    def says_it() -> bool:
        said = redis.ask("GET", "feedmux:node:node-a")
        assert isinstance(said, bytes)
        holder = f"node-a/{presence.read(said).life}"
        return redis.ask("HGET", "feedmux:bybit.linear:lease", "holder") == holder.encode()

    await until(says_it, "it is the second one that is there")
    assert "name_taken" not in second.running.text


async def test_a_feed_process_that_was_killed_is_another_tenure_of_the_same_node(
    stage: Stage, redis: RedisServer
) -> None:
    venue = await stage.venue(*LIVELY)
    node = await stage.gateway(venue.url, REDIS_URL=redis.url, WORKERS=2, **SOON)
    await is_well(node)
    await node.shows(lambda body: body["cluster"]["markets"]["bybit.linear"]["takeovers"] == 1, "it has it")
    children(node)["the feed process"].kill()
    await node.shows(lambda body: body["cluster"]["markets"]["bybit.linear"]["takeovers"] == 2, "it has it")
    await is_well(node)
    assert "cannot be used" not in node.running.text


async def test_what_a_feed_counted_stays_when_it_goes_and_comes_back(
    stage: Stage, redis: RedisServer
) -> None:
    venue = await stage.venue(*LIVELY)
    nodes = [
        await stage.gateway(venue.url, REDIS_URL=redis.url, **{**SOON, "NODE_NAME": name}) for name in "ab"
    ]
    first = nodes[0]
    client = await stage.client(first)
    await client.subscribe("ticker:BTCUSDT")
    await client.data(TICKER, count=20)
    owner = "a" if (await first.stats())["cluster"]["markets"]["bybit.linear"]["runs"] else "b"
    assert owner == "a", "the first one that is there has it"

    async def messages() -> int:
        return int((await first.stats())["feeds"][0]["messages"])

    counted = await messages()
    assert counted > 0
    first.running.signal(signal.SIGSTOP)  # for longer than a lease lasts
    await nodes[1].shows(lambda body: body["cluster"]["markets"]["bybit.linear"]["held"], "b has it")
    first.running.signal(signal.SIGCONT)
    await first.shows(lambda body: not body["cluster"]["markets"]["bybit.linear"]["runs"], "a reads")
    assert await messages() >= counted
    await nodes[1].running.stop()
    await first.shows(lambda body: body["cluster"]["markets"]["bybit.linear"]["takeovers"] == 2, "a again")
    reached = await messages()
    assert reached >= counted
    await client.data(TICKER, seen=client.seen, count=5)
    assert await messages() > reached
