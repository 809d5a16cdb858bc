"""Local programs read a gateway's topics through rings: what they get, and what becomes of them."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE
from typing import Any

import pytest

from feedmux.app.descriptors import OF_PROGRAM
from feedmux.client import AsyncLocalTopics, Interrupted, NoGateway, Restored
from feedmux.model.errors import Refused
from support.processes import DEADLINE_S
from support.running import environment
from support.topics_scene import TICKER, TRADES, Scene, is_a, is_of, next_of, scene_of, server_of
from support.waiting import eventually

pytestmark = pytest.mark.e2e

# What they get


async def test_a_program_reads_a_snapshot_and_then_updates() -> None:
    async with scene_of() as scene:
        await scene.gateway()
        topics = await scene.topics("ticker:BTCUSDT", "trade:BTCUSDT")
        snapshot = await next_of(topics, is_of(TICKER))
        assert snapshot["type"] == "snapshot"
        assert {"price", "symbol"} <= set(snapshot["data"])
        update = await next_of(topics, is_of(TICKER))
        assert (update["type"], update["seq"]) == ("update", snapshot["seq"] + 1)
        trade = await next_of(topics, is_of(TRADES))
        assert trade["data"]
        await scene.venue.carries("publicTrade.BTCUSDT", "tickers.BTCUSDT")


async def test_all_programs_and_websocket_clients_get_the_same() -> None:
    async with scene_of("--trade-rate", "100") as scene:
        gateway = await scene.gateway()
        client = await scene.set_up.client(gateway)
        await client.subscribe("ticker:BTCUSDT", "trade:BTCUSDT")
        readers = [await scene.topics("ticker:BTCUSDT", "trade:BTCUSDT")]
        files = gateway.running.descriptors()
        readers += [await scene.topics("ticker:BTCUSDT", "trade:BTCUSDT") for _ in range(2)]
        assert gateway.running.descriptors() == files + 2 * OF_PROGRAM, "room was made for so many"
        first = [await next_of(reader, is_of(TRADES)) for reader in readers]
        begin = max(message["seq"] for message in first) + 1
        end = begin + 200
        found = [await collected(reader, begin, end) for reader in readers]
        await client.wait(lambda m: m.get("stream") == TRADES and m.get("seq", 0) >= end)
        theirs = [m for m in client.messages if m.get("stream") == TRADES and begin <= m.get("seq", 0) < end]
        assert [message["seq"] for message in theirs] == list(range(begin, end))
        assert found == [theirs] * 3
        assert await scene.venue.requests() == {"subscribe": 1}
        stats = await gateway.shows(lambda body: body["local"]["clients"] == 3, "three local programs")
        assert stats["connections"]["active_connections"] == 1, "local programs are not its clients"


async def collected(topics: AsyncLocalTopics, begin: int, end: int) -> list[Any]:
    found: list[Any] = []
    while not found or found[-1]["seq"] < end - 1:
        message = await next_of(topics, is_of(TRADES))
        if begin <= message["seq"] < end:
            found.append(message)
    return found


async def test_options_are_each_programs_own() -> None:
    async with scene_of() as scene:
        await scene.gateway()
        whole = await scene.topics("ticker:BTCUSDT")
        prices = await scene.topics("ticker:BTCUSDT", options={"fields": ["price"], "max_rate": 2})
        for _ in range(3):
            assert set((await next_of(prices, is_of(TICKER)))["data"]) == {"price"}
        assert len((await next_of(whole, is_of(TICKER)))["data"]) > 5
        with pytest.raises(Refused, match=r"Unknown option: max_rat; did you mean max_rate\?"):
            await scene.topics("ticker:BTCUSDT", options={"max_rat": 2})


async def test_a_thread_reads_without_a_loop_of_its_own() -> None:
    program = (
        "import sys; from feedmux import LocalClient\n"
        "for number, message in enumerate(LocalClient.topics('ticker:BTCUSDT', gateway=sys.argv[1])):\n"
        "    print(message['type'], flush=True)\n"
        "    if number == 3: break\n"
    )
    async with scene_of() as scene:
        await scene.gateway()
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", program, scene.name, env=environment(), stdout=PIPE, stderr=PIPE
        )
        async with asyncio.timeout(DEADLINE_S):
            out, err = await process.communicate()
        assert (out.split(), err) == ([b"snapshot", b"update", b"update", b"update"], b"")


# What becomes of them


async def test_a_gateway_that_is_killed_is_missed_and_the_next_one_read() -> None:
    async with scene_of() as scene:
        gateway = await scene.gateway()
        topics = await scene.topics("ticker:BTCUSDT")
        await next_of(topics, is_of(TICKER, "update"))
        gateway.running.signal(signal.SIGKILL)
        interrupted = await next_of(topics, is_a(Interrupted))
        assert interrupted.reason.startswith("the gateway is gone: ")
        await gateway.running.end()
        await scene.gateway()
        restored = await topics.receive()
        assert isinstance(restored, Restored)
        assert restored.channels == ("ticker:BTCUSDT",)
        assert restored.after_s > 0
        assert (await next_of(topics, is_of(TICKER)))["type"] == "snapshot"


async def test_a_gateway_that_ends_says_so_and_another_one_takes_its_place() -> None:
    async with scene_of() as scene:
        first = await scene.gateway()
        topics = await scene.topics("ticker:BTCUSDT")
        second = await scene.gateway()
        await second.running.line(f"another gateway, process {first.running.process.pid}, is the one")
        assert not (await second.stats())["local"]["is_offered"]
        assert await first.running.stop() == 0
        assert await next_of(topics, is_a(Interrupted)) == Interrupted("the gateway is going away")
        assert isinstance(await next_of(topics, is_a(Restored)), Restored)
        assert server_of(scene.name) == second.running.process.pid
        await next_of(topics, is_of(TICKER))


async def test_of_workers_another_one_follows_the_one_that_is_killed() -> None:
    async with scene_of() as scene:
        gateway = await scene.gateway("--workers", "2")
        topics = await eventually_open(scene, "ticker:BTCUSDT")
        await next_of(topics, is_of(TICKER, "update"))
        serving = server_of(scene.name)
        assert serving != gateway.running.process.pid
        stats = await gateway.shows(lambda body: body["local"]["entries"] > 3, "entries of a worker")
        assert (stats["local"]["is_offered"], stats["local"]["clients"]) == (True, 1)
        os.kill(serving, signal.SIGKILL)
        await next_of(topics, is_a(Interrupted))
        await next_of(topics, is_a(Restored))
        await next_of(topics, is_of(TICKER))
        assert server_of(scene.name) not in {serving, gateway.running.process.pid}
        before = stats["local"]["entries"]
        await gateway.shows(lambda body: body["local"]["entries"] > before, "what was counted stays counted")
        assert "another gateway" not in gateway.running.text, "a worker is none"


async def eventually_open(scene: Scene, *topics: str) -> AsyncLocalTopics:
    """Begin to read as soon as a worker offers the topics."""

    async def tried() -> AsyncLocalTopics | None:
        try:
            return await scene.topics(*topics)
        except NoGateway:
            return None

    found = await eventually(tried, lambda found: found is not None, "a worker offers its topics")
    assert found is not None
    return found


async def test_who_reads_too_slowly_is_told_and_begins_anew() -> None:
    async with scene_of("--rate", "200", "--trade-rate", "200") as scene:
        gateway = await scene.gateway(LOCAL_RING_BYTES=65536)
        other = await scene.topics("trade:BTCUSDT")
        slow = await scene.topics("ticker:BTCUSDT", "trade:BTCUSDT", max_waiting=1)
        await next_of(slow, is_of(TICKER))
        before = int((await gateway.stats())["local"]["bytes"])
        seqs: list[int] = []

        async def written() -> int:
            seqs.append((await next_of(other, is_of(TRADES)))["seq"])
            return int((await gateway.stats())["local"]["bytes"]) - before

        await eventually(written, lambda count: count > 600_000, "several rings were written", DEADLINE_S)
        assert seqs == list(range(seqs[0], seqs[0] + len(seqs))), "nobody else is slowed down"
        interrupted = await next_of(slow, is_a(Interrupted))
        assert interrupted.reason.startswith("this program was too slow: ")
        restored = await slow.receive()
        assert isinstance(restored, Restored)
        assert restored.channels == ("ticker:BTCUSDT", "trade:BTCUSDT")
        assert (await next_of(slow, is_of(TICKER)))["type"] == "snapshot"


async def test_a_program_that_is_killed_gives_back_what_it_wanted() -> None:
    async with scene_of() as scene:
        gateway = await scene.gateway()
        program = (
            "import sys, feedmux as f; list(f.LocalClient.topics('ticker:BTCUSDT', gateway=sys.argv[1]))"
        )
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", program, scene.name, env=environment(), stdin=DEVNULL
        )
        try:
            await scene.venue.carries("tickers.BTCUSDT")
        finally:
            process.kill()
            await process.wait()
        await scene.venue.carries()
        stats = await gateway.stats()
        assert (stats["local"]["clients"], stats["local"]["clients_lifetime"]) == (0, 1)
