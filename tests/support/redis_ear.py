"""Whoever has a link to Redis, in tests: keeps all that it is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from feedmux.bus.redis import RedisLink
from feedmux.bus.redis_config import RedisConfig, RedisRefused
from feedmux.core.reconnect import Backoff
from feedmux.model.errors import FeedmuxError
from support.waiting import until

SOON = Backoff(initial=0.01, multiplier=2.0, ceiling=0.1)


class RedisEar:
    """The owner of a link."""

    def __init__(self) -> None:
        self.opens = 0
        self.losses: list[FeedmuxError] = []
        self.messages: list[tuple[bytes, bytes]] = []
        self.refusals: list[tuple[list[bytes], RedisRefused]] = []

    def opened(self) -> None:
        self.opens += 1

    def disconnected(self, error: FeedmuxError) -> None:
        self.losses.append(error)

    def message(self, channel: bytes, body: bytes) -> None:
        self.messages.append((channel, body))

    def mark(self, channel: bytes, count: int) -> bytes:
        return b"mark %d" % count

    def refused(self, channels: Sequence[bytes], error: RedisRefused) -> None:
        self.refusals.append((list(channels), error))

    def heard(self, channel: bytes) -> list[bytes]:
        """What came on one channel."""
        return [body for name, body in self.messages if name == channel]


@asynccontextmanager
async def running_link(
    config: RedisConfig, may_publish: Callable[[], bool] = lambda: True
) -> AsyncIterator[tuple[RedisLink, RedisEar]]:
    """A link that runs, open or not; it is closed with the block."""
    ear = RedisEar()
    link = RedisLink(config, ear, may_publish=may_publish)
    running = asyncio.ensure_future(link.run())
    try:
        yield link, ear
    finally:
        link.close()
        async with asyncio.timeout(10):
            await running


@asynccontextmanager
async def open_link(
    config: RedisConfig, may_publish: Callable[[], bool] = lambda: True
) -> AsyncIterator[tuple[RedisLink, RedisEar]]:
    """A link that is open."""
    async with running_link(config, may_publish) as (link, ear):
        await until(lambda: link.is_open, "the link is open")
        yield link, ear
