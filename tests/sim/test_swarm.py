from __future__ import annotations

import asyncio
import os
import signal
import time

import pytest
from websockets.asyncio.server import ServerConnection

from feedmux.model.errors import InvalidSetting, Refused
from feedmux.model.link_errors import ConnectFailed, LinkLost
from feedmux.sim.generator import GeneratorDied
from feedmux.sim.swarm import NoData, Swarm, SwarmOptions, TooFewDescriptors, spread
from feedmux.sim.tally import Outcome
from feedmux.sim.target import FullHouse, NotAGateway, Target
from support.running import SOURCE
from support.ws_server import Talk, acknowledge, send_steadily, trade, ws_server

pytestmark = pytest.mark.e2e

GAP = (
    '{"stream":"mudrex.futures.trade.BTCUSDT","type":"gap","data":{"from":%d,"to":%d,"reason":"slow"},'
    '"epoch":1,"timestamp":1,"source":"mudrex"}'
)


@pytest.fixture(autouse=True)
def same_source(monkeypatch: pytest.MonkeyPatch) -> None:
    """The children run the package under test, whatever else is installed."""
    monkeypatch.setenv("PYTHONPATH", str(SOURCE))


def options(clients: int = 1, processes: int = 1, **fields: object) -> SwarmOptions:
    given = {"clients": clients, "processes": processes, "seconds": 0.2, "warmup_s": 0.0}
    return SwarmOptions(**(given | fields))  # type: ignore[arg-type]


def sending(*texts: str) -> Talk:
    """Accept, then send these."""

    async def talk(connection: ServerConnection) -> None:
        await acknowledge(connection)
        for text in texts:
            await connection.send(text)

    return talk


async def count(url: str, chosen: SwarmOptions) -> Outcome:
    async with Swarm(await Target.of(url), chosen) as swarm:
        await swarm.ready()
        await swarm.measuring()
        return await swarm.result()


# What is counted


async def test_every_client_of_every_process_is_counted() -> None:
    async def talk(connection: ServerConnection) -> None:
        assert await acknowledge(connection) == ["trade:BTCUSDT"]
        await send_steadily(connection, map(trade, range(1, 1000)))

    async with ws_server(talk) as url:
        outcome = await count(url, options(clients=5, processes=2))
    assert (outcome.connected, outcome.failed, outcome.closed) == (5, 0, 0)
    usual = outcome.usual
    assert usual.deliveries > 5 * 10
    assert (usual.lost, usual.disorder, usual.duplicates) == (0, 0, 0)
    assert usual.latency is not None
    assert usual.latency.measured == usual.deliveries
    assert 5e6 * 0.99 <= usual.latency.p50_ns <= usual.latency.p99_ns <= usual.latency.max_ns


async def test_what_was_skipped_repeated_or_reordered_is_seen() -> None:
    talk = sending(*(trade(seq) for seq in (5, 6, 10, 10, 9, 11)))
    async with ws_server(talk) as url:
        outcome = await count(url, options())
    assert (outcome.usual.lost, outcome.usual.duplicates, outcome.usual.disorder) == (3, 1, 1)


async def test_what_a_gap_message_announced_is_not_a_loss() -> None:
    async with ws_server(sending(trade(1), GAP % (2, 4), trade(5))) as url:
        outcome = await count(url, options())
    assert (outcome.usual.lost, outcome.usual.announced, outcome.usual.gap_messages) == (0, 3, 1)


@pytest.mark.parametrize("stamp", ["5f0cbf5e-96e5-4b4a-a9f1-0c7a5f6d1e55", "2290000000068583537", "x"])
async def test_an_id_that_is_no_intended_time_gives_no_latency(stamp: str) -> None:
    async with ws_server(sending(*(trade(seq, stamp=stamp) for seq in range(1, 5)))) as url:
        outcome = await count(url, options())
    assert outcome.usual.latency is None


