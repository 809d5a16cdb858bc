"""Read the objects of Alpaca's frames and write data as ours.

Two sets of shapes: what Alpaca sends (strict in what we carry, blind to the rest; ``T`` tells them apart) and
what we send (the field tables of docs/reference/alpaca.md, in that order). Numbers become the exact texts
that Alpaca wrote, ids too, which are longer than 32 bits; what is not known is absent.

A trade that is corrected or cancelled is no trade: what says so comes in the same list and at its place, but
has neither ``id`` nor ``price`` nor ``quantity`` of its own, so that nobody takes it for one more trade.

Source: Alpaca documentation, "Real-time Stock Data" (trades, quotes, bars, corrections, cancels/errors) and
"Real-time Crypto Data", 2026-07.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from msgspec import Raw, Struct, ValidationError, json

from feedmux.venue.number import NOTHING, optional, required
from feedmux.venue.rfc3339 import nanoseconds

_NS_PER_MS: Final = 1_000_000
_MINUTE_MS: Final = 60_000
_ID: Final = re.compile(rb"[0-9]{1,40}")
_SIDES: Final = {"B": "buy", "S": "sell"}
_INTERVAL: Final = "1m"

Texts = list[str] | None


class Success(Struct, tag_field="T", tag="success"):
    """``connected`` or ``authenticated``."""

    msg: str = ""


class Failure(Struct, tag_field="T", tag="error"):
    """An error, by its number."""

    code: int = 0
    msg: str = ""


class Subscribed(Struct, tag_field="T", tag="subscription", rename="camel"):
    """All that this connection is subscribed to; lists may be left out when they are empty."""

    trades: Texts = None
    quotes: Texts = None
    bars: Texts = None
    updated_bars: Texts = None


class Trade(Struct, tag_field="T", tag="t", gc=False):
    """A trade; ``tks`` is the taker's side, of crypto pairs alone."""

    S: str
    i: Raw
    p: Raw
    s: Raw
    t: str
    x: str | None = None
    c: Texts = None
    z: str | None = None
    tks: str | None = None


class Correction(Struct, tag_field="T", tag="c", gc=False):
    """A trade as it was (``o…``), and as it should have been (``c…``)."""

    S: str
    oi: Raw
    op: Raw
    os: Raw
    ci: Raw
    cp: Raw
    cs: Raw
    t: str
    x: str | None = None
    oc: Texts = None
    cc: Texts = None
    z: str | None = None


class Cancel(Struct, tag_field="T", tag="x", gc=False):
    """A trade that is none any more; ``a`` says whether it was cancelled (C) or an error (E)."""

    S: str
    i: Raw
    t: str
    p: Raw = NOTHING
    s: Raw = NOTHING
    a: str | None = None
    x: str | None = None
    z: str | None = None


class Quote(Struct, tag_field="T", tag="q", gc=False, rename={"ask_size": "as"}):
    """The best bid and the best ask; stocks name their exchanges, ``c`` and ``z``."""

    S: str
    t: str
    bp: Raw = NOTHING
    bs: Raw = NOTHING
    ap: Raw = NOTHING
    ask_size: Raw = NOTHING
    bx: str | None = None
    ax: str | None = None
    c: Texts = None
    z: str | None = None


class Bar(Struct, tag_field="T", tag="b", gc=False):
    """A minute that is over; ``t`` is its beginning."""

    S: str
    o: Raw
    h: Raw
    l: Raw  # noqa: E741 - Alpaca's name
    c: Raw
    v: Raw
    t: str
    n: int | None = None
    vw: Raw = NOTHING


class UpdatedBar(Bar, tag_field="T", tag="u", gc=False):
    """The same minute once more, with trades that were reported late."""


class Head(Struct):
    """What any object of a frame is, and of which symbol."""

    T: str = ""
    S: str = ""


TradeNews = Trade | Correction | Cancel
"""What goes into the list of a ``trade`` stream."""

Object = Success | Failure | Subscribed | Trade | Correction | Cancel | Quote | Bar | UpdatedBar

KINDS: Final = {"t": "trade", "c": "trade", "x": "trade", "q": "ticker", "b": "kline", "u": "kline"}
"""Alpaca's type of what is data -> our kind."""

CONTROL: Final = frozenset({"success", "error", "subscription"})
"""Alpaca's types of what is not."""


