"""The matching engine of a simulated Deribit: orders come, are changed, are filled, go.

Theory of operation
-------------------
``place`` and ``edit`` check what is asked for, let the order take what its price reaches, and
then let the rest wait, or end, as its time in force says. ``settle`` counts trades for whoever
was in them: those that a call made, and those that a market made by moving. All that an account
should hear of goes to its ledger's news; all public trades of a call wait in ``printed``.

An order that would meet another of the same account takes it away instead (the venue's
``cancel_maker``). What is ``reduce_only`` is cut to what there is to reduce, when it comes and
whenever the position shrinks.

Absent: trigger orders, iceberg orders, linked orders, quotes, market maker protection, combos,
liquidation, funding, settlement.

Source: Deribit API v2 documents, private/buy, private/edit, 2026-09; errors as recorded, 2024 to
2026. Not known are the refusal of a ``reduce_only`` order with nothing to reduce, and the reasons that
are given for orders which were taken away by another of the same account or by their position.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal

import msgspec

from feedmux.sim.deribit_book import ASKS, BIDS, Book, opposite, side_of
from feedmux.sim.deribit_ledger import MAX_OPEN, Ledger
from feedmux.sim.deribit_market import Market
from feedmux.sim.deribit_order import ALL_OR_NOTHING, AT_ONCE, BUY, DAY, Order, Ticket, Trade
from feedmux.sim.deribit_params import wrong
from feedmux.sim.deribit_product import Product
from feedmux.sim.deribit_rpc import Denied

_DAY_MS = 86_400_000
_SESSION_MS = 8 * 3_600_000
_MAX_AMOUNT = Decimal(10) ** 10


class Engine:
    """All orders of all accounts.

    Args:
        markets: by instrument.
        ledgers: by client id.
        first: the number of the first order.
    """

    def __init__(self, markets: Mapping[str, Market], ledgers: Mapping[str, Ledger], first: int) -> None:
        self.markets = markets
        self.ledgers = ledgers
        self.printed: list[list[Trade]] = []
        self._number = first
        self._dated: dict[str, Order] = {}

    # -- what accounts ask for -------------------------------------------------------------

    def place(self, ledger: Ledger, ticket: Ticket, now_ms: int) -> tuple[Order, list[Trade]]:
        """Take a new order.

        Returns:
            the order as it is now, and the trades that it made at once.

        Raises:
            Denied: it cannot be taken; nothing has changed.
        """
        market = self.markets[ticket.product.name]
        self._check(market, ticket.amount, ticket.price, ticket.direction)
        if len(ledger.open) >= MAX_OPEN:
            raise Denied(10013)
        if ticket.reduce_only:
            ticket = self._reduced(ledger, ticket)
        self._check_funds(ledger, ticket)
        price = self._passive(market.book, ticket)
        order = Order(self._name(ticket.product), ledger.account, ticket, now_ms)
        order.price = price
        if ticket.time_in_force == DAY:
            order.expires_ms = (now_ms - _SESSION_MS) // _DAY_MS * _DAY_MS + _DAY_MS + _SESSION_MS
        return order, self._work(ledger, order, now_ms)

    def edit(
        self, ledger: Ledger, order: Order, *, amount: Decimal, price: Decimal | None, now_ms: int
    ) -> list[Trade]:
        """Change an open order; it loses its place. Returns the trades that this made at once.

        Raises:
            Denied: it cannot be changed so; nothing has changed.
        """
        if not order.is_open:
            raise Denied(11044)
        ticket, market = order.ticket, self.markets[order.ticket.product.name]
        if price is None:
            raise wrong("price", "value required")
        self._check(market, amount, price, ticket.direction)
        if ticket.reduce_only:
            amount = min(amount, order.filled + self._reducible(ledger, ticket.product, ticket.direction))
        if amount <= order.filled:
            raise wrong("amount", "value must be greater than the filled amount")
        wanted = msgspec.structs.replace(ticket, amount=amount - order.amount, price=price)
        if wanted.amount > 0:
            self._check_funds(ledger, wanted)
        if order.post_only and self._crosses(market.book, ticket.direction, price):
            if ticket.reject_post_only:
                self._end(ledger, order, "edit_post_only_reject", now_ms)
                return []
            price = self._just_outside(market.book, ticket)
        market.book.withdraw(order)
        order.amount, order.price, order.replaced, order.updated_ms = amount, price, True, now_ms
        return self._work(ledger, order, now_ms)

    def cancel(self, ledger: Ledger, order: Order, now_ms: int, reason: str = "user_request") -> None:
        """Take an open order away.

        Raises:
            Denied: it is not open any more.
        """
        if not order.is_open:
            raise Denied(11044)
        self._end(ledger, order, reason, now_ms)

    def cancel_where(
        self, ledger: Ledger, chosen: Callable[[Order], bool], now_ms: int, reason: str = "user_request"
    ) -> int:
        """Take away all open orders that are chosen. Returns how many."""
        orders = [order for order in ledger.open.values() if chosen(order)]
        for order in orders:
            self._end(ledger, order, reason, now_ms)
        return len(orders)

    def find(self, ledger: Ledger, ident: str) -> Order:
        """An order of this account.

        Raises:
            Denied: there is none, or it is somebody else's.
        """
        order = ledger.find(ident)
        if order is not None:
            return order
        others = any(other.find(ident) for other in self.ledgers.values())
        raise Denied(10029 if others else 10004)

    def expire(self, now_ms: int) -> None:
        """End the orders whose day is over."""
        for order in [o for o in self._dated.values() if now_ms >= (o.expires_ms or 0)]:
            self._end(self.ledgers[order.account], order, "settlement", now_ms)

    # -- checks ----------------------------------------------------------------------------

    def _check(self, market: Market, amount: Decimal, price: Decimal | None, direction: str) -> None:
        made = market.product
        if amount < made.lot:
            raise wrong("amount", f"value must be >= {made.lot}")
        if amount % made.lot:
            raise wrong("amount", "must be a multiple of the minimum order size")
        if amount > _MAX_AMOUNT:
            raise wrong("amount", f"value must be <= {_MAX_AMOUNT}")
        if price is None:
            return
        if price <= 0:
            raise wrong("price", "value must be > 0")
        if price % made.tick:
            raise wrong("price", "does not conform to tick size")
        low, high = market.band()
        if direction == BUY and price > high:
            raise Denied(10007)
        if direction != BUY and price < low:
            raise Denied(10005)

    def _check_funds(self, ledger: Ledger, ticket: Ticket) -> None:
        """Refuse what the account cannot carry, unless it carries less with it."""
        currency = ticket.product.currency
        needed = ledger.needs(currency, self.markets, ticket)
        if needed > ledger.balance(currency) and needed > ledger.needs(currency, self.markets):
            raise Denied(10009)

    def _reduced(self, ledger: Ledger, ticket: Ticket) -> Ticket:
        room = self._reducible(ledger, ticket.product, ticket.direction)
        room -= sum((order.left for order in self._reducing(ledger, ticket.product)), Decimal(0))
        room -= room % ticket.product.lot
        if room <= 0:
            raise Denied(11030, {"reason": "reduce_only_order_would_increase_position"})
        return msgspec.structs.replace(ticket, amount=min(ticket.amount, room))

    @staticmethod
    def _reducible(ledger: Ledger, product: Product, direction: str) -> Decimal:
        size = ledger.size(product)
        return max(-size if direction == BUY else size, Decimal(0))

    @staticmethod
    def _reducing(ledger: Ledger, product: Product) -> list[Order]:
        orders = ledger.open.values()
        return [o for o in orders if o.ticket.reduce_only and o.ticket.product.name == product.name]

    @staticmethod
    def _crosses(book: Book, direction: str, price: Decimal | None) -> bool:
        best = book.best(opposite(side_of(direction)))
        if best is None:
            return False
        return price is None or (price >= best if direction == BUY else price <= best)

    def _passive(self, book: Book, ticket: Ticket) -> Decimal | None:
        """The price that the order really gets; ``post_only`` may change it."""
        if not ticket.post_only or not self._crosses(book, ticket.direction, ticket.price):
            return ticket.price
        if ticket.reject_post_only:
            raise Denied(11054)
        return self._just_outside(book, ticket)

    @staticmethod
    def _just_outside(book: Book, ticket: Ticket) -> Decimal:
        best = book.best(opposite(side_of(ticket.direction)))
        assert best is not None, "only what crosses is moved"
        price = best - ticket.product.tick if ticket.direction == BUY else best + ticket.product.tick
        if price <= 0:
            raise Denied(11054)
        return price

    # -- what happens ----------------------------------------------------------------------

    def _work(self, ledger: Ledger, order: Order, now_ms: int) -> list[Trade]:
        """Let an order take what it reaches, then wait or end."""
        ticket, market = order.ticket, self.markets[order.ticket.product.name]
        market.now_ms = now_ms
        limit = self._limit(market, order)
        side = ASKS if ticket.direction == BUY else BIDS
        if ticket.time_in_force == ALL_OR_NOTHING and (
            market.book.available(side, limit, ledger.account) < order.left
        ):
            self._end(ledger, order, None, now_ms)
            return []
        trades, withdrawn = market.execute(ticket.direction, order.left, limit=limit, taker=order)
        for own in withdrawn:
            self._end(ledger, own, "self_trade_prevention", now_ms)
        if trades:
            self.printed.append(trades)
        self._keep(ledger, order, trades, now_ms)
        self.settle(trades, now_ms)
        return trades

    @staticmethod
    def _limit(market: Market, order: Order) -> Decimal | None:
        """The worst price at which it takes; what has no price stays within the market's band."""
        if order.ticket.kind == "limit" or order.price is not None:
            return order.price
        low, high = market.band()
        return high if order.ticket.direction == BUY else low

    def _keep(self, ledger: Ledger, order: Order, trades: list[Trade], now_ms: int) -> None:
        ticket = order.ticket
        if order.left and ticket.kind == "market_limit" and order.price is None and trades:
            order.price = trades[-1].price
        if order.left and (ticket.time_in_force in {AT_ONCE, ALL_OR_NOTHING} or order.price is None):
            self._end(ledger, order, None, now_ms)
            return
        if order.left:
            self.markets[ticket.product.name].book.rest(order)
            if order.expires_ms is not None:
                self._dated[order.ident] = order
        ledger.keep(order)

    def _end(self, ledger: Ledger, order: Order, reason: str | None, now_ms: int) -> None:
        self.markets[order.ticket.product.name].book.withdraw(order)
        order.cancel(reason, now_ms)
        self._dated.pop(order.ident, None)
        ledger.keep(order)

    def settle(self, trades: Iterable[Trade], now_ms: int) -> None:
        """Count trades for the accounts that were in them."""
        touched: dict[tuple[str, str], tuple[Ledger, Product]] = {}
        for trade in trades:
            for order, took in ((trade.taker, True), (trade.maker, False)):
                if order is None:
                    continue
                ledger = self.ledgers[order.account]
                ledger.book(trade, order, took=took)
                if not order.is_open:
                    self._dated.pop(order.ident, None)
                if not took:
                    ledger.keep(order)
                touched[ledger.account, trade.product.name] = ledger, trade.product
        for ledger, product in touched.values():
            self._trim(ledger, product, now_ms)

    def _trim(self, ledger: Ledger, product: Product, now_ms: int) -> None:
        """Cut orders that may only reduce to what there is left to reduce."""
        for order in self._reducing(ledger, product):
            room = self._reducible(ledger, product, order.ticket.direction)
            if not room:
                self._end(ledger, order, "reduce_only", now_ms)
            elif order.left > room:
                self.markets[product.name].book.shrink(order, order.filled + room)
                ledger.tell(order)

    def _name(self, product: Product) -> str:
        """The next id; orders in bitcoin have the bare number."""
        self._number += 1
        return name(product, self._number)


def name(product: Product, number: int) -> str:
    """A number as the venue writes ids of orders and trades in a product."""
    return str(number) if product.currency == "BTC" else f"{product.currency}-{number}"
