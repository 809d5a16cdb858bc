"""redis-py's asyncio client in the seed's scheme: one ``PUBLISH`` for each message, one message at a time.

The writer awaits the answer to each message before it publishes the next. The reader takes one from
``PubSub.listen()``, parses it and writes it again as JSON, and lets the loop turn before it takes another.
What the seed does then (a task with a deadline for each client) is not here.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import redis.asyncio

from bench.bus.port import TOPICS, Eye

_CHANNELS = [f"bench:stream:trade:S{number:03d}USDT" for number in range(TOPICS)]


class _Sender:
    def __init__(self, client: redis.asyncio.Redis) -> None:
        self._client = client

    async def send(self, messages: Sequence[tuple[int, bytes]]) -> None:
        for topic, text in messages:
            await self._client.publish(_CHANNELS[topic], text)


@asynccontextmanager
async def open_writer(redis_port: int) -> AsyncIterator[_Sender]:
    """A client with one connection."""
    async with redis.asyncio.Redis(host="127.0.0.1", port=redis_port) as client:
        await client.ping()
        yield _Sender(client)


@asynccontextmanager
async def open_reader(redis_port: int, eye: Eye) -> AsyncIterator[None]:
    """A listener that is subscribed to every topic."""
    async with redis.asyncio.Redis(host="127.0.0.1", port=redis_port) as client, client.pubsub() as pubsub:
        await pubsub.subscribe(*_CHANNELS)
        ready = asyncio.Event()
        listening = asyncio.ensure_future(_listen(pubsub, eye, ready))
        await ready.wait()
        try:
            yield
        finally:
            listening.cancel()


async def _listen(pubsub: redis.asyncio.client.PubSub, eye: Eye, ready: asyncio.Event) -> None:
    async for said in pubsub.listen():
        if said["type"] == "subscribe" and said["data"] == TOPICS:
            ready.set()
        elif said["type"] == "message":
            value = json.loads(said["data"])
            json.dumps(value)
            eye.see(int(value["data"][0]["id"]))
            await asyncio.sleep(0)
