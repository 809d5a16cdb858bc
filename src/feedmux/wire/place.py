"""How clients name what they want: arguments and stream names to topics and back.

A *place* is a venue and market as users write it, e.g. ``bybit.linear``; plain arguments mean
the first place. Stream names are ``<brand>.<label>.<kind>[.<param>].<instrument>``.

RabbitMQ is no market: its streams are named as Rango's clients name them, ``stream:<name>``, and are
``<brand>.rabbitmq.<name>`` (:mod:`feedmux.wire.rango_topic`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final

import msgspec

from feedmux.model.topic import PUBLIC, Topic
from feedmux.wire import rango_topic
from feedmux.wire.rango_topic import VENUE as BROKER

KINDS: Final = ("kline", "ticker", "trade")
MAX_ARG_CHARACTERS: Final = 128
REMEMBERED: Final = 8192
"""Arguments whose topics are remembered."""
NO_MARKETS: Final = "This server serves no markets"
WILDCARDS: Final = (
    "Wildcards (e.g. tickers.*) are not supported. "
    "Use specific symbols like tickers.BTCUSDT or ticker:ETHUSDT."
)
STREAM: Final = "stream"
"""The kind of RabbitMQ's streams in arguments."""
NO_BROKER: Final = "This server has no RabbitMQ, which streams like stream:eurusd.trades come from"
NO_WILDCARDS: Final = "Wildcards are not supported. Name a stream, e.g. stream:eurusd.trades"

_STREAM: Final = f"{STREAM}:"
_EXAMPLE: Final = f"stream:eurusd.trades@{BROKER}"


class Rejected(Exception):
    """An argument that names no stream; ``str()`` is the reason that the client is given."""


class Private(Rejected):
    """An argument that names a user's stream, of a client that is nobody."""


class Place(msgspec.Struct, frozen=True):
    """A venue and market that this gateway serves.

    Args:
        name: as users write it after ``@``, e.g. ``bybit.linear``.
        venue: the topic's venue.
        market: the topic's market.
        label: the word in stream names, e.g. ``futures``.
        intervals: the venue's candle intervals, users' word to the venue's.
    """

    name: str
    venue: str
    market: str
    label: str
    intervals: Mapping[str, str]


class Places:
    """All places of a gateway and its brand; the first place is the default.

    Args:
        brand: the first word of every stream name, and ``source``.
        places: none: every argument that means a market is rejected.
        has_broker: whether RabbitMQ's streams are served.
    """

    def __init__(self, brand: str, places: Sequence[Place], *, has_broker: bool = False) -> None:
        self.brand = brand
        self._has_broker = has_broker
        self._kinds = [*KINDS, *([STREAM] if has_broker else [])]
        self._default = places[0] if places else None
        self._by_name = {place.name: place for place in places}
        self._by_market = {(place.venue, place.market): place for place in places}
        self._read = lru_cache(REMEMBERED)(self._parse)

    def parse(self, arg: str, uid: str = "") -> Topic:
        """Read one argument of a subscribe request; what many name is one topic, held once in memory.

        Accepts ``tickers.SYMBOL``, ``ticker:SYMBOL``, ``trade:SYMBOL`` and
        ``kline:INTERVAL:SYMBOL``, each with an optional ``@place``, and ``stream:NAME`` with an
        optional ``@rabbitmq``.

        Args:
            arg: as the client wrote it.
            uid: the client's user, whose private streams are meant; empty: nobody.

        Raises:
            Rejected: it names no stream; the text says why.
            Private: it names a private stream, and the client is nobody.
        """
        if arg.startswith(_STREAM):
            return self._parse_stream(arg.removeprefix(_STREAM), uid)
        return self._read(arg)

    def _parse(self, arg: str) -> Topic:
        if len(arg) > MAX_ARG_CHARACTERS:
            raise Rejected(
                f"Invalid stream format: {arg[:32]}… is longer than {MAX_ARG_CHARACTERS} characters"
            )
        if "*" in arg:
            raise Rejected(WILDCARDS)
        name, at, place = arg.partition("@")
        home = self._place(place) if at else self._default
        if home is None:
            hint = f". It has streams, e.g. {_EXAMPLE}" if self._has_broker else ""
            raise Rejected(NO_MARKETS + hint)
        kind, param, instrument = _split(name, self._kinds)
        if not instrument.strip():
            raise Rejected(WILDCARDS)
        param = _interval(home, kind, param)
        return Topic(PUBLIC, home.venue, home.market, kind, instrument, param).one()

    def stream(self, topic: Topic) -> str:
        """The name of ``topic``'s stream, e.g. ``mudrex.futures.kline.60.BTCUSDT``."""
        if topic.venue == BROKER:
            return f"{self.brand}.{BROKER}.{rango_topic.stream_name(topic)}"
        label = self._by_market[topic.venue, topic.market].label
        param = f"{topic.param}." if topic.param else ""
        return f"{self.brand}.{label}.{topic.kind}.{param}{topic.instrument}"

    def _parse_stream(self, name: str, uid: str) -> Topic:
        """RabbitMQ's; what stands behind the last ``@`` is never part of the name."""
        if not self._has_broker:
            raise Rejected(NO_BROKER)
        name, at, place = name.rpartition("@") if "@" in name else (name, "", "")
        if at and place != BROKER:
            raise Rejected(f"Unknown source of streams: {place[:32]}. This server has {BROKER}")
        if not name.strip():
            raise Rejected(f"Invalid stream format: expected a name, e.g. {_EXAMPLE}")
        if "*" in name:
            raise Rejected(NO_WILDCARDS)
        topic = rango_topic.stream_topic(name, uid)
        if topic is None:
            problem = rango_topic.problem_of(name, uid)
            raise Rejected(problem) if problem else Private(f"{name} is a private stream")
        return topic

    def _place(self, name: str) -> Place:
        try:
            return self._by_name[name]
        except KeyError:
            if name == BROKER and self._has_broker:
                raise Rejected(f"RabbitMQ has streams alone, e.g. {_EXAMPLE}") from None
            served = ", ".join([*self._by_name, *([BROKER] if self._has_broker else [])])
            raise Rejected(f"Unknown venue: {name}. This server has {served}") from None


def _split(name: str, kinds: list[str]) -> tuple[str, str, str]:
    if name.startswith("tickers.") and name != "tickers.":
        return "ticker", "", name.removeprefix("tickers.")
    parts = name.split(":")
    if len(parts) not in {2, 3}:
        raise Rejected(f"Invalid stream format: {name}")
    if parts[0] not in KINDS:
        raise Rejected(f"Invalid stream type: {parts[0]}. Expected one of {kinds}")
    return parts[0], parts[1] if len(parts) == 3 else "", parts[-1]


def _interval(place: Place, kind: str, param: str) -> str:
    if kind != "kline":
        return ""
    valid = ", ".join(place.intervals)
    if not param:
        raise Rejected(f"A kline needs an interval, e.g. kline:1h:BTCUSDT. Valid intervals: {valid}")
    if param not in place.intervals:
        raise Rejected(f"Unknown interval: {param}. Valid intervals: {valid}")
    return place.intervals[param]
