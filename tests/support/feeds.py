"""A driver on a simulated venue, and all that it published."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from feedmux.client.carrier import Carrier
from feedmux.client.clock import SystemClock
from feedmux.client.settings import LinkConfig
from feedmux.feed.driver import Driver, DriverConfig
from feedmux.model.ports import Clock
from feedmux.model.topic import Topic
from feedmux.sim.bybit import BybitSim
from feedmux.sim.options import SimOptions
from feedmux.venue.bybit import Bybit
from support.published import Published
from support.waiting import until

QUICK = LinkConfig(
    retry_delay_s=0.05, max_backoff_s=0.2, ping_interval_s=0.2, ping_timeout_s=2.0, close_timeout_s=0.1
)
LIVELY = {"rate": 50.0, "trade_rate": 50.0}
"""A venue that has something to say more often than the real one: tests wait for it."""


class Feed(Published):
    """What a test sees of a driver."""

    def __init__(self, sim: BybitSim, market: str, config: DriverConfig, clock: Clock) -> None:
        super().__init__()
        self.sim = sim
        self.market = market
        self.driver = Driver(
            Bybit(market),
            self,
            make_link=lambda user: Carrier(
                sim.url(market), user, config=QUICK, clock=SystemClock(), dice=random.Random(1)
            ),
            config=config,
            clock=clock,
        )

    def floor(self) -> dict[str, Any]:
        """What the simulator says of the market."""
        markets: Any = self.sim.statistics()["markets"]
        floor: dict[str, Any] = markets[self.market]
        return floor

    def upstream(self) -> list[str]:
        """What is subscribed at the venue."""
        return sorted(self.floor()["topics"])

    def requests(self) -> dict[str, int]:
        """How many requests the venue got, by operation."""
        requests: dict[str, int] = {"subscribe": 0, "unsubscribe": 0, **self.floor()["requests"]}
        return requests

    def pings(self) -> int:
        """How many application pings the venue got."""
        return self.requests().get("ping", 0)

    def statistics(self) -> dict[str, Any]:
        """The driver's."""
        return dict(self.driver.statistics())

    async def agrees(self, topic: Topic) -> None:
        """Wait until the published state is what the venue has; it never is with a wrong merge."""
        codec = Bybit(self.market)

        def same() -> bool:
            state = self.sim.state(self.market, f"tickers.{topic.instrument}")
            assert state is not None
            known = {name: text for name, text in state.items() if text}
            return bool(self.values(topic)) and self.values(topic)[-1].payload == codec.render(topic, known)

        await until(same, "the published state is the venue's")


@asynccontextmanager
async def feeding(
    config: DriverConfig | None = None, *, market: str = "linear", clock: Clock | None = None, **options: Any
) -> AsyncIterator[Feed]:
    """Run a driver on a fresh simulator; ``options`` are the simulator's, the clock is the driver's."""
    sim = BybitSim(SimOptions(**{**LIVELY, **options}))
    await sim.start()
    feed = Feed(sim, market, config or DriverConfig(), clock or SystemClock())
    running = asyncio.create_task(feed.driver.run())
    try:
        yield feed
    finally:
        feed.driver.close()
        await asyncio.wait_for(running, 10)
        await sim.stop()
