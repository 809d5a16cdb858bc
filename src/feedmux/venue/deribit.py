"""Speak Deribit's JSON-RPC: wishes to request bytes, received bytes to events.

Theory of operation
===================
Everything Deribit sends is one JSON object, its members in any order, of one of these families::

    family         recognised by                          becomes
    data           "method":"subscription" with a         Value (ticker, trade) · Candle (kline)
                   channel that is one of ours
    heartbeat      "method":"heartbeat"                   Reply, if it is a test_request; else nothing
    pong           a result for the id of our pings       Pong
    greeted        an answer to the id of our greeting    Greeted
    answer         a result that lists channels           Answer with what is granted
    refusal        an error with an id                    Answer with its words
    the rest       anything else, other channels          Malformed
                   included

*Two passes.* The envelope is read first and leaves ``data`` alone; the channel then says how that
is to be read. So the order of members does not matter, and what is wrong with ``data`` is known to
be its channel's.

*What is granted.* Deribit answers a subscription with the channels that took effect, in an order of
its own, and leaves out what it does not know without a word. The codec, which keeps nothing of a
connection, gives the list on; who asked sees what is missing.

*Not now.* Errors that say nothing about a topic (a rate limit, maintenance, settlement) are told
apart from refusals by their codes, so that no topic is called unknown because the venue was busy.

*What is wrong* never raises: whatever the decoders object to ends as Malformed.

Source: Deribit API v2 documentation, "JSON-RPC", "Subscription management", "Rate limits", 2026-03; errors
as the venue sent them, September 2026.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

import msgspec

from feedmux.model.topic import Topic
from feedmux.model.venue import (
    Answer,
    Budget,
    Candle,
    Greeted,
    Malformed,
    Manners,
    Pong,
    Reply,
    Value,
    VenueEvent,
)
from feedmux.venue.deribit_data import (
    read_chart,
    read_ticker,
    read_trades,
    write_candle,
    write_ticker,
    write_trades,
)
from feedmux.venue.deribit_requests import NOT_NOW
from feedmux.venue.deribit_topic import INTERVALS, LABELS, MARKET, NAME, channel_of, problem_of, topic_of
from feedmux.venue.number import NOTHING

__all__ = ["INTERVALS", "LABELS", "MARKET", "NAME", "Deribit"]

_NS_PER_MS: Final = 1_000_000
_ARGS: Final = 500  # "we suggest no more than 500 channels per request"
_CHARACTERS: Final = 1_000_000  # no documented limit; the rate of requests is one for all connections
_BUDGET: Final = Budget(rate=3.3, burst=10.0)  # 3,000 of 30,000 credits each; 10,000 come back per second
_HEARTBEAT_S: Final = 30
_TOPICS_REMEMBERED: Final = 16_384
_REASON: Final = 200
_BEGINNING: Final = 200

_PING: Final = "ping"
_GREETING: Final = "greeting"
_NOT_GRANTED: Final = "it knows no such channel; its answer leaves it out"
_CHANNEL: Final = re.compile(rb'"channel"\s*:\s*"([A-Za-z0-9._-]{1,100})"')


class _Params(msgspec.Struct, gc=False):
    channel: str = ""
    type: str = ""
    data: msgspec.Raw = NOTHING


class _Error(msgspec.Struct):
    code: int = 0
    message: str = ""
    data: Any = None


class _Message(msgspec.Struct):
    """What tells the families apart."""

    method: str = ""
    params: _Params | None = None
    id: str | int | None = None
    result: msgspec.Raw = NOTHING
    error: _Error | None = None


class _Request(msgspec.Struct, tag_field="jsonrpc", tag="2.0"):
    id: str
    method: str
    params: dict[str, Any]


_read_message: Final = msgspec.json.Decoder(_Message).decode
_read_channels: Final = msgspec.json.Decoder(list[str]).decode
_encode: Final = msgspec.json.Encoder().encode

_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class Deribit:
    """Deribit's codec. It keeps nothing of a connection, only a memory of names.

    Attributes:
        name: ``deribit``.
        market: empty; there is only one.
        max_args: 500 channels in one request (suggested by the documentation).
        max_characters: our own bound; Deribit names none.
        budget: 3.3 subscriptions per second, 10 at once (documented as credits).
        manners: as with most.
    """

    def __init__(self) -> None:
        self.name = NAME
        self.market = MARKET
        self.max_args = _ARGS
        self.max_characters = _CHARACTERS
        self.budget = _BUDGET
        self.manners = Manners()
        self._topic_of = lru_cache(_TOPICS_REMEMBERED)(topic_of)
        self._text_of = lru_cache(_TOPICS_REMEMBERED)(_canonical)
        self._readers: dict[str, Callable[[Topic, msgspec.Raw], VenueEvent]] = {
            "ticker": self._ticker,
            "trade": self._trades,
            "kline": self._candle,
        }
        self._test = _encode(_Request(_PING, "public/test", {}))
        self._greetings = (_encode(_Request(_GREETING, "public/set_heartbeat", {"interval": _HEARTBEAT_S})),)

    def __repr__(self) -> str:
        return "Deribit()"

    def cost(self, topic: Topic, /) -> int:
        """The characters of ``topic`` among the channels, with its quotes and a comma.

        Raises:
            InvalidTopic: its kind has no counterpart at Deribit.
        """
        return len(channel_of(topic)) + 3

    def problem(self, topic: Topic, /) -> str | None:
        """Why ``topic`` can never exist here, as a sentence for people; None when it may."""
        return problem_of(topic)

    def greetings(self) -> Sequence[bytes]:
        """The request for heartbeats: Deribit then notices, too, when nobody is here any more."""
        return self._greetings

    def subscribe(self, topics: Sequence[Topic], request_id: str, /) -> bytes:
        """The request that asks for ``topics``; Deribit takes those that it knows.

        Raises:
            InvalidTopic: the kind of one has no counterpart at Deribit.
        """
        return _request(request_id, "public/subscribe", topics)

    def unsubscribe(self, topics: Sequence[Topic], request_id: str, /) -> bytes:
        """The request that gives ``topics`` back.

        Raises:
            InvalidTopic: the kind of one has no counterpart at Deribit.
        """
        return _request(request_id, "public/unsubscribe", topics)

    def ping(self) -> bytes:
        """The request that stands for a ping, and answers Deribit's own ``test_request``."""
        return self._test

    def render(self, topic: Topic, state: Mapping[str, str], /) -> bytes:
        """The JSON text of a merged state; Deribit sends nothing in parts, so nobody needs it."""
        return _encode({"symbol": topic.instrument, **state})

    def decode(self, payload: bytes, /) -> tuple[VenueEvent, ...]:
        """Read one message; never raises, at worst it is one Malformed. Costs two passes."""
        try:
            message = _read_message(payload)
            params = message.params
            if params is not None and message.method == "subscription":
                return (self._data(params),)
            if params is not None and message.method == "heartbeat":
                return (Reply(self._test),) if params.type == "test_request" else ()
            return (self._answer(message),)
        except _UNREADABLE as error:
            return (Malformed(str(error)[:_REASON], self._topic_at_the_beginning(payload)),)

    def _data(self, params: _Params) -> VenueEvent:
        topic = self._topic_of(params.channel)
        if topic is None:
            return _not_ours(f"unknown channel: {params.channel!r}")
        try:
            return self._readers[topic.kind](topic, params.data)
        except _UNREADABLE as error:
            return Malformed(str(error)[:_REASON], topic)

    def _ticker(self, topic: Topic, data: msgspec.Raw) -> VenueEvent:
        ticker = read_ticker(data)
        if ticker.instrument_name != topic.instrument:
            reason = f"Expected a ticker of {topic.instrument}, got one of {ticker.instrument_name!r}"
            return Malformed(reason[:_REASON], topic)
        return Value(topic, ticker.timestamp * _NS_PER_MS, self._text_of(topic), write_ticker(ticker))

    def _trades(self, topic: Topic, data: msgspec.Raw) -> VenueEvent:
        trades = read_trades(data)
        return Value(topic, trades[-1].timestamp * _NS_PER_MS, "", write_trades(topic.instrument, trades))

    def _candle(self, topic: Topic, data: msgspec.Raw) -> VenueEvent:
        chart = read_chart(data)
        running, closed = write_candle(topic.instrument, topic.param, chart)
        return Candle(topic, chart.tick, f"{self._text_of(topic)}:{chart.tick}", running, closed)

    def _answer(self, message: _Message) -> VenueEvent:
        error = message.error
        if message.id is None or message.method:
            words = _words(error) if error else f"method {message.method!r}"
            return _not_ours(f"neither data nor an answer: {words}")
        request_id = str(message.id)
        if request_id == _GREETING:
            return Greeted(_words(error) if error else "")
        if request_id == _PING:
            return _not_ours(f"no answer to a ping: {_words(error)}") if error else Pong()
        if error:
            return Answer(request_id, False, None, _words(error), later=error.code in NOT_NOW)
        return self._granted(request_id, message.result)

    def _granted(self, request_id: str, result: msgspec.Raw) -> VenueEvent:
        """What a request for channels came to; what is not ours among them was not asked for by us."""
        try:
            channels = _read_channels(result)
        except _UNREADABLE:
            return _not_ours(f"an answer without a list of channels to request {request_id!r}")
        topics = (self._topic_of(channel) for channel in channels)
        granted = frozenset(topic for topic in topics if topic is not None)
        return Answer(request_id, True, None, _NOT_GRANTED, granted=granted)

    def _topic_at_the_beginning(self, payload: bytes) -> Topic | None:
        found = _CHANNEL.search(payload[:_BEGINNING])
        return self._topic_of(found[1].decode("ascii")) if found else None


def _request(request_id: str, method: str, topics: Sequence[Topic]) -> bytes:
    return _encode(_Request(request_id, method, {"channels": [channel_of(topic) for topic in topics]}))


def _canonical(topic: Topic) -> str:
    return topic.text


def _words(error: _Error) -> str:
    """An error in the venue's words, e.g. ``Invalid params (-32602): interval: value must be >= 10``."""
    more = error.data
    if isinstance(more, dict):
        more = ": ".join(str(more[name]) for name in ("param", "reason") if more.get(name))
    detail = f": {more}" if isinstance(more, str) and more else ""
    return f"{error.message} ({error.code}){detail}"[:_REASON]


def _not_ours(reason: str) -> Malformed:
    return Malformed(reason[:_REASON], None, foreign=True)
