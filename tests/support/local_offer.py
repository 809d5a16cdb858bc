"""What a gateway serves local programs with, without a gateway: sessions that remember."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

from feedmux._native.outbox import Flush, Outbox, TopicRow
from feedmux.core.outbox import OutboxLimits
from feedmux.model import ports
from feedmux.share.config import OfferConfig
from feedmux.share.offer import LocalOffer
from feedmux.share.reading import Reading


class ScriptedSession:
    """Answers each request with itself, and does what a test says; ``break`` is one it cannot answer."""

    def __init__(self, reading: Reading, outlet: ports.Outlet, row: TopicRow) -> None:
        self.reading, self.outlet, self.row = reading, outlet, row
        self.heard: list[bytes] = []
        self.next_deadline = float("inf")
        self.expired: list[float] = []
        self.later: list[float] = []
        """What falls due after that."""
        self.is_over = False

    def begin(self) -> None:
        self.row.add(self.outlet, self)  # type: ignore[arg-type]

    def take(self, payload: bytes) -> None:
        if payload == b"break":
            raise RuntimeError("a defect")
        if payload == b"close":
            self.reading.close(4001, "Token expired")
            return
        self.heard.append(payload)
        self.reading.answer(b"re: " + payload)

    def fail(self) -> None:
        self.reading.answer(b"it failed")

    def expire(self, now: float) -> None:
        self.expired.append(now)
        self.next_deadline = self.later.pop(0) if self.later else float("inf")

    def end(self) -> None:
        self.row.discard(self.outlet)
        self.is_over = True


class ScriptedMeans:
    """Makes these sessions, and outboxes that are flushed at the end of a turn."""

    def __init__(self) -> None:
        self.row = TopicRow()
        self.sessions: list[ScriptedSession] = []
        self.is_broken = False

    def make_outbox(self, writer: ports.DirectWriter, /) -> Outbox:
        return Outbox(writer, Flush(asyncio.get_running_loop().call_soon), OutboxLimits())

    def make_session(self, reading: Reading, outlet: ports.Outlet, /) -> ScriptedSession:
        if self.is_broken:
            raise RuntimeError("a defect")
        self.sessions.append(ScriptedSession(reading, outlet, self.row))
        return self.sessions[-1]

    def publish(self, *messages: bytes) -> None:
        for message in messages:
            self.row.offer(message, "", 1, 1)


@asynccontextmanager
async def offered(
    means: ScriptedMeans, name: str = "", parent: int = 0, **config: Any
) -> AsyncIterator[LocalOffer]:
    """An offer that has begun, under a name that nobody else has unless it is given."""
    config_ = OfferConfig(name=name or f"test-{uuid4().hex[:12]}", **({"beat_s": 0.02} | config))
    offer = LocalOffer(config_, means, parent=parent)
    offer.start()
    try:
        yield offer
    finally:
        await offer.stop()
