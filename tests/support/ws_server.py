"""A small server of the ``/ws`` protocol that sends what a test tells it to."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from typing import Any

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

STREAM = "mudrex.futures.trade.BTCUSDT"
Talk = Callable[[ServerConnection], Awaitable[None]]


def trade(seq: int, *, age_ms: float = 5.0, stamp: str = "", timestamp_ms: int = 1) -> str:
    """A trade as a gateway sends it.

    Args:
        seq: its place in the stream.
        age_ms: how long ago it was meant to be sent.
        stamp: its id, instead of that time.
        timestamp_ms: the venue's own time.
    """
    then = stamp or f"{time.monotonic_ns() - int(age_ms * 1e6):017d}"
    return json.dumps(
        {"stream": STREAM, "type": "update", "data": [{"id": then}], "timestamp": timestamp_ms, "seq": seq},
        separators=(",", ":"),
    )


async def acknowledge(connection: ServerConnection) -> Any:
    """Read the subscription and accept all of it; its args."""
    args = json.loads(await connection.recv())["args"]
    await connection.send(
        json.dumps({"op": "subscribe", "success": True, "args": args, "message": "", "rejected": None})
    )
    return args


async def send_steadily(connection: ServerConnection, texts: Iterable[str]) -> None:
    """Send these, about two hundred a second: as a market goes on while clients are measured."""
    for text in texts:
        await connection.send(text)
        await asyncio.sleep(0.005)


@asynccontextmanager
async def ws_server(talk: Talk) -> AsyncIterator[str]:
    """Serve each connection by ``talk``, then read until it goes; the URL."""

    async def converse(connection: ServerConnection) -> None:
        with suppress(ConnectionClosed):
            await talk(connection)
            async for _ in connection:
                continue

    async with serve(converse, "127.0.0.1", 0, compression=None, close_timeout=1.0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        yield f"ws://127.0.0.1:{port}/ws"
