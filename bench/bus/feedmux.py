"""The ends that nodes use: a :class:`RedisWriter` and a :class:`RedisReader`, without nodes around them.

What one turn of the writer's loop brings leaves in one write; the reader takes what the socket gives.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from bench.bus.port import TOPICS, Eye, number_of
from feedmux.bus.redis_bus import RedisBusConfig, RedisReader, RedisWriter
from feedmux.bus.redis_config import RedisConfig
from feedmux.model.event import Envelope, EventKind
from feedmux.model.topic import Topic

_BUS = RedisBusConfig(prefix="bench")
_TOPICS = [Topic("public", "bybit", "linear", "trade", f"S{number:03d}USDT") for number in range(TOPICS)]


class _Sender:
    """Publishes, and answers each want with a first value, as a feed does."""

    def __init__(self, redis: int) -> None:
        life = time.time_ns()
        config = RedisConfig(host="127.0.0.1", port=redis)
        self.writer = RedisWriter(config, _BUS, life=life, monotonic=time.monotonic)
        self.writer.serve(self)
        self._seq = 0

    async def send(self, messages: Sequence[tuple[int, bytes]]) -> None:
        publish, now = self.writer.publish, time.time_ns()
        for topic, text in messages:
            self._seq += 1
            publish(Envelope(_TOPICS[topic], 1, self._seq, EventKind.UPDATE, now, now, "", text))

    def want(self, topic: Topic, holder: str, asker: int = 0) -> None:
        self.writer.publish(Envelope(topic, 1, self._seq, EventKind.SNAPSHOT, 0, 0, "", b"{}"))

    def drop(self, topic: Topic, holder: str) -> None:
        """Nothing is kept."""

    def forget(self, holder: str) -> None:
        """Nothing is kept."""


class _Sink:
    """Sees messages, and knows when all topics have come."""

    def __init__(self, eye: Eye) -> None:
        self._eye = eye
        self._awaited = set(_TOPICS)
        self.live = asyncio.Event()

    def receive(self, envelope: Envelope) -> None:
        if envelope.kind is EventKind.UPDATE:
            self._eye.see(number_of(envelope.payload))
        elif envelope.kind is EventKind.GAP:
            self._eye.warned()
        elif envelope.kind is EventKind.SNAPSHOT:
            self._awaited.discard(envelope.topic)
            if not self._awaited:
                self.live.set()


@asynccontextmanager
async def open_writer(redis: int) -> AsyncIterator[_Sender]:
    """A writer that is ready for readers."""
    sender = _Sender(redis)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(sender.writer.run())
        yield sender
        sender.writer.close()


@asynccontextmanager
async def open_reader(redis: int, eye: Eye) -> AsyncIterator[None]:
    """A reader that has the first value of every topic."""
    sink = _Sink(eye)
    config = RedisConfig(host="127.0.0.1", port=redis)
    reader = RedisReader(sink, config, _BUS, holder="bench", life=time.time_ns(), monotonic=time.monotonic)
    for topic in _TOPICS:
        reader.want(topic)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(reader.run())
        await sink.live.wait()
        yield
        reader.close()
