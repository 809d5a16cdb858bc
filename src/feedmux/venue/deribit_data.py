"""Read the data of Deribit's public channels and write it as our ``data``.

Two sets of shapes: what Deribit sends (strict in what we carry, blind to the rest) and what we
send (the field tables of docs/reference/deribit.md, in that order). Deribit's numbers are JSON
numbers; ours are texts with the same digits. What is not known is absent.

Source: Deribit API v2 documentation, "Subscriptions" (ticker, trades, chart.trades), 2026-03; which
of the fields are there, and which are null, as the venue sent them in 2025 and 2026.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from msgspec import Meta, Raw, Struct, ValidationError, json

from feedmux.venue.deribit_topic import LABELS, LENGTHS_MS
from feedmux.venue.number import NOTHING, Milliseconds, optional, required

TradeSeq = Annotated[int, Meta(ge=0, le=2**63 - 1)]


class Stats(Struct, gc=False):
    """A ticker's ``stats``: of the last 24 hours."""

    high: Raw = NOTHING
    low: Raw = NOTHING
    price_change: Raw = NOTHING
    volume: Raw = NOTHING
    volume_usd: Raw = NOTHING


class Greeks(Struct, gc=False):
    """A ticker's ``greeks``; options have them."""

    delta: Raw = NOTHING
    gamma: Raw = NOTHING
    rho: Raw = NOTHING
    theta: Raw = NOTHING
    vega: Raw = NOTHING


_NO_STATS: Final = Stats()


class Ticker(Struct, gc=False):
    """``ticker.{instrument}.100ms``: the whole state each time."""

    instrument_name: str
    timestamp: Milliseconds
    state: str | None = None
    stats: Stats | None = None
    greeks: Greeks | None = None
    underlying_index: str | None = None
    last_price: Raw = NOTHING
    mark_price: Raw = NOTHING
    index_price: Raw = NOTHING
    best_bid_price: Raw = NOTHING
    best_bid_amount: Raw = NOTHING
    best_ask_price: Raw = NOTHING
    best_ask_amount: Raw = NOTHING
    open_interest: Raw = NOTHING
    current_funding: Raw = NOTHING
    funding_8h: Raw = NOTHING
    interest_value: Raw = NOTHING
    settlement_price: Raw = NOTHING
    estimated_delivery_price: Raw = NOTHING
    delivery_price: Raw = NOTHING
    min_price: Raw = NOTHING
    max_price: Raw = NOTHING
    mark_iv: Raw = NOTHING
    bid_iv: Raw = NOTHING
    ask_iv: Raw = NOTHING
    underlying_price: Raw = NOTHING
    interest_rate: Raw = NOTHING


class Trade(Struct, gc=False):
    """One element of ``trades.{instrument}.100ms``."""

    instrument_name: str
    trade_id: str
    trade_seq: TradeSeq
    timestamp: Milliseconds
    price: Raw
    amount: Raw
    direction: Literal["buy", "sell"]
    mark_price: Raw = NOTHING
    index_price: Raw = NOTHING
    iv: Raw = NOTHING
    liquidation: str | None = None
    block_trade_id: str | None = None


class Chart(Struct, gc=False):
    """``chart.trades.{instrument}.{resolution}``: the running candle, as ``tick`` names it."""

    tick: Milliseconds
    open: Raw
    high: Raw
    low: Raw
    close: Raw
    volume: Raw
    cost: Raw


read_ticker: Final = json.Decoder(Ticker).decode
read_trades: Final = json.Decoder(Annotated[list[Trade], Meta(min_length=1)]).decode
read_chart: Final = json.Decoder(Chart).decode


# As for Bybit: an empty text is the default of every field that may be unknown, and is left out.
class _Side(Struct, gc=False, omit_defaults=True):
    price: str = ""
    size: str = ""
    iv: str = ""


class _OurGreeks(Struct, gc=False, omit_defaults=True):
    delta: str = ""
    gamma: str = ""
    rho: str = ""
    theta: str = ""
    vega: str = ""


_TICKER_NAMES: Final = {
    "mark_price": "markPrice",
    "index_price": "indexPrice",
    "high_24h": "high24h",
    "low_24h": "low24h",
    "volume_24h": "volume24h",
    "turnover_24h": "turnover24h",
    "change_24h_percent": "change24hPercent",
    "open_interest": "openInterest",
    "funding_rate": "fundingRate",
    "funding_rate_8h": "fundingRate8h",
    "interest_value": "interestValue",
    "settlement_price": "settlementPrice",
    "estimated_delivery_price": "estimatedDeliveryPrice",
    "delivery_price": "deliveryPrice",
    "min_price": "minPrice",
    "max_price": "maxPrice",
    "mark_iv": "markIv",
    "underlying_price": "underlyingPrice",
    "underlying_index": "underlyingIndex",
    "interest_rate": "interestRate",
}


