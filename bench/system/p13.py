"""P13: how long after a kill -9 of a worker are new clients served, and of the feed are those who stay live?

Workers are killed by turns. At that moment so many clients come that some of them are dealt to the listener
of the one that is dead, and wait there for its successor: what counts is when the last of them has the first
value of its stream. When the feed is killed, it is when the last client was told `reconnecting`, then `live`,
and has a value. A gateway is started anew before it has restarted a child too often for its own rule.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import statistics
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, Final

import msgspec
from websockets.asyncio.client import ClientConnection, connect

from bench.report import Cell, say, table
from bench.system.gateway import Gateway
from bench.system.native import BenchError, Venue

WORKERS: Final = 2
COMING: Final = 16
"""Clients that come at once; once in 65,536 times none of them is dealt to the dead one's listener."""
TARGETS: Final = {"worker_s": 1.0, "feed_s": 5.0}
_FEED: Final = "the feed process"
_KILLS_EACH: Final = 8
"""Of one child of one gateway, which gives up at the eleventh."""
_PATIENCE_S: Final = 20.0
_VALUES: Final = frozenset({"snapshot", "update"})

Message = dict[str, Any]
Wanted = Callable[[Message], object]


def run(*, seconds: float, quick: bool) -> dict[str, Any]:
    """Kill workers, then feeds."""
    del seconds
    workers, feeds = (4, 2) if quick else (20, 10)
    figures: dict[str, Any] = {"workers": WORKERS, "clients_that_come": COMING, "targets_s": TARGETS}
    with Venue() as venue:
        venue.tell("rate 200")
        figures["worker_s"] = asyncio.run(_worker_kills(venue.port, workers))
        figures["feed_s"] = asyncio.run(_feed_kills(venue.port, feeds))
    _print(figures)
    return figures


async def _worker_kills(venue_port: int, count: int) -> list[dict[str, float]]:
    taken: list[dict[str, float]] = []
    while len(taken) < count:
        with Gateway(venue_port, workers=WORKERS) as gateway:
            await asyncio.gather(*(_served(gateway.port) for _ in range(COMING)))
            for number in range(min(_KILLS_EACH * WORKERS, count - len(taken))):
                taken.append(await _worker_kill(gateway, f"worker {number % WORKERS + 1}"))
                say(f"p13 {len(taken)}: everybody was served after {taken[-1]['last']:.3f} s")
    return taken


async def _worker_kill(gateway: Gateway, name: str) -> dict[str, float]:
    """Seconds until the first and the last of those who came had a value."""
    began = _kill(gateway, name)
    ends = await asyncio.gather(*(_served(gateway.port) for _ in range(COMING)))
    return {"first": min(ends) - began, "last": max(ends) - began}


async def _feed_kills(venue_port: int, count: int) -> list[dict[str, float]]:
    taken: list[dict[str, float]] = []
    while len(taken) < count:
        with Gateway(venue_port, workers=WORKERS) as gateway:
            async with contextlib.AsyncExitStack() as stack:
                clients = [await stack.enter_async_context(_client(gateway.port)) for _ in range(COMING)]
                for _ in range(min(_KILLS_EACH, count - len(taken))):
                    taken.append(await _feed_kill(gateway, clients))
                    say(f"p13 {len(taken)}: everybody was live after {taken[-1]['live']:.3f} s")
    return taken


async def _feed_kill(gateway: Gateway, clients: Sequence[ClientConnection]) -> dict[str, float]:
    """Seconds until the last of the clients was told each of three things."""
    reading = [asyncio.create_task(_told(client)) for client in clients]
    began = _kill(gateway, _FEED)
    ends = await asyncio.gather(*reading)
    return {name: max(end[name] for end in ends) - began for name in ("reconnecting", "live", "value")}


async def _told(client: ClientConnection) -> dict[str, float]:
    found = {}
    for state in ("reconnecting", "live"):
        await _until(client, lambda m, s=state: m.get("type") == "status" and m["data"]["state"] == s)  # type: ignore[misc]
        found[state] = time.monotonic()
    await _until(client, lambda m: m.get("type") in _VALUES)
    return {**found, "value": time.monotonic()}


async def _served(port: int) -> float:
    """When a client that comes now has the first value of its stream."""
    async with _client(port):
        return time.monotonic()


@contextlib.asynccontextmanager
async def _client(port: int) -> AsyncIterator[ClientConnection]:
    """A client that has the first value of a stream."""
    async with connect(f"ws://127.0.0.1:{port}/ws", compression=None, max_queue=None) as client:
        await client.send('{"op":"subscribe","args":["trade:BTCUSDT"]}')
        await _until(client, lambda message: message.get("type") in _VALUES)
        yield client


async def _until(client: ClientConnection, wanted: Wanted) -> None:
    try:
        async with asyncio.timeout(_PATIENCE_S):
            async for text in client:
                if wanted(msgspec.json.decode(text)):
                    return
    except TimeoutError:
        raise BenchError(f"a client was not served within {_PATIENCE_S:g} s") from None
    raise BenchError(f"a client was closed with {client.close_code}")


def _kill(gateway: Gateway, name: str) -> float:
    """End a child as the system does it that is out of memory; when."""
    began = time.monotonic()
    os.kill(gateway.children()[name], signal.SIGKILL)
    return began


def _print(figures: Mapping[str, Any]) -> None:
    rows: list[Sequence[Cell]] = []
    for killed in ("worker_s", "feed_s"):
        for event in figures[killed][0]:
            taken = sorted(one[event] for one in figures[killed])
            name = f"{killed.removesuffix('_s')}, {event}"
            rows.append([name, len(taken), statistics.median(taken), taken[-1]])
    table("Seconds after a kill -9", ["P13 kills", "times", "median", "worst"], rows)
    say(f"target: last within {TARGETS['worker_s']:g} s, live within {TARGETS['feed_s']:g} s")
