"""The port of the metrics, as Rango has one, and what is to be seen there of RabbitMQ, tokens and workers."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import socket
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus

from support.family import children
from support.processes import Gateway, Stage
from support.programs import free_port
from support.rabbitmq import Publisher, RabbitServer
from support.running import DEADLINE_S
from support.scrapes import Samples, fallen, scrape
from support.tokens import claims, ed25519
from support.waiting import eventually

SIGNER = ed25519()
TRADES = "eurusd.trades"
RANGOS_PAGE = {
    "rango_hub_clients_count": "gauge",
    "rango_hub_subscriptions_count": "gauge",
    "promhttp_metric_handler_requests_in_flight": "gauge",
    "promhttp_metric_handler_requests_total": "counter",
    "process_cpu_seconds_total": "counter",
    "process_max_fds": "gauge",
    "process_open_fds": "gauge",
    "process_resident_memory_bytes": "gauge",
    "process_start_time_seconds": "gauge",
    "process_virtual_memory_bytes": "gauge",
    "process_virtual_memory_max_bytes": "gauge",
}
"""What Rango's README lists, but for Go's own."""
ABSENT = -1.0
"""The value of what is not there."""
UP = ("feedmux_amqp_up public", "feedmux_amqp_up private")
LIFETIME = "feedmux_clients_lifetime_total"
MESSAGES = "feedmux_amqp_messages_total public"


class Rango:
    """``feedmux rango``, and its port for metrics as another gateway of the same process."""

    def __init__(self, gateway: Gateway, port: int) -> None:
        self.gateway = gateway
        self.port = port
        self.metrics = Gateway(gateway.running, port)

    async def client(self, tasks: AsyncExitStack, *streams: str, token: str = "") -> ClientConnection:
        """A client that reads these streams, and has been told so."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        client = await tasks.enter_async_context(
            connect(f"ws://127.0.0.1:{self.gateway.port}/", additional_headers=headers)
        )
        await client.send(json.dumps({"event": "subscribe", "streams": streams}))
        async with asyncio.timeout(DEADLINE_S):
            while json.loads(await client.recv()).get("success", {}).get("streams") != [*streams]:
                pass
        return client

    async def shows(self, wanted: Samples) -> Samples:
        """Wait until the metrics have these values; all of them."""

        now: Samples = {}

        async def found() -> Samples:
            nonlocal now
            now, _ = await scrape(self.metrics, "/")
            return {name: now.get(name, ABSENT) for name in wanted}

        await eventually(found, wanted.__eq__, "the metrics are right")
        return now

    async def health(self) -> Any:
        """The body of ``/health``."""
        return (await self.gateway.get("/health")).body


async def rango(
    stage: Stage, rabbitmq: RabbitServer, exchange: str, *options: str, port: int | None = None, **more: str
) -> Rango:
    """Start it, and wait until it consumes."""
    chosen = free_port() if port is None else port
    env = {
        "RANGER_HOST": "127.0.0.1",
        "RANGER_PORT": "0",
        "METRICS_PORT": str(chosen),
        "RABBITMQ_HOST": "127.0.0.1",
        "RABBITMQ_PORT": str(rabbitmq.port),
        "RABBITMQ_EXCHANGE": exchange,
        "RABBITMQ_RECONNECT_DELAY_MAX": "0.3",
        "JWT_PUBLIC_KEY": SIGNER.pem,
        "SHM_RING_BYTES": str(1 << 20),
    }
    running = await stage.run("rango", *options, env=env | more)
    match = await running.line(r"Listening on ws://127\.0\.0\.1:(\d+)/ws")
    for side in ("public", "private"):
        await running.line(f"the {side} side is consumed")
    return Rango(Gateway(running, int(match[1])), chosen)


def token(**changes: object) -> str:
    now = int(time.time())
    usual = {"uid": "ID1", "role": "member", "iat": now, "nbf": now, "exp": now + 600}
    return SIGNER.token(claims(**usual | changes))


BOTH = pytest.mark.parametrize("options", [(), ("--workers", "2")], ids=["one process", "workers"])


@BOTH
async def test_every_path_has_what_rangos_page_lists(
    stage: Stage, rabbitmq: RabbitServer, exchange: str, options: tuple[str, ...]
) -> None:
    server = await rango(stage, rabbitmq, exchange, *options)
    await server.shows({})
    for path in ("/", "/metrics", "/anything/else?at=all"):
        answer = await server.metrics.get(path)
        assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        types = dict(re.findall(r"^# TYPE (\w+) (\w+)$", answer.body, re.MULTILINE))
        assert types.items() >= RANGOS_PAGE.items()
    assert (await server.metrics.get("/", "POST")).status == 405
    assert (await server.metrics.upgrade()).status == 200
    assert await server.gateway.running.stop() == 0


