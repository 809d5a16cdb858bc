"""A source of RabbitMQ at work behind a bus, and a reader who remembers what came."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from feedmux.bus.inproc import InprocBus, InprocReader
from feedmux.client.clock import SystemClock
from feedmux.core.reconnect import Backoff
from feedmux.feed.broker import BrokerConfig
from feedmux.feed.rabbitmq import RabbitMq
from feedmux.feed.relay import RelayLimits
from feedmux.feed.stream import ObjectRules
from feedmux.model.event import Envelope, State
from feedmux.model.topic import Topic
from feedmux.wire.rango_topic import route
from support.rabbit_streams import RULES, Heard
from support.rabbitmq import RabbitServer
from support.waiting import until

QUICK = Backoff(initial=0.05, multiplier=1.5, ceiling=0.2)
PATIENCE_S = 20.0
"""A machine that does much else takes its time to set up a connection."""


class Ears(Heard):
    """A sink that keeps what came, as a publisher's other end."""

    def receive(self, envelope: Envelope, /) -> None:
        self.publish(envelope)


class RabbitFeed:
    """What a test sees of a source: its bus, and all that came for a reader of it."""

    def __init__(self, broker: BrokerConfig, rules: ObjectRules, limits: RelayLimits) -> None:
        self.bus = InprocBus()
        self.ears = Ears()
        self.source = RabbitMq(
            self.bus,
            broker,
            route=route,
            rules=rules,
            limits=limits,
            clock=SystemClock(),
            dice=random.Random(1),
        )
        self.bus.serve(self.source)
        self.reader = self.bus.reader("me", self.ears)

    def statistics(self) -> dict[str, Any]:
        """The source's."""
        return dict(self.source.statistics())

    def another(self, holder: str) -> tuple[InprocReader, Ears]:
        """A reader more, and what comes for it."""
        ears = Ears()
        return self.bus.reader(holder, ears), ears

    async def connects(self) -> None:
        """Wait until both sides are consumed."""
        await until(lambda: self.statistics()["consumers"] == 2, "both sides are consumed", PATIENCE_S)

    async def reconnects(self, before: int) -> None:
        """Wait until both sides are consumed, and there was a reconnect since there were so many."""
        await until(
            lambda: self.statistics()["reconnects"] > before and self.statistics()["consumers"] == 2,
            "it has connected again",
            PATIENCE_S,
        )

    async def tells(self, topic: Topic, state: State) -> None:
        """Wait until the last state that was told is this."""
        await until(lambda: self.ears.state(topic) is state, f"{topic.text} is {state}", PATIENCE_S)


@asynccontextmanager
async def rabbit_feed(
    server: RabbitServer,
    exchange: str,
    *,
    rules: ObjectRules = RULES,
    limits: RelayLimits | None = None,
    **broker: Any,
) -> AsyncIterator[RabbitFeed]:
    """Run a source on an exchange of a server; ``broker`` changes its :class:`BrokerConfig`."""
    settings = {
        "host": "127.0.0.1",
        "port": server.port,
        "exchange": exchange,
        "backoff": QUICK,
        "check_interval_s": 0.2,
        "connect_timeout_s": PATIENCE_S,
        "answer_timeout_s": PATIENCE_S,
        **broker,
    }
    feed = RabbitFeed(BrokerConfig(**settings), rules, limits or RelayLimits())
    running = asyncio.create_task(feed.source.run())
    try:
        yield feed
    finally:
        feed.source.close()
        await asyncio.wait_for(running, PATIENCE_S)
