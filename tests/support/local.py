"""Brokers of a test's own, and a WebSocket server that remembers, for clients that share it."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from itertools import count
from pathlib import Path

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from feedmux.client.peer import peer_of
from feedmux.wire.local_address import address
from support.descent import is_gone
from support.running import environment
from support.waiting import until

_NUMBERS = count(1)


@contextmanager
def broker_name() -> Iterator[str]:
    """A name that no other test uses; whoever is the broker of it at the end is killed."""
    name = f"test-{os.getpid()}-{next(_NUMBERS)}"
    try:
        yield name
    finally:
        while (pid := broker_pid(name)) is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def broker_pid(name: str) -> int | None:
    """The process of a broker; None: there is none."""
    with socket.socket(socket.AF_UNIX) as sock:
        try:
            sock.connect(address(os.getuid(), name))
        except ConnectionError:
            return None
        return peer_of(sock).pid


def is_listed(name: str) -> bool:
    """Whether the system knows an abstract socket of this broker, or of somebody who starts it."""
    listed = Path("/proc/net/unix").read_text().splitlines()
    return any(line.endswith((f"@feedmux-share-{os.getuid()}-{name}", f"-{name}")) for line in listed)


@asynccontextmanager
async def broker(name: str, *options: str) -> AsyncIterator[Process]:
    """A broker with options, which listens already; it is gone with the block."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "feedmux", "share", "--name", name, *options),
        env=environment(),
        stdin=DEVNULL,
        stdout=DEVNULL,
    )
    try:
        await until(lambda: broker_pid(name) is not None, "the broker listens")
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


class Upstream:
    """A WebSocket server that remembers; it answers a text that begins with ``echo`` with the rest of it."""

    def __init__(self) -> None:
        self.server: Server
        self.opens = 0
        self.heard: list[str | bytes] = []
        """What all connections said, in order; ``+`` where one begins."""
        self.connections: set[ServerConnection] = set()

    @property
    def url(self) -> str:
        """Where it is."""
        return f"ws://127.0.0.1:{next(iter(self.server.sockets)).getsockname()[1]}/stream"

    async def push(self, *messages: str | bytes) -> None:
        """Send to everybody who is connected, one after the other."""
        for message in messages:
            for connection in list(self.connections):
                with suppress(ConnectionClosed):
                    await connection.send(message)

    def cut(self) -> None:
        """Break every connection, without a word."""
        for connection in self.connections:
            connection.transport.abort()

    async def hears(self, *messages: str | bytes) -> None:
        """Wait until these were said, whatever stands between them."""
        await until(lambda: _is_within(messages, self.heard), f"{messages} in {self.heard}")

    async def talk(self, connection: ServerConnection) -> None:
        """Serve a connection."""
        self.opens += 1
        self.heard.append("+")
        self.connections.add(connection)
        with suppress(ConnectionClosed):
            async for message in connection:
                self.heard.append(message)
                if message[:5] in ("echo ", b"echo "):
                    await connection.send(message[5:])
        self.connections.discard(connection)


@asynccontextmanager
async def upstream() -> AsyncIterator[Upstream]:
    """Serve until the block ends."""
    found = Upstream()
    async with serve(
        found.talk, "127.0.0.1", 0, compression=None, max_size=None, close_timeout=1.0
    ) as server:
        found.server = server
        yield found


async def gone(pid: int) -> None:
    """Wait until a process has ended."""
    await until(lambda: is_gone(pid), f"the process {pid} ends")


def _is_within(wanted: tuple[str | bytes, ...], heard: list[str | bytes]) -> bool:
    rest = iter(heard)
    return all(any(each == message for message in rest) for each in wanted)
