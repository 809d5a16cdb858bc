"""Map Deribit's channels to topics and back, and say what can never be one.

Source: Deribit API v2 documentation, "Subscriptions" (ticker, trades, chart.trades), 2026-03.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from feedmux.model.errors import InvalidTopic
from feedmux.model.topic import PUBLIC, Topic

NAME: Final = "deribit"
MARKET: Final = ""
"""Deribit has one market for all that it trades, so its topics name none, and users write ``@deribit``."""

INTERVALS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "1m": "1", "3m": "3", "5m": "5", "10m": "10", "15m": "15", "30m": "30",
        "1h": "60", "2h": "120", "3h": "180", "6h": "360", "12h": "720", "1d": "1D",
    }
)  # fmt: skip
"""Our label of each candle interval -> Deribit's resolution, which is the topic's ``param``."""

LABELS: Final[Mapping[str, str]] = MappingProxyType({code: label for label, code in INTERVALS.items()})
"""Deribit's resolution of each candle interval -> our label."""

_DAY: Final = "1D"
LENGTHS_MS: Final[Mapping[str, int]] = MappingProxyType(
    {code: 86_400_000 if code == _DAY else int(code) * 60_000 for code in LABELS}
)
"""Deribit's resolution of each candle interval -> its length."""

_PACE: Final = "100ms"  # without a login the fastest: "raw" is refused
_FAMILIES: Final = {"ticker": "ticker", "trade": "trades", "kline": "chart.trades"}
_KINDS: Final = {family: kind for kind, family in _FAMILIES.items()}
_CHANNEL: Final = re.compile(r"(ticker|trades|chart\.trades)\.([^.]+)\.([^.]+)")

# BTC-PERPETUAL, BTC_USDC-PERPETUAL, BTC-27NOV26-90000-C, BTC-CS-27NOV26-90000_95000, ETH_USDC; a strike
# below one is written with a d for the point, as in XRP_USDC-27NOV26-0d625-C.
_INSTRUMENT: Final = re.compile(r"[A-Z0-9](?:[A-Z0-9_-]|(?<=[0-9])d(?=[0-9])){1,63}")
_SHOWN: Final = 40


def channel_of(topic: Topic) -> str:
    """Give the channel that Deribit calls ``topic``, e.g. ``chart.trades.BTC-PERPETUAL.60``.

    Raises:
        InvalidTopic: its kind has no counterpart at Deribit.
    """
    family = _FAMILIES.get(topic.kind)
    if family is None:
        raise InvalidTopic(topic.text)
    return f"{family}.{topic.instrument}.{topic.param or _PACE}"


def topic_of(channel: str) -> Topic | None:
    """Read a Deribit channel; None when it is none of ours (order books, other paces)."""
    found = _CHANNEL.fullmatch(channel)
    if found is None:
        return None
    kind = _KINDS[found[1]]
    if kind != "kline" and found[3] != _PACE:
        return None
    topic = Topic(PUBLIC, NAME, MARKET, kind, found[2], found[3] if kind == "kline" else "")
    return topic.one() if problem_of(topic) is None else None


def problem_of(topic: Topic) -> str | None:
    """Say why ``topic`` can never exist at Deribit; None when it may."""
    if (topic.scope, topic.venue, topic.market) != (PUBLIC, NAME, MARKET):
        return f"{_shown(topic.text)} is not a topic of {NAME}"
    if topic.kind not in _FAMILIES:
        return f"{_shown(topic.kind)} is no stream of Deribit's; expected one of {', '.join(_FAMILIES)}"
    return _problem_of_param(topic) or _problem_of_instrument(topic.instrument)


def _problem_of_param(topic: Topic) -> str | None:
    if topic.kind != "kline":
        return f"a {topic.kind} takes no parameter, got {_shown(topic.param)}" if topic.param else None
    if topic.param in LABELS:
        return None
    return f"{_shown(topic.param)} is no candle interval of Deribit's; expected one of {', '.join(LABELS)}"


def _problem_of_instrument(name: str) -> str | None:
    if _INSTRUMENT.fullmatch(name):
        return None
    if _INSTRUMENT.fullmatch(name.upper()):
        return f"{_shown(name)} is no Deribit instrument: names are upper-case, as in {name.upper()}"
    return (
        f"{_shown(name)} is no Deribit instrument: expected 2 to 64 of the characters A-Z, 0-9, '-' and '_', "
        "as in BTC-PERPETUAL"
    )


def _shown(text: str) -> str:
    """Quote what a stranger wrote, cut to a length that a sentence bears."""
    return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "…")
