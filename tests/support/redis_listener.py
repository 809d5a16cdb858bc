"""A program that listens to channels of Redis as it did to the Mudrex proxy's: a socket, and plain RESP2."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from support.redis import RedisServer
from support.resp import packed
from support.waiting import until

HOST: Final = "127.0.0.1"
Message = dict[str, Any]


class Listener:
    """One connection, and everything that came over it, in order."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader = reader
        self.confirmed = 0
        self.heard: list[tuple[str, bytes]] = []

    def of(self, channel: str) -> list[Message]:
        """The messages of one channel."""
        return [json.loads(text) for name, text in self.heard if name == channel]

    async def hears(self, channel: str, count: int) -> None:
        """Wait until so many messages came on a channel."""
        await until(lambda: len(self.of(channel)) >= count, f"{count} messages on {channel}")

    async def read(self) -> None:
        """Read until the connection ends."""
        while not self._reader.at_eof():
            try:
                kind, *rest = await self._item()
            except (asyncio.IncompleteReadError, ConnectionError):
                return
            if kind in (b"message", b"pmessage"):
                *_, channel, text = rest
                self.heard.append((channel.decode(), text))
            else:
                self.confirmed += 1

    async def _item(self) -> Any:
        line = await self._reader.readuntil(b"\r\n")
        size = int(line[1:])
        if line[:1] == b"*":
            return [await self._item() for _ in range(size)]
        if line[:1] == b"$":
            return (await self._reader.readexactly(size + 2))[:-2]
        assert line[:1] == b":", f"Redis said {line!r}"
        return size


@asynccontextmanager
async def listening(redis: RedisServer, command: str, *channels: str) -> AsyncIterator[Listener]:
    """Listen, by ``SUBSCRIBE`` or ``PSUBSCRIBE``; it has begun when the block does."""
    reader, writer = await asyncio.open_connection(HOST, redis.port)
    listener = Listener(reader)
    writer.write(packed(command, *channels))
    reading = asyncio.ensure_future(listener.read())
    try:
        await until(lambda: listener.confirmed == len(channels), "Redis confirms the channels")
        yield listener
    finally:
        reading.cancel()
        await asyncio.wait({reading})
        writer.close()


def holders(redis: RedisServer) -> dict[str, int]:
    """The proxy's hash of how many hold what."""
    answer = redis.ask("HGETALL", "mudrex:subscriptions")
    assert isinstance(answer, list)
    texts = [part.decode() for part in answer if isinstance(part, bytes)]
    return dict(zip(texts[::2], map(int, texts[1::2]), strict=True))


def carried(redis: RedisServer) -> set[str]:
    """The proxy's set of what the venue is subscribed to."""
    answer = redis.ask("SMEMBERS", "mudrex:upstream:subscribed")
    assert isinstance(answer, list)
    return {member.decode() for member in answer if isinstance(member, bytes)}
