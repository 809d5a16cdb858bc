"""A link through a network that does all that networks do: afterwards the wanted set is whole again."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import NamedTuple

import msgspec
import pytest

from feedmux.client.events import Interrupted, Restored
from feedmux.client.link import Link, LinkState
from feedmux.client.settings import LinkConfig
from feedmux.sim.faults import FaultProxy
from support.peers import open_descriptors
from support.rpc_server import RpcServer, rpc_server
from support.waiting import until

pytestmark = pytest.mark.e2e

CHANNELS = ["trades.a", "book.b", "user.c"]
CONFIG = LinkConfig(
    connect_timeout_s=2.0,
    request_timeout_s=2.0,
    close_timeout_s=0.1,
    retry_delay_s=0.01,
    max_backoff_s=0.05,
    breaker_failures=0,
    ping_interval_s=0.2,
    ping_timeout_s=0.2,
)


class Scene(NamedTuple):
    server: RpcServer
    proxy: FaultProxy
    link: Link
    seen: list[object]


@asynccontextmanager
async def scene(config: LinkConfig = CONFIG) -> AsyncIterator[Scene]:
    """A server, a proxy in front of it, and a link that is live and subscribed."""
    seen: list[object] = []
    async with rpc_server() as server:
        proxy = FaultProxy("127.0.0.1", int(server.url.rpartition(":")[2].strip("/")))
        await proxy.start()
        try:
            async with Link(f"ws://127.0.0.1:{proxy.port}/", config=config, listener=seen.append) as link:
                await link.subscribe(CHANNELS)
                yield Scene(server, proxy, link, seen)
        finally:
            await proxy.stop()


async def is_whole(set_up: Scene, restored: int) -> None:
    """The link was restored so often, its wanted set is held, and data and requests pass."""
    server, _, link, seen = set_up
    await until(lambda: len(of(seen, Restored)) >= restored, f"restored {restored} times")
    await until(lambda: link.state is LinkState.LIVE)
    assert sorted(server.wanted) == sorted(CHANNELS)
    assert await link.request("echo", [1], repeatable=True) == [1]
    before = len(seen)
    await server.publish("trades.a", "whole")
    await until(lambda: len(seen) > before, "data passes")


def of(seen: list[object], kind: type) -> list[object]:
    return [item for item in seen if isinstance(item, kind)]


async def cut(set_up: Scene) -> None:
    set_up.proxy.cut()


async def stall(set_up: Scene) -> None:
    """The host vanishes: nothing is answered any more, and nobody says so."""
    set_up.proxy.stall()
    await until(lambda: of(set_up.seen, Interrupted), "the silence is noticed")
    set_up.proxy.resume()


async def refuse(set_up: Scene) -> None:
    """Nobody is there for a while."""
    await set_up.proxy.refuse(True)
    set_up.proxy.cut()
    failures = set_up.link.statistics()["connection"]["attempts"] + 3  # type: ignore[index]
    await until(lambda: set_up.link.statistics()["connection"]["attempts"] >= failures)  # type: ignore[index]
    await set_up.proxy.refuse(False)


async def dribble(set_up: Scene) -> None:
    """Every byte comes by itself, the upgrade and all answers included."""
    set_up.proxy.dribble(1)
    set_up.proxy.cut()


async def reset_in_mid_frame(set_up: Scene) -> None:
    set_up.proxy.reset_after(40)
    await set_up.server.publish("trades.a", "x" * 500)


async def garbage(set_up: Scene) -> None:
    """Bytes that are no frame."""
    for connection in set_up.server.open:
        connection.transport.write(b"\xff\xff\xff\xff this is no frame")


def closes_with(code: int) -> Callable[[Scene], Awaitable[None]]:
    async def close(set_up: Scene) -> None:
        for connection in list(set_up.server.open):
            await connection.close(code, "said the test")

    close.__name__ = f"close_{code}"
    return close


CODES = (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 4000)
FAULTS = [cut, stall, refuse, dribble, reset_in_mid_frame, garbage, *map(closes_with, CODES)]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
async def test_after_every_fault_the_link_is_whole_again(fault: Callable[[Scene], Awaitable[None]]) -> None:
    async with scene() as set_up:
        await fault(set_up)
        await is_whole(set_up, 1)
        assert len(of(set_up.seen, Interrupted)) == len(of(set_up.seen, Restored))


async def test_faults_without_end_leave_nothing_behind() -> None:
    async with scene() as set_up:
        descriptors, tasks = open_descriptors(), len(asyncio.all_tasks())
        for number in range(1, 201):
            set_up.proxy.cut()
            await is_whole(set_up, number)
        gc.collect()
        await until(lambda: len(asyncio.all_tasks()) <= tasks, "no task is left")
        assert open_descriptors() <= descriptors
        statistics = set_up.link.statistics()
        assert statistics["requests"]["in_flight"] == 0  # type: ignore[index]
        assert (statistics["channels"], statistics["held"]) == (3, 3)


async def test_everything_that_was_missed_lies_between_two_notices() -> None:
    """The server counts; the reader misses numbers only where it was told that something is missing."""
    async with scene(msgspec.structs.replace(CONFIG, ping_interval_s=5.0)) as set_up:
        for number in range(600):
            if number % 60 == 30:
                set_up.proxy.cut()
            await set_up.server.publish("trades.a", number)
            await asyncio.sleep(0.001)
        await is_whole(set_up, 10)
    last, told = -1, True
    for item in set_up.seen[:-1]:
        if isinstance(item, Interrupted | Restored):
            told = True
            continue
        number = item["params"]["data"]  # type: ignore[index]
        assert told or number == last + 1, f"{number} after {last}"
        last, told = number, False
