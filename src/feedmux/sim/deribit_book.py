"""The order book of one simulated instrument: levels of nobody's amounts and of real orders.

Theory of operation
-------------------
A level has a *free* amount, which the market lays and takes away, and the orders of accounts in
the order of their coming. Who takes gets the best price first, on a level the free amount first.
A book is never crossed: whoever brings liquidity to a price that the other side reaches must
take first (:class:`feedmux.sim.deribit_market.Market` does).

Every change of a level's sum is noted with what it was before; ``drain`` hands the differences
over, which is what book channels are made of.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

import msgspec

from feedmux.sim.deribit_order import BUY, Order

BIDS, ASKS = "bids", "asks"
SIDES = (BIDS, ASKS)


class Change(msgspec.Struct, frozen=True):
    """A level that is not what it was.

    Args:
        side: ``bids`` or ``asks``.
        price: which level.
        before: its sum before; 0 when there was none.
    """

    side: str
    price: Decimal
    before: Decimal


class Fill(msgspec.Struct, frozen=True):
    """A part of what was taken.

    Args:
        price: the level.
        amount: how much of it.
        maker: whose it was; None when nobody's.
    """

    price: Decimal
    amount: Decimal
    maker: Order | None


class Taken(msgspec.Struct, frozen=True):
    """What taking came to.

    Args:
        fills: what was taken, best price first.
        withdrawn: own orders that stood in the way and are in the book no more.
    """

    fills: list[Fill]
    withdrawn: list[Order]


class _Level:
    __slots__ = ("free", "orders")

    def __init__(self) -> None:
        self.free = Decimal(0)
        self.orders: dict[str, Order] = {}

    @property
    def amount(self) -> Decimal:
        return sum((order.left for order in self.orders.values()), self.free)


def opposite(side: str) -> str:
    """The other side."""
    return ASKS if side == BIDS else BIDS


def side_of(direction: str) -> str:
    """Where an order of this direction waits."""
    return BIDS if direction == BUY else ASKS


def is_better(side: str, price: Decimal, other: Decimal) -> bool:
    """Whether ``price`` is nearer to the other side than ``other``."""
    return price > other if side == BIDS else price < other


class Book:
    """One order book."""

    def __init__(self) -> None:
        self._levels: dict[str, dict[Decimal, _Level]] = {BIDS: {}, ASKS: {}}
        self._before: dict[tuple[str, Decimal], Decimal] = {}

    # -- what is there ---------------------------------------------------------------------

    def amount(self, side: str, price: Decimal) -> Decimal:
        """The sum of a level; 0 when there is none."""
        level = self._levels[side].get(price)
        return Decimal(0) if level is None else level.amount

    def free(self, side: str) -> list[Decimal]:
        """The prices at which there is anything of nobody's, best first."""
        return self._best_first(side, (p for p, level in self._levels[side].items() if level.free))

    def free_amount(self, side: str, price: Decimal) -> Decimal:
        """How much of nobody's there is at a price."""
        level = self._levels[side].get(price)
        return Decimal(0) if level is None else level.free

    def best(self, side: str) -> Decimal | None:
        """The best price of a side; None when it is empty."""
        prices = self._levels[side]
        if not prices:
            return None
        return max(prices) if side == BIDS else min(prices)

    def depth(self, side: str, count: int | None = None) -> list[tuple[Decimal, Decimal]]:
        """The levels of a side with their sums, best first; the first ``count`` of them."""
        levels = self._levels[side]
        return [(price, levels[price].amount) for price in self._best_first(side, levels)[:count]]

    def available(self, side: str, limit: Decimal | None, account: str | None = None) -> Decimal:
        """How much can be taken from a side up to a price, without what ``account`` has there."""
        total = Decimal(0)
        for price, level in self._levels[side].items():
            if limit is None or not is_better(opposite(side), price, limit):
                total += level.free
                total += sum(o.left for o in level.orders.values() if o.account != account)
        return total

    def _best_first(self, side: str, prices: Iterable[Decimal]) -> list[Decimal]:
        return sorted(prices, reverse=side == BIDS)

    # -- what happens ----------------------------------------------------------------------

    def lay(self, side: str, price: Decimal, amount: Decimal) -> None:
        """Let the free amount of a level be ``amount``."""
        self._note(side, price)
        self._levels[side].setdefault(price, _Level()).free = amount
        self._tidy(side, price)

    def rest(self, order: Order) -> None:
        """Let an order wait at its price."""
        assert order.price is not None, "what has no price cannot wait"
        side = side_of(order.ticket.direction)
        self._note(side, order.price)
        self._levels[side].setdefault(order.price, _Level()).orders[order.ident] = order

    def withdraw(self, order: Order) -> None:
        """Take an order away; no harm when it is not there."""
        side, price = side_of(order.ticket.direction), order.price
        level = None if price is None else self._levels[side].get(price)
        if price is not None and level is not None and order.ident in level.orders:
            self._note(side, price)
            del level.orders[order.ident]
            self._tidy(side, price)

    def shrink(self, order: Order, amount: Decimal) -> None:
        """Let a waiting order be for ``amount`` from now on; it keeps its place."""
        assert order.price is not None, "what waits has a price"
        self._note(side_of(order.ticket.direction), order.price)
        order.amount = amount

    def take(
        self, side: str, amount: Decimal, *, limit: Decimal | None, account: str | None, now_ms: int
    ) -> Taken:
        """Take up to ``amount`` from a side, best price first; makers are filled.

        Args:
            side: whose liquidity is taken.
            amount: at most so much.
            limit: the worst price; None takes at any.
            account: who takes. His own orders are withdrawn instead of filled; the venue calls
                that ``cancel_maker``.
            now_ms: Unix milliseconds.
        """
        taken = Taken([], [])
        for price in self._best_first(side, self._levels[side]):
            if not amount or (limit is not None and is_better(opposite(side), price, limit)):
                break
            amount -= self._take_level(side, price, amount, account, now_ms, taken)
        return taken

    def _take_level(
        self, side: str, price: Decimal, amount: Decimal, account: str | None, now_ms: int, taken: Taken
    ) -> Decimal:
        self._note(side, price)
        level = self._levels[side][price]
        done = min(level.free, amount)
        if done:
            level.free -= done
            taken.fills.append(Fill(price, done, None))
        for order in list(level.orders.values()):
            if done == amount:
                break
            if order.account == account:
                del level.orders[order.ident]
                taken.withdrawn.append(order)
                continue
            part = min(order.left, amount - done)
            order.fill(part, price, now_ms)
            taken.fills.append(Fill(price, part, order))
            done += part
            if not order.left:
                del level.orders[order.ident]
        self._tidy(side, price)
        return done

    def drain(self) -> list[Change]:
        """The levels that changed since the last call, in no order; none that changed back."""
        before, self._before = self._before, {}
        return [
            Change(side, price, amount)
            for (side, price), amount in before.items()
            if amount != self.amount(side, price)
        ]

    def _note(self, side: str, price: Decimal) -> None:
        self._before.setdefault((side, price), self.amount(side, price))

    def _tidy(self, side: str, price: Decimal) -> None:
        level = self._levels[side].get(price)
        if level is not None and not level.free and not level.orders:
            del self._levels[side][price]
