"""A venue, a gateway that offers its topics to local programs, and programs that read them."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from feedmux.client import AsyncLocalClient, AsyncLocalTopics
from feedmux.client.peer import peer_of
from feedmux.wire.local_address import gateway_address
from support.local import broker_name
from support.processes import DEADLINE_S, Gateway, Stage, Venue, stage
from support.streams import VALUES

TICKER, TRADES = "mudrex.futures.ticker.BTCUSDT", "mudrex.futures.trade.BTCUSDT"


class Scene:
    """A venue, a gateway that offers its topics under a name of its own, and programs that read them."""

    def __init__(self, set_up: Stage, venue: Venue, name: str) -> None:
        self.set_up, self.venue, self.name = set_up, venue, name
        self.open: list[AsyncLocalTopics] = []

    async def gateway(self, *options: str, **settings: object) -> Gateway:
        ours = {"LOCAL": "on", "LOCAL_NAME": self.name, "UNSUBSCRIBE_LINGER": "0.1"}
        return await self.set_up.gateway(self.venue.url, *options, **(ours | settings))

    async def topics(self, *topics: str, **how: Any) -> AsyncLocalTopics:
        """A program, in this process, that has begun to read."""
        found = AsyncLocalClient.topics(*topics, gateway=self.name, **how)
        await found.start()
        self.open.append(found)
        return found


@asynccontextmanager
async def scene_of(*venue: str) -> AsyncIterator[Scene]:
    with broker_name() as name:
        async with stage() as set_up:
            scene = Scene(set_up, await set_up.venue(*venue), name)
            try:
                yield scene
            finally:
                for topics in scene.open:
                    await topics.close()


async def next_of(topics: AsyncLocalTopics, wanted: Callable[[Any], object], most: int = 100_000) -> Any:
    """The next item that is wanted; others are passed over."""
    async with asyncio.timeout(DEADLINE_S):
        for _ in range(most):
            item = await topics.receive()
            if wanted(item):
                return item
    raise AssertionError("it did not come")


def is_a(kind: type) -> Callable[[Any], bool]:
    return lambda item: isinstance(item, kind)


def is_of(stream: str, *kinds: str) -> Callable[[Any], bool]:
    wanted = kinds or VALUES
    return lambda item: isinstance(item, dict) and item["stream"] == stream and item["type"] in wanted


def server_of(name: str) -> int:
    """The process that offers topics under this name."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(gateway_address(os.getuid(), name))
        return peer_of(sock).pid
