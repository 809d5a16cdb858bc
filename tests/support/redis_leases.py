"""Whoever wants a lease, in tests: keeps what becomes of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

from feedmux.bus.redis_config import RedisConfig
from feedmux.bus.redis_lease import RedisLease
from feedmux.bus.redis_partitions import Leases, leases_of
from feedmux.core.lease import Terms


class Told:
    """A candidate: what it was told, in order."""

    def __init__(self) -> None:
        self.events: list[tuple[str, int]] = []

    def seen(self) -> int:
        return 0

    def gained(self, token: int) -> None:
        self.events.append(("gained", token))

    def lost(self) -> None:
        self.events.append(("lost", 0))

    def taken(self) -> None:
        self.events.append(("taken", 0))


class Sought(NamedTuple):
    """A lease that is sought, and how that goes."""

    lease: RedisLease
    told: Told
    leases: Leases


@asynccontextmanager
async def seeking(config: RedisConfig, key: str, terms: Terms, *, holder: str = "a") -> AsyncIterator[Sought]:
    """Seek a lease until the block ends; then it is given back."""
    told = Told()
    leases = leases_of(config, holder=holder, terms=terms, own_key=f"feedmux:node:{holder}")
    lease = leases.add(key, told)
    running = asyncio.ensure_future(leases.run())
    try:
        yield Sought(lease, told, leases)
    finally:
        lease.leave()
        async with asyncio.timeout(10):
            await running