class _OurTrade(Struct, gc=False, omit_defaults=True, rename="camel"):
    id: str
    symbol: str
    price: str
    quantity: str
    time: int
    venue_time: str
    side: str = ""
    exchange: str = ""
    conditions: Texts = None
    tape: str = ""


class _Deal(Struct, gc=False, omit_defaults=True):
    id: str
    price: str = ""
    quantity: str = ""
    conditions: Texts = None


class _OurCorrection(Struct, gc=False, omit_defaults=True, rename="camel"):
    symbol: str
    time: int
    venue_time: str
    corrected: _Deal
    correction: _Deal
    exchange: str = ""
    tape: str = ""


class _OurCancel(Struct, gc=False, omit_defaults=True, rename="camel"):
    symbol: str
    time: int
    venue_time: str
    cancelled: _Deal
    action: str = ""
    exchange: str = ""
    tape: str = ""


class _Side(Struct, gc=False, omit_defaults=True):
    price: str
    size: str = ""
    exchange: str = ""


class _OurTicker(Struct, gc=False, omit_defaults=True, rename="camel"):
    symbol: str
    venue_time: str
    bid: _Side | None = None
    ask: _Side | None = None
    conditions: Texts = None
    tape: str = ""


class _OurCandle(Struct, gc=False, omit_defaults=True, rename="camel"):
    symbol: str
    interval: str
    open_time: int
    close_time: int
    open: str
    high: str
    low: str
    close: str
    volume: str
    confirmed: bool
    trade_count: int | None = None
    average_price: str = ""
    corrected: bool = False


_encode: Final = json.Encoder().encode


def write_quote(quote: Quote) -> bytes:
    """Write a quote as a ticker's ``data``.

    Raises:
        msgspec.ValidationError: something that should be a number is none.
    """
    return _encode(
        _OurTicker(
            quote.S,
            quote.t,
            _side(quote.bp, quote.bs, quote.bx),
            _side(quote.ap, quote.ask_size, quote.ax),
            quote.c or None,
            quote.z or "",
        )
    )


def write_bar(bar: Bar) -> bytes:
    """Write a minute bar, or one that corrects it, as a candle that is closed.

    Raises:
        msgspec.ValidationError: something that should be a number, or a time, is none.
    """
    opened_ms = nanoseconds(bar.t) // _NS_PER_MS
    return _encode(
        _OurCandle(
            bar.S,
            _INTERVAL,
            opened_ms,
            opened_ms + _MINUTE_MS - 1,
            required(bar.o),
            required(bar.h),
            required(bar.l),
            required(bar.c),
            required(bar.v),
            confirmed=True,
            trade_count=bar.n,
            average_price=optional(bar.vw),
            corrected=type(bar) is UpdatedBar,
        )
    )


def write_trades(news: Sequence[TradeNews]) -> bytes:
    """Write what one frame says of a symbol's trades as a list, in its order.

    Raises:
        msgspec.ValidationError: something that should be a number, or a time, is none.
    """
    return _encode([_news(one) for one in news])


def _news(one: TradeNews) -> Struct:
    at_ms = nanoseconds(one.t) // _NS_PER_MS
    exchange, tape = one.x or "", one.z or ""
    match one:
        case Trade():
            return _OurTrade(
                _id(one.i),
                one.S,
                required(one.p),
                required(one.s),
                at_ms,
                one.t,
                _SIDES.get(one.tks or "", ""),
                exchange,
                one.c or None,
                tape,
            )
        case Correction():
            was = _Deal(_id(one.oi), required(one.op), required(one.os), one.oc or None)
            is_ = _Deal(_id(one.ci), required(one.cp), required(one.cs), one.cc or None)
            return _OurCorrection(one.S, at_ms, one.t, was, is_, exchange, tape)
        case Cancel():
            was = _Deal(_id(one.i), optional(one.p), optional(one.s))
            return _OurCancel(one.S, at_ms, one.t, was, one.a or "", exchange, tape)


def _id(number: Raw) -> str:
    """The digits of an id, however many."""
    text = bytes(number)
    if not _ID.fullmatch(text):
        raise ValidationError("Expected an id of digits")
    return text.decode("ascii")


def _side(price: Raw, size: Raw, exchange: str | None) -> _Side | None:
    """The best of one side; None when nobody is there, which Alpaca says by zeros."""
    shown, amount = optional(price), optional(size)
    if not _is_something(shown) or (amount and not _is_something(amount)):
        return None
    return _Side(shown, amount, exchange or "")


def _is_something(number: str) -> bool:
    return bool(number.strip("-0."))
