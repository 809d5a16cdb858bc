"""Map Bybit's topic texts to topics and back, and say what can never be one.

Source: Bybit V5 documentation, "Websocket Stream / Public" (Ticker, Kline, Trade), 2026-07-24.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from feedmux.model.errors import InvalidTopic
from feedmux.model.topic import PUBLIC, Topic

NAME: Final = "bybit"
MARKETS: Final = ("linear", "spot", "inverse")
"""The markets whose public streams share these shapes; option has others."""

INTERVALS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "1m": "1", "3m": "3", "5m": "5", "15m": "15", "30m": "30",
        "1h": "60", "2h": "120", "4h": "240", "6h": "360", "12h": "720",
        "1d": "D", "1w": "W", "1M": "M",
    }
)  # fmt: skip
"""Our label of each candle interval -> Bybit's code, which is the topic's ``param``."""

LABELS: Final[Mapping[str, str]] = MappingProxyType({code: label for label, code in INTERVALS.items()})
"""Bybit's code of each candle interval -> our label."""

_PREFIXES: Final = {"ticker": "tickers", "kline": "kline", "trade": "publicTrade"}
_KINDS: Final = {prefix: kind for kind, prefix in _PREFIXES.items()}

# BTCUSDT, 1000PEPEUSDT, BTCPERP, BTC-25DEC26, BTCUSDT-25DEC26, BTCUSDZ26. The longest known has
# 22 characters; one of a single character would leave no room for a quote coin.
_SYMBOL: Final = re.compile(r"[A-Z0-9][A-Z0-9-]{1,39}")
_SHOWN: Final = 40


def arg_of(topic: Topic) -> str:
    """Give the text that Bybit calls ``topic``, e.g. ``kline.60.BTCUSDT``.

    Raises:
        InvalidTopic: its kind has no counterpart at Bybit.
    """
    prefix = _PREFIXES.get(topic.kind)
    if prefix is None:
        raise InvalidTopic(topic.text)
    middle = f".{topic.param}" if topic.param else ""
    return f"{prefix}{middle}.{topic.instrument}"


def topic_of(market: str, arg: str) -> Topic | None:
    """Read a Bybit topic text; None when it is none of ours (order books, other kinds)."""
    prefix, _, rest = arg.partition(".")
    kind = _KINDS.get(prefix)
    if kind is None:
        return None
    param, _, symbol = rest.rpartition(".")
    topic = Topic(PUBLIC, NAME, market, kind, symbol, param)
    # A trailing dot or an empty part must not come back as another spelling of the same topic.
    return topic.one() if problem_of(market, topic) is None and arg_of(topic) == arg else None


def problem_of(market: str, topic: Topic) -> str | None:
    """Say why ``topic`` can never exist on ``market``; None when it may."""
    if (topic.scope, topic.venue, topic.market) != (PUBLIC, NAME, market):
        return f"{_shown(topic.text)} is not a topic of {NAME}.{market}"
    if topic.kind not in _PREFIXES:
        return f"{_shown(topic.kind)} is no stream of Bybit's; expected one of {', '.join(_PREFIXES)}"
    return _problem_of_param(topic) or _problem_of_symbol(topic.instrument)


def _problem_of_param(topic: Topic) -> str | None:
    if topic.kind != "kline":
        return f"a {topic.kind} takes no parameter, got {_shown(topic.param)}" if topic.param else None
    if topic.param in LABELS:
        return None
    return f"{_shown(topic.param)} is no candle interval of Bybit's; expected one of {', '.join(LABELS)}"


def _problem_of_symbol(symbol: str) -> str | None:
    if _SYMBOL.fullmatch(symbol):
        return None
    if _SYMBOL.fullmatch(symbol.upper()):
        return f"{_shown(symbol)} is no Bybit symbol: symbols are upper-case, as in {symbol.upper()}"
    return (
        f"{_shown(symbol)} is no Bybit symbol: expected 2 to 40 of the characters A-Z, 0-9 and '-', "
        "as in BTCUSDT"
    )


def _shown(text: str) -> str:
    """Quote what a stranger wrote, cut to a length that a sentence bears."""
    return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "…")
