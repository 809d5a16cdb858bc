"""A story of two gateways whose Redis changes: what their clients may see of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from support.cluster import QUICK, owner_of
from support.family import LIVELY, TICKER, TRADES
from support.processes import Stage
from support.streams import VALUES, of

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
