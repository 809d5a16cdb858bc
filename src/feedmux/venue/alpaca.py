"""Speak Alpaca's market data stream v2: wishes to request bytes, received bytes to events.

Theory of operation
===================
Everything Alpaca sends is a JSON array of objects, each told by its ``T``. Control messages come alone, data
in arrays that mix types and symbols::

    T              means                                        becomes
    success        connected: it wants to know who we are       Welcome
                   authenticated: requests may come             Greeted
    subscription   the whole set that this connection has       Answer with what is granted
    error          see below
    t, c, x        a trade, a correction of one, a cancel       Value (trade): one list of each symbol
    q              the best bid and ask                         Value (ticker)
    b, u           a minute that is over, and its correction    Value (kline)
    the rest       what nobody of us subscribed to              Malformed, foreign

*Requests carry no id* and are answered in order. A subscription adds to the set, an unsubscription takes
from it, and the answer to either lists all of it; so what a request named and the list does not have was
denied.

*Errors* are numbers. What follows depends on the number alone, because the codec keeps nothing of a
connection: 406 is a greeting to be repeated, 402 one that was refused, 403 one that was taken before; 401,
404, 407 and 500 end what this connection was good for; every other one refuses the oldest request, or the
greeting where that is not answered. Each is told as a sentence with Alpaca's words and number in it.

*Order.* Alpaca promises none of its times: exchanges' clocks differ. What comes last is the latest.

*Two paths.* A frame is read as a whole, with all its types at once. If that fails, one object at a time, so
that one that cannot be read, or is of a type that did not exist yet, takes nothing else with it.

*Secrets.* Key and secret are in the greeting and nowhere else: they are cut out of whatever Alpaca says.

Source: Alpaca documentation, "WebSocket Stream", "Real-time Stock Data", "Real-time Crypto Data", 2026-07.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Final

import msgspec

from feedmux.model.topic import Topic
from feedmux.model.venue import (
    Answer,
    Budget,
    Greeted,
    Malformed,
    Manners,
    Parting,
    Remark,
    Value,
    VenueEvent,
    Welcome,
)
from feedmux.venue.alpaca_data import (
    CONTROL,
    KINDS,
    Bar,
    Failure,
    Head,
    Object,
    Quote,
    Subscribed,
    Success,
    TradeNews,
    write_bar,
    write_quote,
    write_trades,
)
from feedmux.venue.alpaca_topic import CHANNELS, INTERVALS, MARKET, NAME, channels_of, problem_of, topic_of
from feedmux.venue.rfc3339 import nanoseconds

__all__ = ["INTERVALS", "MARKET", "NAME", "Alpaca"]

_ARGS: Final = 300  # two lists of the longest symbols stay below the 32 KiB that a message may have
_CHARACTERS: Final = 2**40  # a second connection would be refused, so one carries everything
_TOPICS_REMEMBERED: Final = 16_384
_REASON: Final = 200
_SHORTEST_SECRET: Final = 4
_MASK: Final = "***"

_NOT_GRANTED: Final = "its answer lists all that is subscribed, and this is not there"

_CONNECTION_LIMIT: Final = 406
_ALREADY_IN: Final = 403
_REFUSED: Final = frozenset({402})
_ENDS: Final = frozenset({401, 404, 407, 500})
_MEANING: Final[Mapping[int, str]] = {
    400: "it could not make sense of a request",
    401: "it was asked for something before it let us in",
    402: "it does not know this key and secret; see APCA_API_KEY_ID and APCA_API_SECRET_KEY",
    403: "it had let us in before, and was asked again",
    404: "it was not told in time who we are",
    405: "the account's plan carries no more symbols of trades and quotes at a time",
    406: "another connection of the account is open, and its plan allows no more of them",
    407: "we took its messages too slowly, so that some may be lost",
    408: "the account has no access to market data v2",
    409: "the account's plan does not have this feed; see ALPACA_FEED",
    410: "this feed does not have such a stream",
    411: "the key may not be used for this",
    500: "something went wrong on its side",
}

_read_objects: Final = msgspec.json.Decoder(list[Object]).decode
_read_parts: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode
_read_object: Final = msgspec.json.Decoder(Object).decode
_read_head: Final = msgspec.json.Decoder(Head).decode
_encode: Final = msgspec.json.Encoder().encode

_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class Alpaca:
    """Alpaca's codec. It keeps nothing of a connection, only a memory of names.

    Args:
        key: the id of an API key of the account.
        secret: its secret; neither is ever shown.

    Attributes:
        name: ``alpaca``.
        market: empty; a gateway has one feed.
        max_args: topics in one request, our own bound.
        max_characters: without bound, because there is no second connection.
        budget: infinite; Alpaca documents no limit of requests.
        manners: it speaks first, numbers no answers, and rests when the market does.
    """

    def __init__(self, key: str, secret: str) -> None:
        self.name = NAME
        self.market = MARKET
        self.max_args = _ARGS
        self.max_characters = _CHARACTERS
        self.budget = Budget()
        self.manners = Manners(speaks_first=True, numbers=False, rests=True)
        self._topic_of = lru_cache(_TOPICS_REMEMBERED)(topic_of)
        self._text_of = lru_cache(_TOPICS_REMEMBERED)(_canonical)
        self._greetings = (_encode({"action": "auth", "key": key, "secret": secret}),)
        self._hidden = [text for text in (secret, key) if len(text) >= _SHORTEST_SECRET]

    def __repr__(self) -> str:
        return "Alpaca()"

    def cost(self, topic: Topic, /) -> int:
        """The characters of ``topic`` in a request, with its quotes and commas.

        Raises:
            InvalidTopic: its kind has no counterpart at Alpaca.
        """
        return sum(len(symbol) + 3 for symbols in channels_of([topic]).values() for symbol in symbols)

    def problem(self, topic: Topic, /) -> str | None:
        """Why ``topic`` can never exist here, as a sentence for people; None when it may."""
        return problem_of(topic)

    def greetings(self) -> Sequence[bytes]:
        """Who we are: the answer to Alpaca's welcome."""
        return self._greetings

    def subscribe(self, topics: Sequence[Topic], request_id: str, /) -> bytes:
        """The request that adds ``topics`` to what this connection has.

        Raises:
            InvalidTopic: the kind of one has no counterpart at Alpaca.
        """
        return _encode({"action": "subscribe", **channels_of(topics)})

    def unsubscribe(self, topics: Sequence[Topic], request_id: str, /) -> bytes:
        """The request that takes ``topics`` from it.

        Raises:
            InvalidTopic: the kind of one has no counterpart at Alpaca.
        """
        return _encode({"action": "unsubscribe", **channels_of(topics)})

    def ping(self) -> None:
        """None: Alpaca answers PING frames."""

    def render(self, topic: Topic, state: Mapping[str, str], /) -> bytes:
        """The JSON text of a merged state; Alpaca sends nothing in parts, so nobody needs it."""
        return _encode({"symbol": topic.instrument, **state})

    def decode(self, payload: bytes, /) -> Sequence[VenueEvent]:
        """Read one frame; never raises, at worst there is a Malformed in it."""
        try:
            return self._events(_read_objects(payload))
        except _UNREADABLE:
            pass  # by whatever is wrong with one of them
        try:
            parts = _read_parts(payload)
        except _UNREADABLE as error:
            return (Malformed(self._told(str(error)), None),)
        return [event for part in parts for event in self._part(part)]

    def _part(self, part: msgspec.Raw) -> Sequence[VenueEvent]:
        """The events of one object of a frame that could not be read as a whole."""
        try:
            return self._events([_read_object(part)])
        except _UNREADABLE as error:
            return (self._unreadable(part, str(error)),)

    def _unreadable(self, part: msgspec.Raw, problem: str) -> Malformed:
        try:
            head = _read_head(part)
        except _UNREADABLE:
            return Malformed(self._told(problem), None)
        kind = KINDS.get(head.T)
        if kind is not None:
            topic = self._topic_of(kind, head.S)
            return Malformed(self._told(problem), topic, foreign=topic is None)
        if head.T in CONTROL:
            return Malformed(self._told(problem), None)
        return Malformed(self._told(f"unknown type: {head.T!r}"), None, foreign=True)

    def _events(self, objects: Iterable[Object]) -> list[VenueEvent]:
        """What the objects say; raises when one of them has something that should be a number and is none."""
        events: list[VenueEvent] = []
        trades: dict[str, list[TradeNews]] = {}
        for one in objects:
            match one:
                case Quote():
                    events.append(self._quote(one))
                case Bar():
                    events.append(self._bar(one))
                case Success() | Failure() | Subscribed():
                    events += self._control(one)
                case _:
                    trades.setdefault(one.S, []).append(one)
        events.extend(self._trades(symbol, news) for symbol, news in trades.items())
        return events

    def _quote(self, quote: Quote) -> VenueEvent:
        topic = self._topic_of("ticker", quote.S)
        if topic is None:
            return self._not_ours(quote.S)
        at_ns = nanoseconds(quote.t)
        return Value(topic, at_ns, self._text_of(topic), write_quote(quote), ordered=False)

    def _bar(self, bar: Bar) -> VenueEvent:
        topic = self._topic_of("kline", bar.S)
        if topic is None:
            return self._not_ours(bar.S)
        # Closed, and a correction does not replace what it corrects: both are sent, whoever is slow.
        return Value(topic, 0, "", write_bar(bar))

    def _trades(self, symbol: str, news: Sequence[TradeNews]) -> VenueEvent:
        topic = self._topic_of("trade", symbol)
        if topic is None:
            return self._not_ours(symbol)
        return Value(topic, nanoseconds(news[-1].t), "", write_trades(news))

    def _control(self, message: Success | Failure | Subscribed) -> Sequence[VenueEvent]:
        match message:
            case Subscribed():
                return (Answer("", True, None, _NOT_GRANTED, granted=self._granted(message)),)
            case Failure():
                return self._failure(message.code, self._words(message))
            case Success(msg="connected"):
                return (Welcome(),)
            case Success(msg="authenticated"):
                return (Greeted(),)
        return (Remark(self._told(f"it reports a success of its own: {message.msg}")),)

    def _failure(self, code: int, words: str) -> Sequence[VenueEvent]:
        if code == _CONNECTION_LIMIT:
            return (Greeted(words, later=True),)
        if code in _REFUSED:
            return (Greeted(words),)
        if code == _ALREADY_IN:
            return Remark(words), Greeted()
        if code in _ENDS:
            return (Parting(words),)
        return (Answer("", False, None, words),)

    def _granted(self, message: Subscribed) -> frozenset[Topic]:
        """The topics all of whose channels are in the set."""
        sets = {
            "trades": frozenset(message.trades or ()),
            "quotes": frozenset(message.quotes or ()),
            "bars": frozenset(message.bars or ()),
            "updatedBars": frozenset(message.updated_bars or ()),
        }
        found = (
            self._topic_of(kind, symbol)
            for kind, channels in CHANNELS.items()
            for symbol in frozenset.intersection(*(sets[channel] for channel in channels))
        )
        return frozenset(topic for topic in found if topic is not None)

    def _words(self, failure: Failure) -> str:
        """An error as a sentence, e.g. ``auth failed (402): it does not know this key and secret``."""
        meaning = _MEANING.get(failure.code)
        return self._told(f"{failure.msg} ({failure.code})" + (f": {meaning}" if meaning else ""))

    def _not_ours(self, symbol: str) -> Malformed:
        return Malformed(self._told(f"no symbol of Alpaca's: {symbol!r}"), None, foreign=True)

    def _told(self, text: str) -> str:
        """A text without the secrets, should Alpaca repeat one; short."""
        for secret in self._hidden:
            text = text.replace(secret, _MASK)
        return text[:_REASON]


def _canonical(topic: Topic) -> str:
    return topic.text
