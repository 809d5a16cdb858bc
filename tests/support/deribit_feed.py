"""A driver on a small Deribit, and all that it published."""

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
from feedmux.model.event import Envelope, EventKind
from feedmux.model.ports import Clock
from feedmux.model.topic import PUBLIC, Topic
from feedmux.venue.deribit import Deribit
from support.deribit_server import DeribitServer
from support.feeds import QUICK
from support.published import Published

NAME = "BTC-PERPETUAL"
MINUTE_MS = 60_000
NOON_MS = 1_800_014_400_000
CHANNELS = {"ticker": "ticker.{}.100ms", "trade": "trades.{}.100ms", "kline": "chart.trades.{}.1"}


def topic(kind: str, instrument: str = NAME) -> Topic:
    """A topic of Deribit's; candles are those of a minute."""
    return Topic(PUBLIC, "deribit", "", kind, instrument, "1" if kind == "kline" else "")


def channel(kind: str, instrument: str = NAME) -> str:
    """The same as Deribit calls it."""
    return CHANNELS[kind].format(instrument)


def ticker(number: int, instrument: str = NAME, *, at_ms: int = 0) -> dict[str, Any]:
    """The ``number``-th ticker, as old as that unless it is said how old."""
    at_ms = at_ms or NOON_MS + number
    return {"instrument_name": instrument, "timestamp": at_ms, "mark_price": float(number)}


def trades(*numbers: int) -> list[dict[str, Any]]:
    """Trades by their numbers."""
    return [
        {
            "trade_id": str(number), "trade_seq": number, "timestamp": NOON_MS + number, "price": 1.5,
            "amount": 10.0, "direction": "buy", "instrument_name": NAME,
        }
        for number in numbers
    ]  # fmt: skip


def candle(minute: int, close: float) -> dict[str, Any]:
    """The candle of a minute after noon, closing so far at ``close``."""
    prices = {"open": 1.0, "high": 9.0, "low": 0.5, "close": float(close), "volume": 1.5, "cost": 2.5}
    return {"tick": NOON_MS + minute * MINUTE_MS, **prices}


class DeribitFeed(Published):
    """What a test sees of a driver on a small Deribit."""

    def __init__(
        self, server: DeribitServer, config: DriverConfig, *, clock: Clock, link: LinkConfig
    ) -> None:
        super().__init__()
        self.server = server
        self.driver = Driver(
            Deribit(),
            self,
            make_link=lambda user: Carrier(
                server.url, user, config=link, clock=SystemClock(), dice=random.Random(1)
            ),
            config=config,
            clock=clock,
        )

    async def goes_live(self, *topics: Topic) -> None:
        """Want topics, and wait until the venue carries them."""
        for one in topics:
            self.driver.want(one, "me")
        await self.server.carries(*(channel(one.kind, one.instrument) for one in topics))

    def candles(self) -> list[tuple[int, float, bool]]:
        """The candles that were published: which minute, the close so far, whether it is confirmed."""
        shown = [json.loads(event.payload) for event in self.values(topic("kline"))]
        return [
            ((one["openTime"] - NOON_MS) // MINUTE_MS, float(one["close"]), one["confirmed"]) for one in shown
        ]

    def gaps(self, wanted: Topic) -> list[Envelope]:
        """The gaps that were told of a topic."""
        return [event for event in self.events if event.topic == wanted and event.kind is EventKind.GAP]


@asynccontextmanager
async def deribit(
    config: DriverConfig | None = None, *, clock: Clock | None = None, link: LinkConfig = QUICK
) -> AsyncIterator[DeribitFeed]:
    """Run a driver on a fresh small Deribit; the clock is the driver's, not the link's."""
    server = DeribitServer()
    await server.start()
    feed = DeribitFeed(server, config or DriverConfig(), clock=clock or SystemClock(), link=link)
    running = asyncio.create_task(feed.driver.run())
    try:
        yield feed
    finally:
        feed.driver.close()
        await asyncio.wait_for(running, 10)
        await server.stop()
