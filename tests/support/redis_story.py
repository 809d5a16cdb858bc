"""Stories of a bus, and of two gateways, whose Redis changes: what is seen of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from feedmux.bus.redis_config import RedisConfig
from feedmux.model.event import EventKind
from support.buses import Collector, uncovered_holes
from support.cluster import QUICK, owner_of
from support.envelopes import TRADES as TOPIC
from support.family import LIVELY, TICKER, TRADES
from support.processes import Stage
from support.redis_wiring import RedisWiring
from support.streams import VALUES, of
from support.waiting import until

FAILOVER_S: Final = 20.0


async def gateways_follow(
    stage: Stage, settings: dict[str, str], change: Callable[[], Awaitable[None]], *, rounds: int = 1
) -> None:
    """Let two gateways share a venue, change their Redis under them, and judge what clients were sent.

    Args:
        stage: starts them.
        settings: where their Redis is.
        change: cuts them off from it, so that they have to find another one.
        rounds: how often.
    """
    venue = await stage.venue(*LIVELY)
    nodes = [await stage.gateway(venue.url, **settings, **QUICK) for _ in range(2)]
    clients = [await stage.client(node) for node in nodes]
    await asyncio.gather(*(client.subscribe("ticker:BTCUSDT", "trade:BTCUSDT") for client in clients))
    await asyncio.gather(*(client.data(TRADES, count=3) for client in clients))
    for _ in range(rounds):
        other = clients[1 - nodes.index(await owner_of(nodes))]
        seen = other.seen
        await change()
        lost = await other.status("reconnecting", TRADES, seen=seen, deadline_s=FAILOVER_S)
        await other.status("live", TRADES, seen=other.messages.index(lost), deadline_s=FAILOVER_S)
        await asyncio.gather(*(client.data(TRADES, seen=client.seen, count=5) for client in clients))
    await venue.carries("tickers.BTCUSDT", "publicTrade.BTCUSDT")
    for client in clients:
        for stream in (TICKER, TRADES):
            goes_on(client.messages, stream)


def goes_on(messages: Sequence[dict[str, Any]], stream: str) -> None:
    """Check that no value is repeated or older than one before, and that every hole is told.

    A hole is told by a gap, a snapshot or a new epoch.
    """
    epoch, last = 0, 0
    is_told = True
    for message in of(messages, stream):
        new = message.get("epoch", epoch)
        assert new >= epoch, f"the epoch went back: {message}"
        if new > epoch:
            epoch, last, is_told = new, 0, True
        if message["type"] == "gap":
            is_told = True
        if message["type"] in VALUES:
            seq = message["seq"]
            assert seq > last, f"after seq {last}: {message}"
            is_covered = is_told or message["type"] == "snapshot"
            assert is_covered or seq == last + 1, f"a hole after seq {last}: {message}"
            last, is_told = seq, False


async def bus_follows(config: RedisConfig, change: Callable[[], object]) -> None:
    """A bus goes on when the Redis that carries it is another one, and what was missed is told.

    Args:
        config: how it is found.
        change: makes another one necessary.
    """
    wiring = RedisWiring(config, beat_s=0.1)
    sink = Collector()
    reader = await wiring.reader("a", sink)
    reader.want(TOPIC)
    await until(lambda: sink.of(TOPIC, EventKind.SNAPSHOT))
    change()

    def is_over() -> bool:
        wiring.source.advance(TOPIC)
        return bool(sink.of(TOPIC, EventKind.GAP)) and sink.events[-1].kind is EventKind.UPDATE

    await until(is_over, "values come again", FAILOVER_S)
    assert not uncovered_holes(sink.events)
    await wiring.close()
