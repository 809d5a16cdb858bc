"""Read the data of Bybit's public frames and write it as our ``data``.

Two sets of shapes: what Bybit sends (``*Frame``, strict in what we carry, blind to the rest) and
what we send (the field tables of docs/reference/bybit.md, in that order). Numbers stay the exact
texts that Bybit sent; what is not known is absent.

Source: Bybit V5 documentation, "Websocket Stream / Public" (Ticker, Kline, Trade), 2026-07-24.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import ROUND_HALF_EVEN, Context, Decimal, InvalidOperation
from functools import lru_cache
from operator import itemgetter
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct, ValidationError, json

from feedmux.model.venue import ObjectPlan
from feedmux.venue.number import Milliseconds

Order = Annotated[int, Meta(ge=0, le=2**63 - 1)]


class TickerFrame(Struct, gc=False):
    """``tickers.{symbol}``: ``cs`` is the cross sequence, which never falls but skips."""

    topic: str
    type: Literal["snapshot", "delta"]
    data: dict[str, str]
    cs: Order
    ts: Milliseconds


class Candle(Struct, gc=False):
    """One element of a kline frame's ``data``."""

    start: Milliseconds
    end: Milliseconds
    open: str
    high: str
    low: str
    close: str
    volume: str
    turnover: str
    confirm: bool


class KlineFrame(Struct, gc=False):
    """``kline.{interval}.{symbol}``."""

    topic: str
    data: Annotated[list[Candle], Meta(min_length=1)]
    ts: Milliseconds


class Trade(Struct, gc=False):
    """One element of a trade frame's ``data``; spot leaves some fields out that we do not use."""

    i: str
    p: str
    v: str
    S: Literal["Buy", "Sell"]
    T: Milliseconds
    BT: bool = False


class TradeFrame(Struct, gc=False):
    """``publicTrade.{symbol}``: up to 1,024 trades in the order of their matching."""

    topic: str
    data: Annotated[list[Trade], Meta(min_length=1)]
    ts: Milliseconds


class _LooseTickerFrame(Struct):
    topic: str
    type: Literal["snapshot", "delta"]
    data: dict[str, object]
    cs: Order
    ts: Milliseconds


CARRIED: Final = frozenset(
    {
        "lastPrice", "markPrice", "indexPrice", "highPrice24h", "lowPrice24h", "prevPrice24h",
        "volume24h", "turnover24h", "price24hPcnt", "tickDirection", "bid1Price", "bid1Size",
        "ask1Price", "ask1Size", "openInterest", "openInterestValue", "fundingRate", "nextFundingTime",
    }
)  # fmt: skip
"""The ticker fields that :func:`write_ticker` uses."""

_read_texts: Final = json.Decoder(TickerFrame).decode
_read_loose: Final = json.Decoder(_LooseTickerFrame).decode


def read_ticker(payload: bytes) -> TickerFrame:
    """Read a ticker frame.

    Every field has been a text so far. Should Bybit add one that is not, it is left out, and only
    a field that we carry makes the frame unreadable.

    Raises:
        msgspec.DecodeError, UnicodeDecodeError, RecursionError: it is no such frame.
    """
    try:
        return _read_texts(payload)
    except ValidationError:
        frame = _read_loose(payload)
        texts = {name: value for name, value in frame.data.items() if isinstance(value, str)}
        if CARRIED & (frame.data.keys() - texts.keys()):
            raise
        return TickerFrame(frame.topic, frame.type, texts, frame.cs, frame.ts)


read_kline = json.Decoder(KlineFrame).decode
read_trades = json.Decoder(TradeFrame).decode


# An empty text is the default of every field below and is left out: so what Bybit never sent and
# what it sent as "" (not applicable) are both absent. Texts encode faster than optional texts.
class _Side(Struct, gc=False, omit_defaults=True):
    price: str = ""
    size: str = ""


_TICKER_NAMES: Final = {
    "mark_price": "markPrice",
    "index_price": "indexPrice",
    "high_24h": "high24h",
    "low_24h": "low24h",
    "prev_price_24h": "prevPrice24h",
    "volume_24h": "volume24h",
    "turnover_24h": "turnover24h",
    "change_24h_percent": "change24hPercent",
    "tick_direction": "tickDirection",
    "open_interest": "openInterest",
    "open_interest_value": "openInterestValue",
    "funding_rate": "fundingRate",
    "next_funding_time": "nextFundingTime",
}