@BOTH
async def test_scrapes_of_both_ports_are_counted_together(
    stage: Stage, rabbitmq: RabbitServer, exchange: str, options: tuple[str, ...]
) -> None:
    server = await rango(stage, rabbitmq, exchange, *options)
    before = await server.shows({"promhttp_metric_handler_requests_in_flight": 1})
    name = "promhttp_metric_handler_requests_total"
    for _ in range(5):
        assert (await scrape(server.gateway))[0]["promhttp_metric_handler_requests_in_flight"] == 1
        await server.metrics.get("/")

    async def counted() -> float:
        return (await scrape(server.metrics))[0][f"{name} 200"]

    scrapes = 0

    async def missing() -> float:
        nonlocal scrapes
        scrapes += 1
        return before[f"{name} 200"] + 10 + scrapes - await counted()

    await eventually(missing, (0.0).__eq__, "all are counted")
    assert (before[f"{name} 500"], before.keys() >= {f"{name} 503"}) == (0, True)


@BOTH
async def test_clients_and_subscriptions_are_counted_by_type_and_topic(
    stage: Stage, rabbitmq: RabbitServer, exchange: str, options: tuple[str, ...]
) -> None:
    server = await rango(stage, rabbitmq, exchange, *options, RANGO_RBAC_STAFF="member")
    count = "rango_hub_subscriptions_count"
    async with AsyncExitStack() as tasks:
        for _ in range(7):
            await server.client(tasks, TRADES)
        mine = [await server.client(tasks, "staff.eurusd.sys", "order", token=token()) for _ in range(5)]
        shown = await server.shows(
            {
                "rango_hub_clients_count": 12,
                f"{count} {TRADES} public": 7,
                f"{count} staff.eurusd.sys prefixed": 5,
                f"{count} order private": 5,
                "feedmux_tokens_accepted_total": 5,
                "feedmux_token_keys": 1,
                "feedmux_topics live": 3,
            }
        )
        assert not [name for name in shown if "ID1" in name]
        for client in mine:
            await client.send(json.dumps({"event": "unsubscribe", "streams": ["staff.eurusd.sys"]}))
        await server.client(tasks, "x." + "y" * 200)
        await server.shows(
            {
                f"{count} order private": 5,
                f"{count} other public": 1,
                f"{count} staff.eurusd.sys prefixed": ABSENT,
                "rango_hub_clients_count": 13,
                "feedmux_topics live": 3,
            }
        )
    await server.shows({"rango_hub_clients_count": 0})


async def test_refused_tokens_are_counted_by_their_code(
    stage: Stage, rabbitmq: RabbitServer, exchange: str
) -> None:
    server = await rango(stage, rabbitmq, exchange, "--workers", "2")
    other = ed25519().token(claims(uid="ID1"))
    for shown in (other, other, "x.y", token(uid=5)):
        with pytest.raises(InvalidStatus):
            async with AsyncExitStack() as tasks:
                await server.client(tasks, token=shown)
    name = "feedmux_tokens_refused_total"
    shown_now = await server.shows(
        {f"{name} TOKEN_BAD_SIGNATURE": 2, f"{name} TOKEN_MALFORMED": 1, f"{name} TOKEN_INVALID_CLAIM": 1}
    )
    assert (shown_now[f"{name} TOKEN_EXPIRED"], shown_now["feedmux_tokens_accepted_total"]) == (0, 0)
    await server.gateway.shows(
        lambda body: body["tokens"]["refused"].get("TOKEN_BAD_SIGNATURE") == 2, "they are in /stats too"
    )


@BOTH
async def test_a_rabbitmq_that_is_away_shows_and_so_does_its_return(
    stage: Stage, own_rabbitmq: RabbitServer, exchange: str, options: tuple[str, ...]
) -> None:
    server = await rango(stage, own_rabbitmq, exchange, *options)
    with Publisher(own_rabbitmq.port, exchange) as publisher:
        publisher.say("public.eurusd.trades", "{}")
    await server.shows({**dict.fromkeys(UP, 1.0), MESSAGES: 1, "feedmux_amqp_reconnects_total": 0})
    healthy = await eventually(
        server.health, lambda body: body["brokers"] and not body["reasons"], "all is well"
    )
    assert (healthy["status"], healthy["brokers"]["rabbitmq"]["state"]) == ("healthy", "connected")
    assert healthy["brokers"]["rabbitmq"]["consumed"] == ["public", "private"]

    await own_rabbitmq.stop()
    await server.shows({**dict.fromkeys(UP, 0.0), MESSAGES: 1})
    away = await eventually(
        server.health,
        lambda body: re.match(r"rabbitmq: nothing has been consumed for \d+ s", "".join(body["reasons"])),
        "it is degraded",
    )
    assert (away["status"], (await server.gateway.get("/health")).status) == ("degraded", 200)
    assert away["brokers"]["rabbitmq"]["state"] == "disconnected"
    stats = await server.gateway.shows(lambda body: body["brokers"][0]["connected"] == 0, "it is in /stats")
    assert [link["side"] for link in stats["brokers"][0]["links"]] == ["public", "private"]

    await own_rabbitmq.restart()
    shown = await server.shows({**dict.fromkeys(UP, 1.0), MESSAGES: 1})
    assert shown["feedmux_amqp_reconnects_total"] == 2
    await eventually(server.health, lambda body: not body["reasons"], "all is well again")


