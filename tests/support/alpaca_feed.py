"""A driver on a small Alpaca, and all that it published; and what Alpaca says of its symbols."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from feedmux.client.carrier import Carrier
from feedmux.client.clock import SystemClock
from feedmux.client.settings import LinkConfig
from feedmux.feed.driver import Driver, DriverConfig
from feedmux.model.event import State
from feedmux.model.ports import Clock
from feedmux.model.topic import PUBLIC, Topic
from feedmux.venue.alpaca import Alpaca
from support.alpaca_server import KEY, SECRET, AlpacaServer
from support.feeds import QUICK
from support.published import Published
from support.waiting import until

SYMBOL = "AAPL"


def topic(kind: str, symbol: str = SYMBOL) -> Topic:
    """A topic of Alpaca's; candles are those of a minute."""
    return Topic(PUBLIC, "alpaca", "", kind, symbol, "1" if kind == "kline" else "")


def trade(number: int, symbol: str = SYMBOL, *, price: float = 126.55) -> dict[str, Any]:
    """The ``number``-th trade of its symbol."""
    at = f"2026-11-20T15:30:00.{number:09}Z"
    return {
        "T": "t", "S": symbol, "i": number, "x": "V", "p": price, "s": 100, "c": ["@"], "z": "C", "t": at
    }  # fmt: skip


def quote(number: int, symbol: str = SYMBOL, *, bid: float = 126.5) -> dict[str, Any]:
    """The ``number``-th quote of its symbol."""
    at = f"2026-11-20T15:30:00.{number:09}Z"
    sides = {"bx": "V", "bp": bid, "bs": 2, "ax": "V", "ap": 126.6, "as": 1}
    return {"T": "q", "S": symbol, **sides, "c": ["R"], "z": "C", "t": at}


def bar(minute: int, close: float, symbol: str = SYMBOL, *, kind: str = "b") -> dict[str, Any]:
    """A minute after half past three; ``kind`` is ``u`` for what corrects it."""
    prices = {"o": 126.0, "h": 127.0, "l": 125.5, "c": close, "v": 1200, "n": 17, "vw": 126.4}
    return {"T": kind, "S": symbol, **prices, "t": f"2026-11-20T15:{30 + minute}:00Z"}


class AlpacaFeed(Published):
    """What a test sees of a driver on a small Alpaca."""

    def __init__(
        self, server: AlpacaServer, config: DriverConfig, *, clock: Clock, link: LinkConfig, secret: str
    ) -> None:
        super().__init__()
        self.server = server
        self.driver = Driver(
            Alpaca(KEY, secret),
            self,
            make_link=lambda user: Carrier(
                server.url, user, config=link, clock=SystemClock(), dice=random.Random(1)
            ),
            config=config,
            clock=clock,
        )

    async def goes_live(self, *topics: Topic) -> None:
        """Want topics, and wait until the venue has confirmed them."""
        for one in topics:
            self.driver.want(one, "me")
        await until(lambda: all(self.state(one) is State.LIVE for one in topics), "all is live")

    def link(self) -> dict[str, Any]:
        """What the connection says of itself."""
        links: Any = self.driver.statistics()["links"]
        return dict(links[0])

    def data(self, wanted: Topic) -> list[Any]:
        """What was published of a topic."""
        return [json.loads(event.payload) for event in self.values(wanted)]


@asynccontextmanager
async def alpaca(
    config: DriverConfig | None = None,
    *,
    clock: Clock | None = None,
    link: LinkConfig = QUICK,
    secret: str = SECRET,
) -> AsyncIterator[AlpacaFeed]:
    """Run a driver on a fresh small Alpaca; the clock is the driver's, not the link's."""
    server = AlpacaServer()
    await server.start()
    feed = AlpacaFeed(
        server, config or DriverConfig(), clock=clock or SystemClock(), link=link, secret=secret
    )
    running = asyncio.create_task(feed.driver.run())
    try:
        yield feed
    finally:
        feed.driver.close()
        await asyncio.wait_for(running, 10)
        await server.stop()
