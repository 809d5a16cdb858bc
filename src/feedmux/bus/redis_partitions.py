"""Divide what nodes share among the nodes of a Redis Cluster: each feed is one partition.

All channels of a feed and its lease carry one hash tag, so that one node of the cluster has them: they keep
their order, and go where the lease is. Different feeds may be on different nodes. A Redis that is no cluster
has one partition, and names without tags.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

import msgspec

from feedmux.bus.redis_config import RedisConfig
from feedmux.bus.redis_lease import Candidate, RedisLease, RedisLeases
from feedmux.core.lease import Terms
from feedmux.model.ports import Statistics


class Leases(Protocol):
    """All leases of a node; see :class:`feedmux.bus.redis_lease.RedisLeases`."""

    def add(self, key: str, candidate: Candidate) -> RedisLease:
        """Seek the lease that is kept under this key."""

    async def run(self) -> None:
        """Seek and renew until all were left, then give back what is held."""

    def close(self) -> None:
        """Nothing: see :meth:`run`."""

    def statistics(self) -> Statistics:
        """How the leases stand, and the connection."""


def partition(redis: RedisConfig, name: str) -> tuple[RedisConfig, str]:
    """Return where the feed of this name is, and what its keys and channels begin with."""
    if not redis.is_cluster:
        return redis, name
    tagged = f"{{{name}}}"
    return msgspec.structs.replace(redis, partition=tagged), tagged


def leases_of(redis: RedisConfig, *, holder: str, terms: Terms) -> Leases:
    """Make what seeks leases: over one connection, or over one for each of them."""
    if redis.is_cluster:
        return PartitionedLeases(redis, holder=holder, terms=terms)
    return RedisLeases(redis, holder=holder, terms=terms)


class PartitionedLeases:
    """The leases of a node that a Redis Cluster keeps: each has a connection to the node that has its key.

    Args:
        redis: the cluster.
        holder: a name that no other process has or had.
        terms: the same for all nodes.
    """

    def __init__(self, redis: RedisConfig, *, holder: str, terms: Terms) -> None:
        self._redis, self._holder, self._terms = redis, holder, terms
        self._parts: list[RedisLeases] = []

    def add(self, key: str, candidate: Candidate) -> RedisLease:
        """Seek the lease that is kept under this key, from :meth:`run` on."""
        redis = msgspec.structs.replace(self._redis, partition=key)
        leases = RedisLeases(redis, holder=self._holder, terms=self._terms)
        self._parts.append(leases)
        return leases.add(key, candidate)

    async def run(self) -> None:
        """Seek and renew until all leases were left, then give back what is held; the owner awaits it."""
        async with asyncio.TaskGroup() as tasks:
            for leases in self._parts:
                tasks.create_task(leases.run())

    def close(self) -> None:
        """Nothing: see :meth:`run`."""

    def statistics(self) -> Statistics:
        """How the leases stand; ``link`` is the connection that is worst off."""
        parts = [leases.statistics() for leases in self._parts]
        links = [link for part in parts if isinstance(link := part["link"], dict)]
        return {"leases": [lease for part in parts for lease in _list(part["leases"])], "link": _worst(links)}


def _list(found: object) -> Sequence[Statistics]:
    assert isinstance(found, list)
    return found


def _worst(links: Sequence[Statistics]) -> Statistics:
    """One that is not connected, or has trouble, if there is any."""
    return min(links, key=lambda link: (bool(link["connected"]), not link["trouble"]), default={})