async def test_when_a_process_is_killed_no_counter_falls(
    stage: Stage, rabbitmq: RabbitServer, exchange: str
) -> None:
    server = await rango(stage, rabbitmq, exchange, "--workers", "2")
    running, settled = server.gateway.running, 0
    async with AsyncExitStack() as tasks:
        with Publisher(rabbitmq.port, exchange) as publisher:
            for _ in range(16):
                await server.client(tasks, TRADES)
                publisher.say("public.eurusd.trades", "{}")
        await server.shows({LIFETIME: 16, MESSAGES: 16, "rango_hub_clients_count": 16})
        while settled < 20:  # both workers have been told
            settled = settled + 1 if (await scrape(server.gateway))[0][LIFETIME] == 16 else 0
        _, before = await scrape(server.metrics)
        for name, again in (
            ("worker 1", "worker 1 serves again"),
            ("worker 2", "worker 2 serves again"),
            ("the feed process", ""),
        ):
            children(server.gateway)[name].kill()
            sides = running.text.count("the public side is consumed")
            later = 0
            while later < 20:
                _, now = await scrape(server.metrics)
                assert fallen(before, now) == {}
                before = now
                try:
                    seen = (await scrape(server.gateway))[0]
                except (ConnectionError, IndexError):  # who had accepted it was killed, and said nothing
                    continue
                assert (seen[LIFETIME], seen[MESSAGES]) == (16, 16)
                back = again in running.text if again else running.text.count("the public side is") > sides
                later += back
    await server.shows({**dict.fromkeys(UP, 1.0), "rango_hub_clients_count": 0, LIFETIME: 16})


async def test_the_figures_of_the_process_are_those_of_all_and_of_the_parent(
    stage: Stage, rabbitmq: RabbitServer, exchange: str
) -> None:
    server = await rango(stage, rabbitmq, exchange, "--workers", "2")
    parent = server.gateway.running.process.pid
    pids = [parent, *(child.pid for child in children(server.gateway).values())]
    assert len(pids) == 4
    wanted = sum(map(most_descriptors, pids))
    used = sum(cpu_ticks(pid) for pid in pids) / 100

    async def figures() -> Samples:
        return (await scrape(server.metrics))[0]

    shown = await eventually(
        figures,
        lambda now: now["process_max_fds"] == wanted and now["process_cpu_seconds_total"] >= used,
        "the sum of all is shown",
    )
    assert shown["process_open_fds"] > len(pids) * 8
    assert abs(shown["process_start_time_seconds"] - started_at(parent)) < 0.02


def most_descriptors(pid: int) -> int:
    found = re.search(r"^Max open files +(\d+)", Path(f"/proc/{pid}/limits").read_text(), re.MULTILINE)
    assert found
    return int(found[1])


def cpu_ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def started_at(pid: int) -> float:
    """When a process began, in Unix time."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    boot = re.search(r"^btime (\d+)$", Path("/proc/stat").read_text(), re.MULTILINE)
    assert boot
    return int(boot[1]) + int(fields[19]) / 100


@BOTH
async def test_a_port_that_is_taken_is_said_in_one_line_and_clients_are_served(
    stage: Stage, rabbitmq: RabbitServer, exchange: str, options: tuple[str, ...]
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        server = await rango(stage, rabbitmq, exchange, *options, port=taken.getsockname()[1])
        lines = [line for line in server.gateway.running.output if "METRICS_PORT" in line]
        assert len(lines) == 1
        assert '"level": "WARNING"' in lines[0]
        assert f"cannot listen on 127.0.0.1:{server.port}: Address already in use" in lines[0]
        async with AsyncExitStack() as tasks:
            await server.client(tasks, TRADES)
            await eventually(
                lambda: scrape(server.gateway),
                lambda now: now[0]["feedmux_clients"] == 1,
                "metrics are served",
            )
    assert await server.gateway.running.stop(signal.SIGTERM) == 0


async def test_with_0_there_is_no_such_port(stage: Stage, rabbitmq: RabbitServer, exchange: str) -> None:
    server = await rango(stage, rabbitmq, exchange, port=0)
    assert "The metrics" not in server.gateway.running.text
    assert (await server.gateway.get("/metrics")).status == 200


async def test_a_gateway_of_venues_has_such_a_port_too(stage: Stage) -> None:
    venue, port = await stage.venue(), free_port()
    gateway = await stage.gateway(venue.url, METRICS_PORT=port, METRICS_ENABLED="false")
    assert (await gateway.get("/metrics")).status == 404
    shown, _ = await scrape(Gateway(gateway.running, port))
    assert shown["feedmux_venue_up bybit.linear"] in {0, 1}
    assert not [name for name in shown if "amqp" in name or "rango" in name or "token" in name]
