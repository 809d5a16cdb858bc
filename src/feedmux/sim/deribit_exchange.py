"""The exchange behind a simulated Deribit: markets that move, accounts that trade in them.

Theory of operation
-------------------
``step`` lets every index and market move once; ``gather`` looks what accounts did since. Both tell
a :class:`Listener` in this order: what was traded, how a book differs, what happened to an account.

Each change of a book gets the next ``change_id``, one counter for all instruments, which jumps
besides: the venue counts much that nobody sees.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from functools import partial
from random import Random
from typing import Protocol

from feedmux.model.errors import InvalidSetting
from feedmux.sim.clock import Moment
from feedmux.sim.deribit_book import Change
from feedmux.sim.deribit_engine import Engine, name
from feedmux.sim.deribit_ledger import Ledger, News
from feedmux.sim.deribit_market import Index, Market
from feedmux.sim.deribit_options import DeribitOptions
from feedmux.sim.deribit_order import Trade
from feedmux.sim.deribit_product import Product, product


class Listener(Protocol):
    """Who is told what happens."""

    def traded(self, trades: Sequence[Trade], moment: Moment, /) -> None:
        """Somebody took from a book; the trades are of one taker and one instrument."""

    def changed(self, market: Market, changes: Sequence[Change], moment: Moment, /) -> None:
        """A book is another."""

    def told(self, ledger: Ledger, news: News, /) -> None:
        """Something happened to an account."""


class Exchange:
    """All markets and all accounts.

    Args:
        options: what is traded, and by whom.
        moment: when it opens.
        listener: who is told.
    """

    def __init__(self, options: DeribitOptions, moment: Moment, listener: Listener) -> None:
        self._listener = listener
        self._dice = Random(f"{options.seed}:deribit:exchange")
        self._change_id = self._dice.randrange(10**10, 10**11)
        self._trade_id = self._dice.randrange(10**8, 10**9)
        products = [product(title, options.seed) for title in dict.fromkeys(options.instruments)]
        coins = {made.index_name: made.base for made in products}
        self.indexes = {key: Index(key, coin, options.seed) for key, coin in coins.items()}
        self.markets = {made.name: self._open(made, options, moment) for made in products}
        ids = enumerate((account.client_id for account in options.accounts), 1001)
        self.ledgers = {ident: Ledger(ident, number, options.balance) for number, ident in ids}
        self.engine = Engine(self.markets, self.ledgers, self._dice.randrange(10**6, 10**8))

    def _open(self, made: Product, options: DeribitOptions, moment: Moment) -> Market:
        index, namer = self.indexes[made.index_name], partial(self._name_trade, made)
        market = Market(made, index, options.seed, depth=options.depth, name_trade=namer)
        market.open(moment.now_ms)
        market.change_id, market.changed_ms = self._next_change(), moment.now_ms
        return market

    def _name_trade(self, made: Product) -> str:
        self._trade_id += self._dice.randint(1, 3)
        return name(made, self._trade_id)

    def _next_change(self) -> int:
        self._change_id += self._dice.randint(1, 500)
        return self._change_id

    def step(self, moment: Moment) -> None:
        """Let every market move once."""
        for index in self.indexes.values():
            index.step()
        for market in self.markets.values():
            self._moved(market, market.step(moment.now_ms), moment)

    def move(self, instrument: str, price: float, moment: Moment) -> None:
        """Let a future be at a price at once, and all that follow the same index with it.

        Raises:
            InvalidSetting: there is no such future, or the price is none.
        """
        market = self.markets.get(instrument)
        if market is None or market.product.is_option:
            futures = ", ".join(key for key, other in self.markets.items() if not other.product.is_option)
            raise InvalidSetting("instrument", instrument, f"one of {futures}")
        if not 0 < price < 1e12:
            raise InvalidSetting("price", price, "a number above 0")
        market.move(Decimal(repr(price)))
        for other in self.markets.values():
            if other.index is market.index:
                self._moved(other, other.follow(moment.now_ms), moment)

    def _moved(self, market: Market, batches: Sequence[list[Trade]], moment: Moment) -> None:
        market.version += 1
        for batch in batches:
            self.engine.settle(batch, moment.now_ms)
            self._listener.traded(batch, moment)
        self._drain(market, moment)

    def _drain(self, market: Market, moment: Moment) -> None:
        changes = market.book.drain()
        if changes:
            market.change_id = self._next_change()
            market.changed_ms = moment.now_ms
            market.version += 1
            self._listener.changed(market, changes, moment)

    def gather(self, moment: Moment) -> None:
        """Tell what accounts did, and what happened to them, since the last call."""
        self.engine.expire(moment.now_ms)
        batches, self.engine.printed = self.engine.printed, []
        for batch in batches:
            self._listener.traded(batch, moment)
        for market in self.markets.values():
            self._drain(market, moment)
        for ledger in self.ledgers.values():
            for news in ledger.take_news():
                self._listener.told(ledger, news)
