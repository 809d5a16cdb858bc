"""The private channels of a simulated Deribit: what happened to an account's orders and money.

``user.orders`` with ``raw`` tells each order by itself, else a list of orders; trades are lists
always; ``user.changes`` has one message for each instrument. While a channel is mute what
happens is lost. Source: Deribit API v2 documents, subscriptions, 2026-09.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping

from feedmux.sim.clock import Moment
from feedmux.sim.deribit_channels import RAW, Channel
from feedmux.sim.deribit_ledger import Ledger, News
from feedmux.sim.deribit_market import Market
from feedmux.sim.deribit_product import Product
from feedmux.sim.deribit_stream import MAX_WAITING, Stream, period_ms

View = dict[str, object]


class UserStream(Stream):
    """A private channel.

    Args:
        channel: which.
        ledger: whose.
        markets: by instrument.
        agg2_s: seconds between two deliveries of ``agg2``.
    """

    def __init__(
        self, channel: Channel, ledger: Ledger, markets: Mapping[str, Market], agg2_s: float
    ) -> None:
        super().__init__(channel, period_ms(channel, agg2_s), ledger.account)
        self._ledger = ledger
        self._markets = markets

    def told(self, news: News) -> None:
        """Something happened to the account."""
        if self.readers and not self.muted and self.channel.covers(news.product):
            self._note(news)

    @abstractmethod
    def _note(self, news: News) -> None:
        """Keep what is worth telling."""


class UserOrders(UserStream):
    """``user.orders.…``"""

    def __init__(
        self, channel: Channel, ledger: Ledger, markets: Mapping[str, Market], agg2_s: float
    ) -> None:
        super().__init__(channel, ledger, markets, agg2_s)
        self._pending: dict[str, View] = {}

    def _note(self, news: News) -> None:
        for ident, order in news.orders.items():
            if len(self._pending) < MAX_WAITING:
                self._pending[ident] = order.view(self._ledger.user_id)

    def settle(self, moment: Moment) -> None:
        pending, self._pending = list(self._pending.values()), {}
        if self.channel.interval == RAW:
            for order in pending:
                self.put(order)
        elif pending:
            self.put(pending)


class UserTrades(UserStream):
    """``user.trades.…``"""

    def __init__(
        self, channel: Channel, ledger: Ledger, markets: Mapping[str, Market], agg2_s: float
    ) -> None:
        super().__init__(channel, ledger, markets, agg2_s)
        self._pending: list[View] = []

    def _note(self, news: News) -> None:
        if len(self._pending) < MAX_WAITING:
            self._pending += news.trades

    def settle(self, moment: Moment) -> None:
        pending, self._pending = self._pending, []
        if pending:
            self.put(pending)


class _Changes:
    def __init__(self, product: Product) -> None:
        self.product = product
        self.orders: dict[str, View] = {}
        self.trades: list[View] = []


class UserChanges(UserStream):
    """``user.changes.…``"""

    def __init__(
        self, channel: Channel, ledger: Ledger, markets: Mapping[str, Market], agg2_s: float
    ) -> None:
        super().__init__(channel, ledger, markets, agg2_s)
        self._pending: dict[str, _Changes] = {}

    def _note(self, news: News) -> None:
        changes = self._pending.setdefault(news.product.name, _Changes(news.product))
        if len(changes.orders) < MAX_WAITING and len(changes.trades) < MAX_WAITING:
            changes.trades += news.trades
            for ident, order in news.orders.items():
                changes.orders[ident] = order.view(self._ledger.user_id)

    def settle(self, moment: Moment) -> None:
        pending, self._pending = self._pending, {}
        for name, changes in pending.items():
            held = self._ledger.positions.get(name)
            self.put(
                {
                    "trades": changes.trades,
                    "positions": [held.view(self._markets[name])] if held and changes.trades else [],
                    "orders": list(changes.orders.values()),
                    "instrument_name": name,
                }
            )


class Portfolio(UserStream):
    """``user.portfolio.…``: the money of a currency, or of each one for ``any``."""

    def __init__(
        self, channel: Channel, ledger: Ledger, markets: Mapping[str, Market], agg2_s: float
    ) -> None:
        super().__init__(channel, ledger, markets, agg2_s)
        self._pending: set[str] = set()

    def _note(self, news: News) -> None:
        self._pending.add(news.product.currency)

    def settle(self, moment: Moment) -> None:
        pending, self._pending = sorted(self._pending), set()
        for currency in pending:
            self.put(self._ledger.portfolio(currency, self._markets))

    def first(self, moment: Moment) -> object:
        currency = self.channel.currency
        if currency == "any":
            currency = min(market.product.currency for market in self._markets.values())
        return self._ledger.portfolio(currency, self._markets)


_MADE: dict[str, type[UserStream]] = {
    "user.orders": UserOrders,
    "user.trades": UserTrades,
    "user.changes": UserChanges,
    "user.portfolio": Portfolio,
}


def user_stream(channel: Channel, ledger: Ledger, markets: Mapping[str, Market], agg2_s: float) -> UserStream:
    """The stream of a private channel that exists."""
    return _MADE[channel.family](channel, ledger, markets, agg2_s)
