"""`docker-compose.cluster.yml`: what it names exists, and what it starts works together.

There need not be a container engine where tests run. So Redis is started with the command that stands there,
nodes have the environment that stands there, and HAProxy has the file that is mounted; only
addresses and ports are others.
"""

from __future__ import annotations

import asyncio
import re
import shlex
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from feedmux.app.settings import Settings, fields
from feedmux.client.settings import LinkConfig
from feedmux.client.subscriber import Message, Subscriber
from support.balancer import CONFIGURATION, balancer
from support.debian import DebianProgram
from support.documents import ROOT
from support.family import LIVELY, TICKER
from support.processes import Gateway, Stage
from support.programs import free_port
from support.running import environment
from support.waiting import eventually, until

COMPOSE = yaml.safe_load((ROOT / "docker-compose.cluster.yml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
NODE = SERVICES["node"]
ADDRESSES = ("127.0.0.2", "127.0.0.3")
"""Of the nodes: as in containers, they have the same port."""


def seconds(text: str) -> float:
    return float(text.removesuffix("s"))


# What is written


def test_the_file_names_what_exists() -> None:
    assert set(SERVICES) == {"node", "redis", "balancer"}
    assert (ROOT / NODE["build"] / "Dockerfile").exists()
    assert {name.lower() for name in NODE["environment"]} <= set(fields())
    assert not NODE["env_file"][0]["required"]
    assert NODE["deploy"] == {"replicas": 2}
    own, mounted, mode = SERVICES["balancer"]["volumes"][0].split(":")
    assert (ROOT / own) == CONFIGURATION
    assert (mounted, mode) == ("/usr/local/etc/haproxy/haproxy.cfg", "ro")
    for service in SERVICES.values():
        assert set(service["networks"]) <= set(COMPOSE["networks"])


def test_the_parts_know_each_others_names_and_ports() -> None:
    text, ports = CONFIGURATION.read_text(), SERVICES["balancer"]["ports"]
    assert NODE["environment"]["REDIS_URL"] == "redis://redis:6379"
    assert re.search(rf"^ *server-template node \d+ node:{NODE['environment']['PORT']}$", text, re.MULTILINE)
    assert ports == ["${PORT:-8000}:" + str(re.search(r"^ *bind :(\d+)$", text, re.MULTILINE)[1])]  # type: ignore[index]


def test_nobody_may_do_more_than_he_must() -> None:
    for name, service in SERVICES.items():
        assert service["read_only"] and service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert not service.get("privileged"), name
    assert [name for name, service in SERVICES.items() if "ports" in service] == ["balancer"]
    assert COMPOSE["networks"]["nodes"]["internal"]
    assert SERVICES["redis"]["networks"] == ["nodes"]
    assert SERVICES["redis"]["user"] == "redis"
    assert SERVICES["balancer"]["networks"] == ["clients"]


def test_a_node_that_is_told_to_end_has_the_time_that_it_needs() -> None:
    grace = float(NODE["environment"]["DRAIN_GRACE"])
    found = re.search(r"check inter (\d+)s fall (\d+)", CONFIGURATION.read_text())
    assert found is not None
    assert grace > int(found[1]) * int(found[2])
    assert seconds(NODE["stop_grace_period"]) > grace + Settings().drain_seconds


def test_nodes_ping_sooner_than_the_balancer_loses_patience() -> None:
    found = re.search(r"^ *timeout tunnel (\d+)s$", CONFIGURATION.read_text(), re.MULTILINE)
    assert found is not None
    assert int(found[1]) > Settings().client_ping_interval + Settings().client_ping_timeout


# What it starts


@asynccontextmanager
async def redis(program: DebianProgram, folder: Path) -> AsyncIterator[str]:
    """Redis as its service starts it; its URL."""
    port = free_port()
    command = shlex.split(SERVICES["redis"]["command"])
    assert command[0] == program.path.name
    with (folder / "redis.log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            program.path, *command[1:], "--bind", "127.0.0.1", "--port", str(port),
            cwd=folder, env=environment(program.environment), stdin=asyncio.subprocess.DEVNULL,
            stdout=log, stderr=log,
        )  # fmt: skip
    try:
        text = (folder / "redis.log").read_text
        await until(lambda: process.returncode is not None or "eady to accept connections" in text(), "Redis")
        assert process.returncode is None, text()
        yield f"redis://127.0.0.1:{port}"
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def node(stage: Stage, venue_url: str, address: str, port: int, redis_url: str) -> Gateway:
    """A node as its service starts it."""
    own = {"HOST": address, "PORT": str(port), "REDIS_URL": redis_url, "DRAIN_SECONDS": "0.5"}
    settings = {"BYBIT_WS_URL": venue_url, "BYBIT_RECONNECT_DELAY_INITIAL": "0.1"}
    running = await stage.run("serve", env=NODE["environment"] | own | settings)
    await running.line(rf"Listening on ws://{address}:{port}/ws")
    return Gateway(running, port, address)


class Follower:
    """A client that comes back, as `feedmux tail` does: a reader of its own subscriber."""

    def __init__(self, url: str) -> None:
        quick = LinkConfig(retry_delay_s=0.05, max_backoff_s=0.2)
        self.subscriber = Subscriber(url, ["ticker:BTCUSDT"], self, config=quick)
        self.connections = 0
        self.values: list[int] = []
        """How many came over each connection."""

    def connected(self) -> None:
        self.connections += 1
        self.values.append(0)

    def take(self, message: Message, _text: bytes, /) -> None:
        if message.get("stream") == TICKER and message["type"] in ("snapshot", "update"):
            self.values[-1] += 1

    def disconnected(self, reason: str, /) -> None: ...

    def retrying(self, reason: str, wait_s: float, /) -> None: ...

    async def is_served(self, connections: int) -> None:
        """Wait until values come over its so-manieth connection, or a later one."""
        await until(lambda: self.connections >= connections and self.values[-1] > 2, "values", 20)


@asynccontextmanager
async def following(url: str, count: int) -> AsyncIterator[list[Follower]]:
    """Clients, while the block lasts."""
    followers = [Follower(url) for _ in range(count)]
    async with asyncio.TaskGroup() as tasks:
        for follower in followers:
            tasks.create_task(follower.subscriber.run())
        yield followers
        for follower in followers:
            follower.subscriber.close()


async def clients_of(one: Gateway) -> int:
    """How many clients a node has."""
    return int((await one.stats())["connections"]["active_connections"])


async def holds(one: Gateway) -> bool:
    """Whether a node has the venue's connection."""
    return any(feed["cluster"]["held"] for feed in (await one.stats())["feeds"])


@asynccontextmanager
async def cluster(
    stage: Stage, program: DebianProgram, folder: Path
) -> AsyncIterator[tuple[list[Gateway], str]]:
    """Two nodes around Redis, behind HAProxy; the first of them has the venue's connection."""
    venue, port = await stage.venue(*LIVELY), free_port()
    async with redis(program, folder) as redis_url, balancer(folder, ADDRESSES, port) as at:
        first = await node(stage, venue.url, ADDRESSES[0], port, redis_url)
        await eventually(lambda: holds(first), bool, "the first node has the lease")
        second = await node(stage, venue.url, ADDRESSES[1], port, redis_url)
        yield [first, second], at
        for one in (first, second):
            assert "refused" not in one.running.text.lower(), "what Redis does not let a node do"


async def served(at: str, nodes: list[Gateway], followers: list[Follower]) -> None:
    """Wait until all clients are served, by all these nodes."""
    for follower in followers:
        await follower.is_served(1)

    async def counts() -> list[int]:
        return [await clients_of(one) for one in nodes]

    half = len(followers) // 2
    await eventually(counts, [half, half].__eq__, "clients are spread")


@pytest.mark.parametrize("which", [0, 1], ids=["owner", "reader"])
async def test_clients_of_a_node_that_is_killed_are_served_by_the_other(
    which: int, stage: Stage, redis_program: DebianProgram, tmp_path: Path
) -> None:
    async with cluster(stage, redis_program, tmp_path) as (nodes, at):
        await both_are_ready(at, nodes)
        async with following(f"ws://{at}/ws", 4) as followers:
            await served(at, nodes, followers)
            nodes[which].running.signal(signal.SIGKILL)
            other = nodes[1 - which]
            await eventually(lambda: clients_of(other), lambda n: n == len(followers), "all are there")
            for follower in followers:
                follower.values[-1] = 0
                await follower.is_served(1)
            assert sorted(follower.connections for follower in followers) == [1, 1, 2, 2]


async def test_nobody_is_turned_away_while_a_node_is_sent_away(
    stage: Stage, redis_program: DebianProgram, tmp_path: Path
) -> None:
    async with cluster(stage, redis_program, tmp_path) as (nodes, at):
        await both_are_ready(at, nodes)
        async with following(f"ws://{at}/ws", 4) as followers:
            await served(at, nodes, followers)
            nodes[0].running.signal(signal.SIGTERM)
            while nodes[0].running.process.returncode is None:
                async with connect(f"ws://{at}/ws", compression=None):
                    await asyncio.sleep(0.05)
            assert await nodes[0].running.end() == 0
            for follower in followers:
                follower.values[-1] = 0
                await follower.is_served(1)
            assert await clients_of(nodes[1]) == len(followers)


async def both_are_ready(at: str, nodes: list[Gateway]) -> None:
    """Wait until the balancer sends clients to both."""

    async def spread() -> list[int]:
        try:
            async with connect(f"ws://{at}/ws"), connect(f"ws://{at}/ws"):
                return [await clients_of(one) for one in nodes]
        except (OSError, InvalidStatus):
            return []

    await eventually(spread, [1, 1].__eq__, "one client at each node")
