"""Deribit: market data, orders and positions over a link that restores itself.

::

    async with Deribit(credentials=from_environment()) as deribit:
        print(await deribit.ticker("BTC-PERPETUAL"))
        placed = await deribit.buy(OrderRequest(instrument_name="BTC-PERPETUAL", amount=Decimal(10)))

Requests that only read are repeatable: they wait while the link is not live. Requests that change
something are never sent twice; when their fate is not known, :class:`RequestLost` or
:class:`RequestTimeout` says so.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterable, Mapping
from decimal import Decimal
from types import TracebackType
from typing import Final, Self, TypeVar

from feedmux.client.clock import SystemClock
from feedmux.client.deribit_adapter import DeribitAdapter
from feedmux.client.events import Subscribed
from feedmux.client.limiter import Limiter
from feedmux.client.link import Link, LinkConfig
from feedmux.core.allowance import deribit as allowance
from feedmux.core.book import Book
from feedmux.model.checks import require_kind, require_text, require_whole
from feedmux.model.errors import InvalidSetting
from feedmux.model.ports import Statistics
from feedmux.venue.deribit_auth import Credentials
from feedmux.venue.deribit_requests import (
    PRODUCTION,
    TEST,
    Instrument,
    Order,
    OrderBook,
    OrderRequest,
    Placed,
    Position,
    Ticker,
    Trade,
    read,
)

__all__ = [
    "PRODUCTION",
    "TEST",
    "Credentials",
    "Deribit",
    "Instrument",
    "Order",
    "OrderBook",
    "OrderRequest",
    "Placed",
    "Position",
    "Ticker",
    "Trade",
    "from_environment",
]

_ID: Final = "DERIBIT_CLIENT_ID"
_SECRET: Final = "DERIBIT_CLIENT_SECRET"  # noqa: S105 - the name of a variable
_SCOPES: Final = ("connection", "account")
_DEFAULTS: Final = LinkConfig()

_Result = TypeVar("_Result")


def from_environment(environment: Mapping[str, str] = os.environ) -> Credentials:
    """Read the key from ``DERIBIT_CLIENT_ID`` and ``DERIBIT_CLIENT_SECRET``.

    Raises:
        InvalidSetting: one of them is missing.
    """
    found = {name: environment.get(name, "") for name in (_ID, _SECRET)}
    for name, value in found.items():
        if not value:
            raise InvalidSetting(name, "", "a key made in the account's settings")
    return Credentials(found[_ID], found[_SECRET])


class Deribit:
    """One connection to Deribit, which comes back.

    Args:
        url: :data:`PRODUCTION` or :data:`TEST`.
        credentials: a key; None stays anonymous: public data only.
        config: bounds and deadlines.
        limiter: what may be sent; connections of one account have to share one. By default one of
            its own, with the allowance of an account that trades little and the link's telemetry.
        heartbeat_s: how often Deribit asks for a sign of life, seconds, at least 10.
        cancel_on_disconnect: ``connection`` or ``account`` has Deribit cancel open orders when the
            connection ends.
        batch_size: channels in one request to subscribe, from 1 to 500.
        batch_delay_s: between two such requests, seconds, 0 or more.

    Raises:
        InvalidSetting: an option is out of its range, the URL cannot work, or credentials would cross
            the network unencrypted.
    """

    def __init__(
        self,
        url: str = PRODUCTION,
        *,
        credentials: Credentials | None = None,
        config: LinkConfig = _DEFAULTS,
        limiter: Limiter | None = None,
        heartbeat_s: int = 30,
        cancel_on_disconnect: str | None = None,
        batch_size: int = 10,
        batch_delay_s: float = 0.2,
    ) -> None:
        require_whole("heartbeat_s", heartbeat_s, "seconds, at least 10", least=10)
        if cancel_on_disconnect is not None and cancel_on_disconnect not in _SCOPES:
            raise InvalidSetting("cancel_on_disconnect", cancel_on_disconnect, "'connection' or 'account'")
        if credentials is not None:
            require_kind("credentials", credentials, Credentials, "Credentials")
        self._adapter = DeribitAdapter(
            credentials,
            clock=SystemClock(),
            heartbeat_s=heartbeat_s,
            cancel_on_disconnect=cancel_on_disconnect,
            batch_size=batch_size,
            batch_delay_s=batch_delay_s,
        )
        self.limiter = Limiter(allowance(), name="deribit") if limiter is None else limiter
        """What may be sent, and how much of it is used up."""
        self.link = Link(url, adapter=self._adapter, config=config, limiter=self.limiter)
        """The link, for what is not here."""
        if limiter is None:
            self.limiter.telemetry = self.link.telemetry

    async def __aenter__(self) -> Self:
        await self.link
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.link.close()

    # Market data.

    async def instruments(self, currency: str = "any", kind: str | None = None) -> list[Instrument]:
        """Return what can be traded.

        Args:
            currency: e.g. ``BTC``; ``any`` for all.
            kind: ``future``, ``option``, …; None for all.
        """
        require_text("currency", currency)
        if kind is not None:
            require_text("kind", kind)
        params = {"currency": currency} | ({"kind": kind} if kind else {})
        return await self._read("public/get_instruments", params, list[Instrument])

    async def order_book(self, instrument_name: str, depth: int = 10) -> OrderBook:
        """Return the best ``depth`` prices of each side."""
        require_text("instrument_name", instrument_name)
        require_whole("depth", depth, "a number of prices above 0", least=1)
        params = {"instrument_name": instrument_name, "depth": depth}
        return await self._read("public/get_order_book", params, OrderBook)

    async def ticker(self, instrument_name: str) -> Ticker:
        """Return the present prices."""
        require_text("instrument_name", instrument_name)
        return await self._read("public/ticker", {"instrument_name": instrument_name}, Ticker)

    async def trades(self, instrument_name: str, count: int = 10) -> list[Trade]:
        """Return the last ``count`` public trades, newest first."""
        require_text("instrument_name", instrument_name)
        require_whole("count", count, "a number of trades above 0", least=1)
        params = {"instrument_name": instrument_name, "count": count}
        method = "public/get_last_trades_by_instrument"
        answer = await self.link.request(method, params, repeatable=True)
        return read(answer.get("trades") if isinstance(answer, dict) else answer, list[Trade])

    async def subscribe(self, channels: str | Iterable[str]) -> Subscribed:
        """Want channels, e.g. ``ticker.BTC-PERPETUAL.100ms`` or ``user.orders.any.any.raw``."""
        return await self.link.subscribe(channels)

    async def unsubscribe(self, channels: str | Iterable[str]) -> None:
        """Want channels no longer."""
        await self.link.unsubscribe(channels)

    def book(self, channel: str) -> Book:
        """Return the order book of a ``book`` channel that is subscribed to.

        It is kept while messages are taken from the link, or while a listener takes them.

        Raises:
            InvalidSetting: the channel is not subscribed to, or sends no chained changes.
        """
        book = self._adapter.books.get(channel)
        if book is None:
            raise InvalidSetting("channel", channel, "book.<instrument>.<interval>, subscribed to")
        return book

    # Orders.

    async def buy(self, order: OrderRequest) -> Placed:
        """Place an order to buy."""
        require_kind("order", order, OrderRequest, "an OrderRequest")
        return await self._change("private/buy", order.params(), Placed)

    async def sell(self, order: OrderRequest) -> Placed:
        """Place an order to sell."""
        require_kind("order", order, OrderRequest, "an OrderRequest")
        return await self._change("private/sell", order.params(), Placed)

    async def edit(self, order_id: str, *, amount: Decimal, price: Decimal | None = None) -> Placed:
        """Change an order that stands."""
        require_text("order_id", order_id)
        params = OrderRequest(instrument_name="-", amount=amount, price=price).params()
        numbers = {name: params[name] for name in ("amount", "price") if name in params}
        return await self._change("private/edit", {"order_id": order_id, **numbers}, Placed)

    async def cancel(self, order_id: str) -> Order:
        """Cancel an order; returns what became of it."""
        require_text("order_id", order_id)
        return await self._change("private/cancel", {"order_id": order_id}, Order)

    async def cancel_all(self) -> int:
        """Cancel all orders; returns how many there were."""
        return await self._change("private/cancel_all", {}, int)

    async def open_orders(self) -> list[Order]:
        """Return the orders that stand."""
        return await self._read("private/get_open_orders", {}, list[Order])

    async def positions(self, currency: str = "any") -> list[Position]:
        """Return what we hold."""
        require_text("currency", currency)
        return await self._read("private/get_positions", {"currency": currency}, list[Position])

    def __aiter__(self) -> AsyncIterator[object]:
        return self.link.__aiter__()

    def statistics(self) -> Statistics:
        """Return the link's counters."""
        return self.link.statistics()

    async def _read(self, method: str, params: Mapping[str, object], kind: type[_Result]) -> _Result:
        return read(await self.link.request(method, params, repeatable=True), kind)

    async def _change(self, method: str, params: Mapping[str, object], kind: type[_Result]) -> _Result:
        return read(await self.link.request(method, params), kind)
