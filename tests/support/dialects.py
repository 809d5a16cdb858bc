"""Every venue dialect on its simulator, or on the venue itself where its address is given."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Any, NamedTuple

from feedmux.client.carrier import Carrier
from feedmux.client.clock import SystemClock
from feedmux.client.settings import LinkConfig
from feedmux.client.user import CarrierUser
from feedmux.feed.driver import Driver, DriverConfig
from feedmux.model.event import Envelope, EventKind, State
from feedmux.model.topic import PUBLIC, Topic
from feedmux.model.venue import Venue
from feedmux.sim.alpaca import AlpacaSim
from feedmux.sim.alpaca_options import DEMO, AlpacaOptions
from feedmux.sim.bybit import BybitSim
from feedmux.sim.deribit import DeribitSim
from feedmux.sim.deribit_options import DeribitOptions
from feedmux.sim.options import SimOptions
from feedmux.venue.alpaca import Alpaca
from feedmux.venue.bybit import Bybit
from feedmux.venue.deribit import Deribit
from support.published import Published
from support.waiting import DEADLINE, until

LIVE_BYBIT, LIVE_DERIBIT = "FEEDMUX_LIVE_BYBIT", "FEEDMUX_LIVE_DERIBIT"
LIVE_ALPACA = "FEEDMUX_LIVE_ALPACA"
"""Environment variables: where the venues themselves are, e.g. ``wss://stream-testnet.bybit.com/v5/public``."""
_LIVE_DEADLINE = 60.0
_SIMULATED = LinkConfig(retry_delay_s=0.02, max_backoff_s=0.1, ping_interval_s=0.05, ping_timeout_s=5.0)
_LIVE = LinkConfig(retry_delay_s=0.5, max_backoff_s=5.0, ping_interval_s=1.0, ping_timeout_s=10.0)


class Dialect(NamedTuple):
    """How a venue is spoken to, and where.

    Args:
        codec: makes the codec.
        instrument: what is traded there at any time.
        stranger: what looks right, and is not traded there; empty where the venue takes whatever looks right.
        simulator: serves it in this process; the URL.
        live: the environment variable that says where the venue itself is.
        path: what follows that.
    """

    codec: Callable[[], Venue]
    instrument: str
    stranger: str
    simulator: Callable[[], AbstractAsyncContextManager[str]]
    live: str
    path: str = ""


@asynccontextmanager
async def _bybit(market: str) -> AsyncIterator[str]:
    sim = BybitSim(SimOptions(rate=50, trade_rate=50, kline_rate=20))
    await sim.start()
    try:
        yield sim.url(market)
    finally:
        await sim.stop()


@asynccontextmanager
async def _deribit() -> AsyncIterator[str]:
    sim = DeribitSim(DeribitOptions(rate=50))
    await sim.start()
    try:
        yield sim.url()
    finally:
        await sim.stop()


@asynccontextmanager
async def _alpaca() -> AsyncIterator[str]:
    sim = AlpacaSim(AlpacaOptions(rate=50, quote_rate=50, candle_speed=600))
    await sim.start()
    try:
        yield sim.url("/v2/test")
    finally:
        await sim.stop()


def _alpaca_codec() -> Alpaca:
    key, secret = (os.environ.get(name) for name in ("APCA_API_KEY_ID", "APCA_API_SECRET_KEY"))
    return Alpaca(key or DEMO.key, secret or DEMO.secret)


def _market(name: str, instrument: str, stranger: str) -> Dialect:
    return Dialect(
        partial(Bybit, name), instrument, stranger, partial(_bybit, name), LIVE_BYBIT, path=f"/{name}"
    )


DIALECTS = {
    "bybit.linear": _market("linear", "BTCUSDT", "NOSUCHUSDT"),
    "bybit.spot": _market("spot", "BTCUSDT", "NOSUCHUSDT"),
    "bybit.inverse": _market("inverse", "BTCUSD", "NOSUCHUSD"),
    "deribit": Dialect(Deribit, "BTC-PERPETUAL", "NOSUCH-PERPETUAL", _deribit, LIVE_DERIBIT),
    "alpaca": Dialect(_alpaca_codec, "FAKEPACA", "", _alpaca, LIVE_ALPACA),
}


class DialectFeed(Published):
    """A driver of one dialect, and all that it published."""

    def __init__(self, dialect: Dialect, url: str, *, is_live: bool) -> None:
        super().__init__()
        self.is_live = is_live
        self.carriers: list[Carrier] = []
        self._dialect, self._url = dialect, url
        self.driver = Driver(
            dialect.codec(), self, make_link=self._link, config=DriverConfig(), clock=SystemClock()
        )

    def topic(self, kind: str, instrument: str = "") -> Topic:
        """A topic of the venue; candles are those of a minute."""
        codec, param = self._dialect.codec(), "1" if kind == "kline" else ""
        return Topic(PUBLIC, codec.name, codec.market, kind, instrument or self._dialect.instrument, param)

    @property
    def stranger(self) -> Topic | None:
        """A topic that the venue does not have; None where it takes whatever looks right."""
        return self.topic("ticker", self._dialect.stranger) if self._dialect.stranger else None

    async def until(self, condition: Callable[[], object], what: str) -> None:
        """Wait for something; a venue far away is given more time."""
        await until(condition, what, deadline=_LIVE_DEADLINE if self.is_live else DEADLINE)

    async def goes_live(self, *topics: Topic) -> None:
        """Want topics, and wait until the venue delivers them."""
        for topic in topics:
            self.driver.want(topic, "me")
        await self.until(lambda: all(self.state(topic) is State.LIVE for topic in topics), "all is live")

    def gaps(self) -> list[Envelope]:
        """All gaps that were told."""
        return [event for event in self.events if event.kind is EventKind.GAP]

    def carried(self) -> dict[str, Any]:
        """The counters of the first connection."""
        return dict(self.carriers[0].statistics())

    def _link(self, user: CarrierUser) -> Carrier:
        config = _LIVE if self.is_live else _SIMULATED
        carrier = Carrier(self._url, user, config=config, clock=SystemClock(), dice=random.Random(1))
        self.carriers.append(carrier)
        return carrier


@asynccontextmanager
async def dialect_feed(name: str) -> AsyncIterator[DialectFeed]:
    """Run a driver on the simulator, or on the venue itself if somebody said where it is."""
    dialect = DIALECTS[name]
    there = os.environ.get(dialect.live)
    if there:
        async with _running(DialectFeed(dialect, there + dialect.path, is_live=True)) as feed:
            yield feed
    else:
        async with dialect.simulator() as url, _running(DialectFeed(dialect, url, is_live=False)) as feed:
            yield feed


@asynccontextmanager
async def _running(feed: DialectFeed) -> AsyncIterator[DialectFeed]:
    running = asyncio.create_task(feed.driver.run())
    try:
        yield feed
    finally:
        feed.driver.close()
        await asyncio.wait_for(running, DEADLINE)
