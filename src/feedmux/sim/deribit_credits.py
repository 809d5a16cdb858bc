"""The rate limits of a simulated Deribit: credits that are spent and come back.

Theory of operation
-------------------
A request belongs to a *pool* and costs some of its credits; a pool fills with time up to its
size. All connections of an account share the account's pools; a connection that is not logged
in has its own. Who asks for more than there is gets ``too_many_requests`` and the connection is
closed.

Source: Deribit documents, rate limits, 2026-09: 500 of 50,000 credits, 10,000 a second; the
matching engine 5 a second, 20 at once (lowest tier); subscriptions 3,000 of 30,000 credits;
``public/get_instruments`` 1 a second, 50 at once.
"""

from __future__ import annotations

from collections.abc import Hashable

import msgspec


class Tariff(msgspec.Struct, frozen=True):
    """What a kind of request costs.

    Args:
        cost: credits of one request.
        size: the most that a pool holds.
        refill: credits per second.
    """

    cost: float
    size: float
    refill: float


GENERAL, MATCHING, SUBSCRIBE, INSTRUMENTS = "general", "matching", "subscribe", "instruments"
TARIFFS = {
    GENERAL: Tariff(500, 50_000, 10_000),
    MATCHING: Tariff(1, 20, 5),
    SUBSCRIBE: Tariff(3_000, 30_000, 10_000),
    INSTRUMENTS: Tariff(10_000, 500_000, 10_000),
}


class Pool:
    """Credits of one kind.

    Args:
        size: the most that it holds; it starts full.
        refill: credits per second.
        now: the monotonic clock, seconds.
    """

    __slots__ = ("_filled", "_level", "_refill", "_size")

    def __init__(self, size: float, refill: float, now: float) -> None:
        self._size = size
        self._refill = refill
        self._level = size
        self._filled = now

    def level(self, now: float) -> float:
        """What is in it at ``now``."""
        if now > self._filled:
            self._level = min(self._size, self._level + (now - self._filled) * self._refill)
            self._filled = now
        return self._level

    def take(self, cost: float, now: float) -> bool:
        """Spend ``cost``; False, and nothing is spent, when there is less."""
        if self.level(now) < cost:
            return False
        self._level -= cost
        return True


class Bank:
    """All pools.

    Args:
        scale: how much more than the venue is allowed; None allows everything.
    """

    def __init__(self, scale: float | None) -> None:
        self._scale = scale
        self._pools: dict[tuple[Hashable, str], Pool] = {}

    def spend(self, owner: Hashable, kind: str, now: float) -> bool:
        """Pay for one request.

        Args:
            owner: who pays: an account, or a connection that is not logged in.
            kind: a key of :data:`TARIFFS`.
            now: the monotonic clock, seconds.
        """
        if self._scale is None:
            return True
        tariff = TARIFFS[kind]
        pool = self._pools.get((owner, kind))
        if pool is None:
            size = max(tariff.size * self._scale, tariff.cost)
            pool = self._pools[owner, kind] = Pool(size, tariff.refill * self._scale, now)
        return pool.take(tariff.cost, now)

    def close(self, owner: Hashable) -> None:
        """``owner`` is gone."""
        for kind in TARIFFS:
            self._pools.pop((owner, kind), None)
