"""Divide what nodes share among the nodes of a Redis Cluster: each feed is one partition.

All channels of a feed and its lease carry one hash tag, so that one node of the cluster has them: they keep
their order, and go where the lease is. Different feeds may be on different nodes. A Redis that is no cluster
has one partition, and names without tags.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import msgspec

from feedmux.bus.redis import RedisLink
from feedmux.bus.redis_config import RedisConfig
from feedmux.bus.redis_lease import Candidate, RedisLease, RedisLeases
from feedmux.bus.redis_listening import Nobody
from feedmux.core.lease import Terms
from feedmux.model.ports import Statistics


class Leases(Protocol):
    """All leases of a node; see :class:`feedmux.bus.redis_lease.RedisLeases`."""

    last_words: Callable[[], Awaitable[None]]
    """Said when all leases were given back."""

    def add(self, key: str, candidate: Candidate) -> RedisLease:
        """Seek the lease that is kept under this key."""

    async def run(self) -> None:
        """Seek and renew until all were left, then give back what is held."""

    def close(self) -> None:
        """Nothing: see :meth:`run`."""

    async def call(self, *command: str | bytes) -> Any:
        """Ask Redis something else."""

    def statistics(self) -> Statistics:
        """How the leases stand, and the connection."""


def partition(redis: RedisConfig, name: str) -> tuple[RedisConfig, str]:
    """Return where the feed of this name is, and what its keys and channels begin with."""
    if not redis.is_cluster:
        return redis, name
    tagged = f"{{{name}}}"
    return msgspec.structs.replace(redis, partition=tagged), tagged


def leases_of(redis: RedisConfig, *, holder: str, terms: Terms, own_key: str) -> Leases:
    """Make what seeks leases: over one connection, or over one for each of them.

    Args:
        redis: where they are kept.
        holder: a name that no other process has or had.
        terms: the same for all nodes.
        own_key: the one about which else Redis is asked.
    """
    if redis.is_cluster:
        return PartitionedLeases(redis, holder=holder, terms=terms, own_key=own_key)
    return RedisLeases(redis, holder=holder, terms=terms)


class PartitionedLeases:
    """The leases of a node that a Redis Cluster keeps: each has a connection to the node that has its key.

    Args:
        redis: the cluster.
        holder: a name that no other process has or had.
        terms: the same for all nodes.
        own_key: the one about which else the cluster is asked, over one more connection.
    """

    def __init__(self, redis: RedisConfig, *, holder: str, terms: Terms, own_key: str) -> None:
        self._redis, self._holder, self._terms = redis, holder, terms
        self._parts: list[RedisLeases] = []
        self._link = RedisLink(msgspec.structs.replace(redis, partition=own_key), Nobody())
        self.call = self._link.call
        self.last_words: Callable[[], Awaitable[None]] = _nothing
        """Said when all leases were given back."""

    def add(self, key: str, candidate: Candidate) -> RedisLease:
        """Seek the lease that is kept under this key, from :meth:`run` on."""
        redis = msgspec.structs.replace(self._redis, partition=key)
        leases = RedisLeases(redis, holder=self._holder, terms=self._terms)
        self._parts.append(leases)
        return leases.add(key, candidate)

    async def run(self) -> None:
        """Seek and renew until all leases were left, then give back what is held; the owner awaits it."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._link.run())
            try:
                async with asyncio.TaskGroup() as seeking:
                    for leases in self._parts:
                        seeking.create_task(leases.run())
            finally:
                await self.last_words()
                self._link.close()

    def close(self) -> None:
        """Nothing: see :meth:`run`."""

    def statistics(self) -> Statistics:
        """How the leases stand; ``link`` and ``down_for`` are those of the lease that is worst off."""
        parts: list[dict[str, Any]] = [dict(leases.statistics()) for leases in self._parts]
        worst = min(parts, key=_health, default={"down_for": 0.0, "link": self._link.statistics()})
        return {**worst, "leases": [lease for part in parts for lease in part["leases"]]}


def _health(part: dict[str, Any]) -> tuple[bool, bool, float]:
    link = part["link"]
    return bool(link["connected"]), not link["trouble"], -part["down_for"]


async def _nothing() -> None:
    """Say nothing."""
