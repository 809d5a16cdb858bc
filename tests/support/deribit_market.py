"""An exchange without connections, and somebody who writes down what happens on it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

from feedmux.sim.clock import Moment
from feedmux.sim.deribit_book import Change
from feedmux.sim.deribit_exchange import Exchange
from feedmux.sim.deribit_ledger import Ledger, News
from feedmux.sim.deribit_market import Market
from feedmux.sim.deribit_options import DEMO, Account, DeribitOptions
from feedmux.sim.deribit_order import BUY, Order, Ticket, Trade

START_MS = 1_790_000_000_000
OTHER = Account("other", "other-secret")
STILL = DeribitOptions(accounts=(DEMO, OTHER), depth=10)


class Diary:
    """Everything that the exchange told."""

    def __init__(self) -> None:
        self.trades: list[Trade] = []
        self.changes: list[tuple[str, int]] = []
        self.news: list[tuple[str, dict[str, Order], list[dict[str, Any]]]] = []

    def traded(self, trades: Sequence[Trade], moment: Moment) -> None:
        self.trades += trades

    def changed(self, market: Market, changes: Sequence[Change], moment: Moment) -> None:
        assert changes
        self.changes.append((market.product.name, market.change_id))

    def told(self, ledger: Ledger, news: News) -> None:
        self.news.append((ledger.account, news.orders, news.trades))


class Pit:
    """An exchange, its diary, and short words for what accounts do.

    Args:
        options: of the exchange.
        instrument: what is traded unless something else is named.
    """

    def __init__(self, options: DeribitOptions = STILL, instrument: str = "BTC-PERPETUAL") -> None:
        self.diary = Diary()
        self.now_ms = START_MS
        self.exchange = Exchange(options, self.moment, self.diary)
        self.market = self.exchange.markets[instrument]
        self.book = self.market.book
        self.me, self.other = (self.exchange.ledgers[account.client_id] for account in (DEMO, OTHER))

    @property
    def moment(self) -> Moment:
        return Moment(self.now_ms, self.now_ms)

    def ticket(self, direction: str = BUY, amount: object = 100, price: object = None, **more: Any) -> Ticket:
        limit = None if price is None else Decimal(str(price))
        kind = more.pop("kind", "market" if price is None else "limit")
        return Ticket(
            product=self.market.product,
            direction=direction,
            amount=Decimal(str(amount)),
            price=limit,
            kind=kind,
            **more,
        )

    def place(
        self,
        direction: str = BUY,
        amount: object = 100,
        price: object = None,
        *,
        ledger: Ledger | None = None,
        **more: Any,
    ) -> tuple[Order, list[Trade]]:
        ticket = self.ticket(direction, amount, price, **more)
        done = self.exchange.engine.place(ledger or self.me, ticket, self.now_ms)
        self.exchange.gather(self.moment)
        return done

    def step(self, count: int = 1) -> None:
        for _ in range(count):
            self.now_ms += 100
            self.exchange.step(self.moment)
            self.exchange.gather(self.moment)

    def move(self, price: float) -> None:
        self.exchange.move(self.market.product.name, price, self.moment)
        self.exchange.gather(self.moment)


def row(*values: object) -> tuple[object, ...]:
    """Values side by side, to compare decimals with plain numbers."""
    return values


def rows(pairs: Iterable[tuple[object, ...]]) -> list[tuple[object, ...]]:
    """Pairs, to compare decimals with plain numbers."""
    return list(pairs)
