"""The seed's scheme without a library: what one ``PUBLISH`` for each message costs at the least.

An ``asyncio.Protocol`` sends a command, and the next one when the answer is there. The reader parses each
message with hiredis, reads and writes it as JSON, and lets the loop turn before it takes another.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

import hiredis

from bench.bus.port import TOPICS, Eye

_pack = cast(Callable[[tuple[bytes, ...]], bytes], hiredis.pack_command)
_CHANNELS = [b"bench:stream:trade:S%03dUSDT" % number for number in range(TOPICS)]


class _Connection(asyncio.Protocol):
    """Keeps what Redis says until it is asked for."""

    def __init__(self) -> None:
        self._parser = hiredis.Reader(notEnoughData=self)
        self._said: deque[Any] = deque()
        self._waiting: asyncio.Future[None] | None = None

    def data_received(self, data: bytes) -> None:
        self._parser.feed(data)
        while (said := self._parser.gets()) is not self:
            self._said.append(said)
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    async def said(self) -> Any:
        """What it says next."""
        while not self._said:
            self._waiting = asyncio.get_running_loop().create_future()
            await self._waiting
        return self._said.popleft()


class _Sender:
    def __init__(self, transport: asyncio.Transport, connection: _Connection) -> None:
        self._transport, self._connection = transport, connection

    async def send(self, messages: Sequence[tuple[int, bytes]]) -> None:
        for topic, text in messages:
            self._transport.write(_pack((b"PUBLISH", _CHANNELS[topic], text)))
            await self._connection.said()


@asynccontextmanager
async def open_writer(redis: int) -> AsyncIterator[_Sender]:
    """One connection."""
    loop = asyncio.get_running_loop()
    transport, connection = await loop.create_connection(_Connection, "127.0.0.1", redis)
    yield _Sender(transport, connection)
    transport.close()


@asynccontextmanager
async def open_reader(redis: int, eye: Eye) -> AsyncIterator[None]:
    """A listener that is subscribed to every topic."""
    loop = asyncio.get_running_loop()
    transport, connection = await loop.create_connection(_Connection, "127.0.0.1", redis)
    transport.write(_pack((b"SUBSCRIBE", *_CHANNELS)))
    for _ in _CHANNELS:
        await connection.said()
    listening = asyncio.ensure_future(_listen(connection, eye))
    try:
        yield
    finally:
        listening.cancel()
        transport.close()


async def _listen(connection: _Connection, eye: Eye) -> None:
    while True:
        _kind, _channel, text = await connection.said()
        value = json.loads(text)
        json.dumps(value)
        eye.see(int(value["data"][0]["id"]))
        await asyncio.sleep(0)