class _OurTicker(Struct, gc=False, omit_defaults=True, rename=_TICKER_NAMES):
    symbol: str
    price: str = ""
    mark_price: str = ""
    index_price: str = ""
    high_24h: str = ""
    low_24h: str = ""
    prev_price_24h: str = ""
    volume_24h: str = ""
    turnover_24h: str = ""
    change_24h_percent: str = ""
    tick_direction: str = ""
    bid: _Side | None = None
    ask: _Side | None = None
    open_interest: str = ""
    open_interest_value: str = ""
    funding_rate: str = ""
    next_funding_time: str = ""


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


class _OurTrade(Struct, gc=False, rename="camel"):
    id: str
    symbol: str
    price: str
    quantity: str
    side: str
    time: int
    is_block_trade: bool


_encode: Final = json.Encoder().encode
_SIDES: Final = {"Buy": "buy", "Sell": "sell"}


# What write_ticker() reads, in one call for all; a state that lacks a field pays for a second pass.
_PICKED: Final = (
    *("lastPrice", "markPrice", "indexPrice", "highPrice24h", "lowPrice24h", "prevPrice24h"),
    *("volume24h", "turnover24h", "price24hPcnt", "tickDirection"),
    *("bid1Price", "bid1Size", "ask1Price", "ask1Size"),
    *("openInterest", "openInterestValue", "fundingRate", "nextFundingTime"),
)
_pick: Final = itemgetter(*_PICKED)


def write_ticker(symbol: str, state: Mapping[str, str]) -> bytes:
    """Write a merged ticker; see :meth:`feedmux.model.venue.Venue.render`."""
    try:
        known = _pick(state)
    except KeyError:
        known = tuple(state.get(name, "") for name in _PICKED)
    # fmt: off
    (last, mark, index, high, low, previous, volume, turnover, ratio, tick,
     bid, bid_size, ask, ask_size, interest, interest_value, funding, funding_time) = known
    # fmt: on
    ticker = _OurTicker(
        symbol,
        last,
        mark,
        index,
        high,
        low,
        previous,
        volume,
        turnover,
        percent(ratio),
        tick,
        _Side(bid, bid_size) if bid or bid_size else None,
        _Side(ask, ask_size) if ask or ask_size else None,
        interest,
        interest_value,
        funding,
        funding_time,
    )
    return _encode(ticker)


def write_candle(symbol: str, label: str, candle: Candle) -> bytes:
    """Write one candle; ``label`` is our name of the interval, e.g. ``1h``."""
    return _encode(
        _OurCandle(
            symbol,
            label,
            candle.start,
            candle.end,
            candle.open,
            candle.high,
            candle.low,
            candle.close,
            candle.volume,
            candle.turnover,
            candle.confirm,
        )
    )


def write_trades(symbol: str, trades: list[Trade]) -> bytes:
    """Write the trades of one frame as a list, in their order."""
    return _encode([_OurTrade(t.i, symbol, t.p, t.v, _SIDES[t.S], t.T, t.BT) for t in trades])


_NUMBER: Final = re.compile(r"-?[0-9]{1,30}(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,2})?")
_HUNDREDTH: Final = Decimal("0.01")
# Room for every number that _NUMBER lets in; ours, so that nobody's decimal settings reach it.
_EXACT: Final = Context(prec=200, rounding=ROUND_HALF_EVEN, traps=[InvalidOperation])


@lru_cache(maxsize=8192)
def percent(ratio: str) -> str:
    """Write a ratio as a percentage with exactly two decimals, by exact decimal arithmetic.

    Args:
        ratio: a decimal text, e.g. ``-0.01229``; remembered, because tickers repeat it.

    Returns:
        E.g. ``-1.23``, halves to even, never ``-0.00``; empty when ``ratio`` is no number.
    """
    if not _NUMBER.fullmatch(ratio):
        return ""
    hundredfold = Decimal(ratio, _EXACT).scaleb(2, _EXACT).quantize(_HUNDREDTH, context=_EXACT)
    return f"{hundredfold:f}" if hundredfold else "0.00"


TICKER_PLAN: Final[ObjectPlan] = (
    ("price", "lastPrice"),
    ("markPrice", "markPrice"),
    ("indexPrice", "indexPrice"),
    ("high24h", "highPrice24h"),
    ("low24h", "lowPrice24h"),
    ("prevPrice24h", "prevPrice24h"),
    ("volume24h", "volume24h"),
    ("turnover24h", "turnover24h"),
    ("change24hPercent", "price24hPcnt", percent),
    ("tickDirection", "tickDirection"),
    ("bid", (("price", "bid1Price"), ("size", "bid1Size"))),
    ("ask", (("price", "ask1Price"), ("size", "ask1Size"))),
    ("openInterest", "openInterest"),
    ("openInterestValue", "openInterestValue"),
    ("fundingRate", "fundingRate"),
    ("nextFundingTime", "nextFundingTime"),
)
"""What :func:`write_ticker` writes after the symbol, for a twin that is built from it."""