class _OurTicker(Struct, gc=False, omit_defaults=True, rename=_TICKER_NAMES):
    symbol: str
    price: str = ""
    mark_price: str = ""
    index_price: str = ""
    high_24h: str = ""
    low_24h: str = ""
    volume_24h: str = ""
    turnover_24h: str = ""
    change_24h_percent: str = ""
    bid: _Side | None = None
    ask: _Side | None = None
    open_interest: str = ""
    funding_rate: str = ""
    funding_rate_8h: str = ""
    interest_value: str = ""
    settlement_price: str = ""
    estimated_delivery_price: str = ""
    delivery_price: str = ""
    min_price: str = ""
    max_price: str = ""
    mark_iv: str = ""
    greeks: _OurGreeks | None = None
    underlying_price: str = ""
    underlying_index: str = ""
    interest_rate: str = ""
    state: str = ""


class _OurCandle(Struct, gc=False, rename="camel"):
    symbol: str
    interval: str
    open_time: int
    close_time: int
    open: str
    high: str
    low: str
    close: str
    volume: str
    turnover: str
    confirmed: bool


class _OurTrade(Struct, gc=False, omit_defaults=True, rename="camel"):
    id: str
    symbol: str
    price: str
    quantity: str
    side: str
    time: int
    is_block_trade: bool
    trade_seq: int
    mark_price: str = ""
    index_price: str = ""
    iv: str = ""
    liquidation: str = ""


_encode: Final = json.Encoder().encode


def write_ticker(ticker: Ticker) -> bytes:
    """Write a ticker's ``data``.

    Raises:
        msgspec.ValidationError: something that should be a number is none.
    """
    stats = ticker.stats or _NO_STATS
    return _encode(
        _OurTicker(
            ticker.instrument_name,
            optional(ticker.last_price),
            optional(ticker.mark_price),
            optional(ticker.index_price),
            optional(stats.high),
            optional(stats.low),
            optional(stats.volume),
            optional(stats.volume_usd),
            optional(stats.price_change),
            _side(ticker.best_bid_price, ticker.best_bid_amount, ticker.bid_iv),
            _side(ticker.best_ask_price, ticker.best_ask_amount, ticker.ask_iv),
            optional(ticker.open_interest),
            optional(ticker.current_funding),
            optional(ticker.funding_8h),
            optional(ticker.interest_value),
            optional(ticker.settlement_price),
            optional(ticker.estimated_delivery_price),
            optional(ticker.delivery_price),
            optional(ticker.min_price),
            optional(ticker.max_price),
            optional(ticker.mark_iv),
            None if ticker.greeks is None else _greeks(ticker.greeks),
            optional(ticker.underlying_price),
            ticker.underlying_index or "",
            optional(ticker.interest_rate),
            ticker.state or "",
        )
    )


def write_candle(symbol: str, resolution: str, chart: Chart) -> tuple[bytes, bytes]:
    """Write a candle twice: as it is while more may come of it, and as it is if nothing more does.

    Args:
        symbol: the instrument.
        resolution: Deribit's name of the interval.
        chart: the candle's state.

    Raises:
        msgspec.ValidationError: something that should be a number is none.
    """
    candle = _OurCandle(
        symbol,
        LABELS[resolution],
        chart.tick,
        chart.tick + LENGTHS_MS[resolution] - 1,
        required(chart.open),
        required(chart.high),
        required(chart.low),
        required(chart.close),
        required(chart.volume),
        required(chart.cost),
        confirmed=False,
    )
    running = _encode(candle)
    candle.confirmed = True
    return running, _encode(candle)


def write_trades(symbol: str, trades: list[Trade]) -> bytes:
    """Write the trades of one message as a list, in their order.

    Raises:
        msgspec.ValidationError: one is of another instrument, or has something that should be a
            number and is none.
    """
    return _encode([_trade(symbol, trade) for trade in trades])


def _trade(symbol: str, trade: Trade) -> _OurTrade:
    if trade.instrument_name != symbol:
        raise ValidationError(f"Expected trades of {symbol}, got one of {trade.instrument_name!r}")
    return _OurTrade(
        trade.trade_id,
        symbol,
        required(trade.price),
        required(trade.amount),
        trade.direction,
        trade.timestamp,
        trade.block_trade_id is not None,
        trade.trade_seq,
        optional(trade.mark_price),
        optional(trade.index_price),
        optional(trade.iv),
        trade.liquidation or "",
    )


def _side(price: Raw, amount: Raw, iv: Raw) -> _Side | None:
    """The best of one side; None when nobody is there, which Deribit also says by an amount of 0."""
    size = optional(amount)
    shown = optional(price)
    if not (size.strip("-0.") if size else shown):
        return None
    return _Side(shown, size, optional(iv))


def _greeks(greeks: Greeks) -> _OurGreeks:
    return _OurGreeks(
        optional(greeks.delta),
        optional(greeks.gamma),
        optional(greeks.rho),
        optional(greeks.theta),
        optional(greeks.vega),
    )
