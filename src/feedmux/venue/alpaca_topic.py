"""Map Alpaca's channels to topics and back, and say what can never be one.

A topic is a symbol in one or two of Alpaca's channels: a candle is its minute bar and what corrects it.

Source: Alpaca documentation, "Real-time Stock Data" and "Real-time Crypto Data", 2026-07.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from feedmux.model.errors import InvalidTopic
from feedmux.model.topic import PUBLIC, Topic

NAME: Final = "alpaca"
MARKET: Final = ""
"""A gateway has one of Alpaca's feeds, so its topics name none, and users write ``@alpaca``."""

MINUTE: Final = "1"
INTERVALS: Final[Mapping[str, str]] = MappingProxyType({"1m": MINUTE})
"""Our label of each candle interval -> its minutes, which are the topic's ``param``."""

CHANNELS: Final[Mapping[str, Sequence[str]]] = MappingProxyType(
    {"ticker": ("quotes",), "trade": ("trades",), "kline": ("bars", "updatedBars")}
)
"""What a topic of each kind takes. ``corrections`` and ``cancelErrors`` follow ``trades`` by themselves."""

# AAPL, F, BRK.B, BAC.PRL, FAKEPACA; BTC/USD, 1INCH/USD. Whether one exists, Alpaca does not say either.
_SYMBOL: Final = re.compile(r"[A-Z0-9][A-Z0-9._-]{0,23}(?:/[A-Z0-9]{1,12})?")
_SHOWN: Final = 40


def topic_of(kind: str, symbol: str) -> Topic | None:
    """Make the topic of a kind and a symbol of Alpaca's; None when it can be none."""
    topic = Topic(PUBLIC, NAME, MARKET, kind, symbol, MINUTE if kind == "kline" else "")
    return topic.one() if problem_of(topic) is None else None


def channels_of(topics: Iterable[Topic]) -> dict[str, list[str]]:
    """Give the symbols that ``topics`` take of each channel, in their order.

    Raises:
        InvalidTopic: the kind of one has no counterpart at Alpaca.
    """
    found: dict[str, list[str]] = {}
    for topic in topics:
        channels = CHANNELS.get(topic.kind)
        if channels is None:
            raise InvalidTopic(topic.text)
        for channel in channels:
            found.setdefault(channel, []).append(topic.instrument)
    return found


def problem_of(topic: Topic) -> str | None:
    """Say why ``topic`` can never exist at Alpaca; None when it may."""
    if (topic.scope, topic.venue, topic.market) != (PUBLIC, NAME, MARKET):
        return f"{_shown(topic.text)} is not a topic of {NAME}"
    if topic.kind not in CHANNELS:
        return f"{_shown(topic.kind)} is no stream of Alpaca's; expected one of {', '.join(CHANNELS)}"
    return _problem_of_param(topic) or _problem_of_symbol(topic.instrument)


def _problem_of_param(topic: Topic) -> str | None:
    if topic.kind != "kline":
        return f"a {topic.kind} takes no parameter, got {_shown(topic.param)}" if topic.param else None
    if topic.param == MINUTE:
        return None
    return f"{_shown(topic.param)} is no candle interval of Alpaca's; expected one of {', '.join(INTERVALS)}"


def _problem_of_symbol(symbol: str) -> str | None:
    if _SYMBOL.fullmatch(symbol):
        return None
    if _SYMBOL.fullmatch(symbol.upper()):
        return f"{_shown(symbol)} is no Alpaca symbol: symbols are upper-case, as in {symbol.upper()}"
    return (
        f"{_shown(symbol)} is no Alpaca symbol: expected 1 to 24 of the characters A-Z, 0-9, '.', '-' and "
        "'_', as in BRK.B, or a pair, as in BTC/USD"
    )


def _shown(text: str) -> str:
    """Quote what a stranger wrote, cut to a length that a sentence bears."""
    return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "…")
