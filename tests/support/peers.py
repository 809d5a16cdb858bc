"""Servers that behave, servers that do not, and a user that remembers what it was told."""

from __future__ import annotations

import asyncio
import contextlib
import random
import struct
import time
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from hashlib import sha1
from pathlib import Path
from ssl import SSLContext

from feedmux.client.carrier import Carrier
from feedmux.client.settings import LinkConfig
from support import waiting

PATIENCE_S = 5.0
TURNS_TO_ACCEPT = 5
TEXT, BINARY, CONTINUATION, CLOSE, PING, PONG = 1, 2, 0, 8, 9, 10

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class SystemClock:
    def monotonic(self) -> float:
        return time.monotonic()

    def time_ns(self) -> int:
        return time.time_ns()


class HighDice:
    """Always the longest wait."""

    def uniform(self, low: float, high: float, /) -> float:
        return high


async def until(condition: Callable[[], bool], what: str = "the condition") -> None:
    """Let the loop turn until something holds."""
    await waiting.until(condition, what, PATIENCE_S)


def open_descriptors() -> int:
    """Count what this process holds open."""
    return len(list(Path("/proc/self/fd").iterdir()))


class User:
    """A link's user: remembers, and does what a test tells it to."""

    def __init__(self) -> None:
        self.link: Carrier
        self.events: list[tuple[str, object]] = []
        self.waits: list[float] = []
        self.on_opened: Callable[[], None] = lambda: None
        self.on_received: Callable[[bytes], None] = lambda payload: None
        self.on_lost: Callable[[], None] = lambda: None
        self.on_retrying: Callable[[], None] = lambda: None
        self.on_ping: Callable[[], bytes | None] = lambda: None

    def opened(self) -> None:
        self.events.append(("opened", None))
        self.on_opened()

    def received(self, payload: bytes) -> None:
        self.events.append(("received", payload))
        self.on_received(payload)

    received_binary = received

    def lost(self, reason: str) -> None:
        self.events.append(("lost", reason))
        self.on_lost()

    def retrying(self, reason: str, wait_s: float) -> None:
        self.events.append(("retrying", reason))
        self.waits.append(wait_s)
        self.on_retrying()

    def ping(self) -> bytes | None:
        return self.on_ping()

    def all(self, name: str) -> list[object]:
        return [value for event, value in self.events if event == name]

    async def saw(self, name: str, count: int = 1) -> list[object]:
        await until(lambda: len(self.all(name)) >= count, f"{count} × {name} in {self.events}")
        return self.all(name)


QUICK = LinkConfig(
    connect_timeout_s=2.0,
    close_timeout_s=0.05,
    retry_delay_s=0.001,
    retry_multiplier=2.0,
    max_backoff_s=0.004,
    breaker_failures=0,
)


def make_link(
    url: str, config: LinkConfig = QUICK, *, user: User | None = None, ssl: SSLContext | None = None
) -> tuple[Carrier, User]:
    user = user or User()
    user.link = Carrier(url, user, config=config, clock=SystemClock(), dice=random.Random(1), ssl=ssl)
    return user.link, user


@contextlib.asynccontextmanager
async def running(link: Carrier) -> AsyncIterator[asyncio.Task[None]]:
    """Run a link in a task of its own; it ends in peace with the block."""
    task = asyncio.create_task(link.run())
    try:
        yield task
    finally:
        link.close()
        async with asyncio.timeout(PATIENCE_S):
            await task


@contextlib.asynccontextmanager
async def raw_server(talk: Talk, *, ssl: SSLContext | None = None) -> AsyncIterator[int]:
    """Serve bytes as ``talk`` wants, on a port that the system chooses."""
    talks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            try:
                await talk(reader, writer)
            finally:
                writer.transport.abort()
                await writer.wait_closed()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(serve(reader, writer))
        talks.add(task)
        task.add_done_callback(talks.discard)

    server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=ssl)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        for _ in range(TURNS_TO_ACCEPT):  # whom the kernel has accepted comes in one of the next turns
            await asyncio.sleep(0)
        server.close()
        for task in tuple(talks):
            task.cancel()
        await asyncio.gather(*talks, return_exceptions=True)
        await server.wait_closed()


async def read_request(reader: asyncio.StreamReader) -> bytes:
    return await reader.readuntil(b"\r\n\r\n")


async def upgrade(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, extra: bytes = b"", headers: bytes = b""
) -> bytes:
    """Answer the upgrade request, with ``extra`` bytes in the same segment; return the request.

    ``headers`` are more of them, each with its line end.
    """
    request = await read_request(reader)
    key = next(line for line in request.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key"))
    digest = sha1(key.split(b": ")[1] + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
    writer.write(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + b64encode(digest) + b"\r\n" + headers + b"\r\n" + extra
    )
    return request


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0) -> bytes:
    """One server frame, right or wrong. Source: RFC 6455 §5.2."""
    first = (0x80 if fin else 0) | rsv << 4 | opcode
    if len(payload) < 126:
        return struct.pack("!BB", first, len(payload)) + payload
    if len(payload) < 65536:
        return struct.pack("!BBH", first, 126, len(payload)) + payload
    return struct.pack("!BBQ", first, 127, len(payload)) + payload


async def read_frame(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """Read one short client frame: its opcode and its unmasked payload."""
    first, second = await reader.readexactly(2)
    assert second & 0x80, "a client's frame is masked"
    length = second & 0x7F
    if length == 126:
        (length,) = struct.unpack("!H", await reader.readexactly(2))
    mask = await reader.readexactly(4)
    payload = await reader.readexactly(length)
    return first & 0xF, bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))


def says(*frames: bytes) -> Talk:
    """A server that upgrades, sends frames at once, reads, and hangs up when the client closes."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await upgrade(reader, writer, b"".join(frames))
        while (await read_frame(reader))[0] != CLOSE:
            continue

    return talk
