"""A WebSocket server that remembers what it was sent, says what it is told to, and echoes what asks for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from websockets.asyncio.server import ServerConnection, broadcast, serve
from websockets.exceptions import ConnectionClosed

from support.waiting import until


class Upstream:
    """``received`` has all messages of all connections, ``opened`` counts these."""

    def __init__(self) -> None:
        self.url = ""
        self.opened = 0
        self.connections: set[ServerConnection] = set()
        self.received: list[str | bytes] = []

    async def converse(self, connection: ServerConnection) -> None:
        self.opened += 1
        self.connections.add(connection)
        try:
            async for message in connection:
                self.received.append(message)
                if message in ("go", b"go"):
                    await connection.send(message)
        except ConnectionClosed:
            pass
        finally:
            self.connections.discard(connection)

    def say(self, message: str | bytes) -> None:
        """Send it over every connection."""
        broadcast(self.connections, message)

    async def cut(self) -> None:
        """End every connection without a word."""
        for connection in list(self.connections):
            connection.transport.abort()
        await until(lambda: not self.connections, "all connections are cut")

    async def got(self, *messages: str | bytes) -> None:
        """Wait until exactly these messages have come."""
        await until(lambda: self.received == list(messages), f"{messages}; there are {self.received}")

    async def has(self, count: int) -> None:
        """Wait until so many connections are open."""
        await until(lambda: len(self.connections) == count, f"{count} connections")


@asynccontextmanager
async def upstream() -> AsyncIterator[Upstream]:
    """Serve on a port that the system chooses."""
    made = Upstream()
    async with serve(made.converse, "127.0.0.1", 0, compression=None, close_timeout=1.0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        made.url = f"ws://127.0.0.1:{port}/v2"
        yield made
        await asyncio.sleep(0)