def late(seq: int) -> str:
    """A trade that says that it was made 50 ms ago."""
    return trade(seq, stamp="x", timestamp_ms=time.time_ns() // 1_000_000 - 50)


async def test_by_timestamp_a_message_is_as_old_as_it_says() -> None:
    async def talk(connection: ServerConnection) -> None:
        await acknowledge(connection)
        await send_steadily(connection, map(late, range(1, 1000)))

    async with ws_server(talk) as url:
        latency = (await count(url, options(times="timestamp"))).usual.latency
    assert latency is not None
    assert 49e6 <= latency.p50_ns < 1e9


async def test_slow_clients_are_counted_apart() -> None:
    async def talk(connection: ServerConnection) -> None:
        await acknowledge(connection)
        await send_steadily(connection, map(trade, range(1, 1000)))

    async with ws_server(talk) as url:
        outcome = await count(url, options(clients=4, stop_reading=0.25, slow=0.25))
    assert outcome.slow is not None
    assert outcome.usual.deliveries > 2 * 10
    assert outcome.slow.deliveries < outcome.usual.deliveries / 2


# What goes wrong


async def test_a_server_that_is_full_is_named() -> None:
    taken = 0

    async def talk(connection: ServerConnection) -> None:
        nonlocal taken
        taken += 1
        if taken > 3:
            await connection.close(4003, "full")
            return
        await acknowledge(connection)

    async with ws_server(talk) as url, Swarm(await Target.of(url), options(clients=8)) as swarm:
        with pytest.raises(FullHouse, match="it took 3 clients and closed the next with 4003"):
            await swarm.ready()


async def test_a_subscription_that_is_rejected_is_shown_with_its_answer() -> None:
    async def talk(connection: ServerConnection) -> None:
        await connection.recv()
        await connection.send(
            '{"op":"subscribe","success":false,"rejected":[{"arg":"a","reason":"unknown"}]}'
        )

    async with ws_server(talk) as url, Swarm(await Target.of(url), options()) as swarm:
        with pytest.raises(Refused, match=r"the subscription of a client was refused: .*unknown"):
            await swarm.ready()


async def test_a_server_that_does_not_upgrade_is_shown_with_its_answer() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 503 Service Unavailable\r\n\r\n")
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        async with Swarm(await Target.of(f"ws://127.0.0.1:{port}/ws"), options()) as swarm:
            with pytest.raises(NotAGateway, match=r"it answered HTTP/1\.1 503"):
                await swarm.ready()


async def test_a_server_that_is_not_there_is_named() -> None:
    async with Swarm(await Target.of("ws://127.0.0.1:9/ws"), options()) as swarm:
        with pytest.raises(ConnectFailed, match="refused, cut, or not answered in time"):
            await swarm.ready()


async def test_a_server_that_sends_nothing_is_named() -> None:
    async with ws_server(sending()) as url, Swarm(await Target.of(url), options(data_s=0.05)) as swarm:
        await swarm.ready()
        with pytest.raises(NoData, match=r"nothing came within 0\.05 s after everybody was subscribed"):
            await swarm.measuring()


async def test_a_server_that_closes_everybody_is_named() -> None:
    async def talk(connection: ServerConnection) -> None:
        await acknowledge(connection)
        await connection.close(1012, "restart")

    async with ws_server(talk) as url, Swarm(await Target.of(url), options()) as swarm:
        await swarm.ready()
        with pytest.raises(LinkLost, match="closed every client of a load process with 1012"):
            await swarm.measuring()


async def test_a_load_process_that_dies_is_named_and_the_others_are_ended() -> None:
    async with ws_server(sending(trade(1))) as url:
        async with Swarm(await Target.of(url), options(clients=2, processes=2, seconds=30.0)) as swarm:
            await swarm.ready()
            await swarm.measuring()
            first, second = swarm.pids
            os.kill(first, signal.SIGKILL)
            with pytest.raises(GeneratorDied, match="the native load ended by SIGKILL"):
                await swarm.result()
        for pid in (first, second):
            with pytest.raises(ProcessLookupError):
                os.kill(pid, 0)


# How many processes


@pytest.mark.parametrize(
    ("clients", "processes", "limit", "shares"),
    [
        (10, 1, 20_000, [10]),
        (10, 3, 20_000, [4, 3, 3]),
        (2, 5, 20_000, [1, 1]),
        (200, 0, 164, [100, 100]),
        (250, 0, 164, [84, 83, 83]),
    ],
)
def test_clients_are_spread_evenly_over_as_many_processes_as_are_needed(
    clients: int, processes: int, limit: int, shares: list[int]
) -> None:
    assert spread(clients, processes, limit=limit, cores=2) == shares


def test_more_cores_are_used_when_there_are_clients_for_them() -> None:
    assert spread(1000, 0, limit=20_000, cores=8) == [500, 500]
    assert len(spread(100_000, 0, limit=20_000, cores=8)) == 7
    assert spread(1000, 0, limit=20_000, cores=1) == [1000]


@pytest.mark.parametrize(("clients", "processes", "limit"), [(300, 1, 256), (100_000, 0, 256)])
def test_too_few_descriptors_are_said_with_the_number_that_is_needed(
    clients: int, processes: int, limit: int
) -> None:
    with pytest.raises(TooFewDescriptors, match=r"needs [\d,]+ open files and may have 256; .*ulimit -n \d+"):
        spread(clients, processes, limit=limit, cores=2)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("clients", 0),
        ("topics", ()),
        ("each", -1),
        ("seconds", 0.0),
        ("warmup_s", -1.0),
        ("slow", 1.0),
        ("stop_reading", -0.1),
        ("processes", 65),
    ],
)
def test_options_that_cannot_work_are_named(field: str, value: object) -> None:
    with pytest.raises(InvalidSetting, match="does not work; expected"):
        options(**{field: value})  # type: ignore[arg-type]
