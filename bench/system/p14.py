"""P14: when a part of a cluster fails, for how long are the clients of another node without values?

Two nodes around a Redis, in front of one venue; the client is at the node that does not have the venue's
connection, and hears 200 values a second. What counts is the time from the last value before it is told that
its stream is ``reconnecting`` to the first one after that. Every trial has nodes and a Redis of its own, and
the default lease.
"""

from __future__ import annotations

import asyncio
import os
import signal
import statistics
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

import msgspec
from websockets.asyncio.client import connect

from bench.report import Cell, say, table
from bench.system.native import BenchError
from bench.system.nodes import Nodes, nodes
from bench.system.redis import Redis, redis

TARGET_S: Final = 5.0
"""For an owner that is killed."""
ASLEEP_S: Final = 10.0
AWAY_S: Final = 5.0
"""For longer than a lease."""
_PATIENCE_S: Final = 40.0
_VALUES: Final = frozenset({"snapshot", "update"})
_ARG: Final = "trade:BTCUSDT"

Fail = Callable[[Redis, Nodes], Awaitable[None]]


async def _owner_is_killed(_: Redis, cluster: Nodes) -> None:
    os.kill(cluster.owner.pid, signal.SIGKILL)


async def _owner_is_told_to_end(_: Redis, cluster: Nodes) -> None:
    os.kill(cluster.owner.pid, signal.SIGTERM)


async def _owner_hangs(_: Redis, cluster: Nodes) -> None:
    os.kill(cluster.owner.pid, signal.SIGSTOP)


async def _redis_is_started_again(server: Redis, _: Nodes) -> None:
    server.kill()
    await server.restart()


async def _redis_is_away(server: Redis, _: Nodes) -> None:
    server.kill()
    await asyncio.sleep(AWAY_S)
    await server.restart()


async def _redis_answers_nobody(server: Redis, _: Nodes) -> None:
    os.kill(server.pid, signal.SIGSTOP)
    await asyncio.sleep(ASLEEP_S)
    os.kill(server.pid, signal.SIGCONT)


async def _redis_ends_connections(server: Redis, _: Nodes) -> None:
    for kind in ("normal", "pubsub"):
        server.ask("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")


FAILURES: Final[Mapping[str, Fail]] = {
    "the owner is killed": _owner_is_killed,
    "the owner is told to end": _owner_is_told_to_end,
    "the owner hangs": _owner_hangs,
    "Redis is killed and started again": _redis_is_started_again,
    f"Redis is killed and started again after {AWAY_S:g} s": _redis_is_away,
    f"Redis answers nobody for {ASLEEP_S:g} s": _redis_answers_nobody,
    "Redis ends connections": _redis_ends_connections,
}


def run(*, seconds: float, quick: bool) -> dict[str, Any]:
    """Let each part fail a few times."""
    del seconds
    trials = 1 if quick else 5
    without_s: dict[str, list[float]] = {}
    for name, fail in FAILURES.items():
        without_s[name] = [_trial(fail) for _ in range(trials)]
        say(f"p14 {name}: {', '.join(f'{one:.2f}' for one in without_s[name])} s")
    figures = {"without_values_s": without_s, "target_s": TARGET_S}
    _print(without_s)
    return figures


def _trial(fail: Fail) -> float:
    with redis() as server, nodes(server, client_bytes=420) as cluster:
        cluster.venue.tell("rate 200")
        try:
            return asyncio.run(_without(server, cluster, fail))
        finally:
            os.kill(cluster.owner.pid, signal.SIGCONT)  # else it cannot end


async def _without(server: Redis, cluster: Nodes, fail: Fail) -> float:
    """Seconds without values."""
    url = f"ws://127.0.0.1:{cluster.follower.port}/ws"
    async with connect(url, compression=None, max_queue=None) as client:
        await client.send(msgspec.json.encode({"op": "subscribe", "args": [_ARG]}).decode())
        failing: asyncio.Task[None] | None = None
        last = began = 0.0
        state = "live"
        try:
            async with asyncio.timeout(_PATIENCE_S):
                async for text in client:
                    message, now = msgspec.json.decode(text), time.monotonic()
                    if message.get("type") == "status":
                        state = message["data"]["state"]
                        began = began or (last if state == "reconnecting" else 0.0)
                    elif message.get("type") in _VALUES:
                        last = now
                        if began:
                            break
                        failing = failing or asyncio.create_task(_soon(fail, server, cluster))
        except TimeoutError:
            raise BenchError(f"no value within {_PATIENCE_S:g} s; the stream is {state}") from None
    if not began or failing is None:
        raise BenchError("the client was closed")
    await failing
    return last - began


async def _soon(fail: Fail, server: Redis, cluster: Nodes) -> None:
    """When values have come for a while."""
    await asyncio.sleep(1.0)
    await fail(server, cluster)


def _print(without_s: Mapping[str, Sequence[float]]) -> None:
    rows: list[Sequence[Cell]] = [
        [name, len(taken), min(taken), statistics.median(taken), max(taken)]
        for name, taken in without_s.items()
    ]
    columns = ["P14, clients of another node", "times", "shortest s", "median", "longest"]
    table("Seconds without values when a part of a cluster fails", columns, rows)
    say(f"target: within {TARGET_S:g} s when the owner is killed")
