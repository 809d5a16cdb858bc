"""Speak Bybit V5's public streams: wishes to request bytes, received bytes to events.

Theory of operation
===================
Everything Bybit sends is one JSON object of one of four families::

    family      recognised by                               becomes
    data        "topic" that is one of ours                 Merge (ticker) · Value (kline, trade)
    answer      "success" to subscribe or unsubscribe, or
                any "success":false but a ping's            Answer
    pong        "op":"pong", or "op":"ping" with
                "ret_msg":"pong"                            Pong
    the rest    anything else, other topics included        Malformed

*One pass.* Bybit writes ``topic`` first, so the first bytes tell the kind and one typed decoder
reads envelope and data together. Keys in another order or white space cost one more pass over
the envelope and lead to the same decoders, so the events are the same.

*Not ours.* A topic that we could not have subscribed to (order books, option symbols' other
shapes, lower-case symbols) is Malformed without a topic: harmless, and visible in the counts.
So is an option answer (``COMMAND_RESP``), which names neither operation nor request.

*What is wrong* never raises: whatever the decoders object to ends in one place as Malformed,
with the topic as far as the first bytes of the message say it.

Source: Bybit V5 documentation, "Websocket Stream" (Connect, Public), 2026-07-24; the wording of
refusals as the public streams send them, September 2026.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from typing import Final

import msgspec

from feedmux.model.errors import InvalidSetting
from feedmux.model.topic import Topic
from feedmux.model.venue import Answer, Budget, Malformed, Manners, Merge, Pong, Value, VenueEvent
from feedmux.venue.bybit_data import (
    read_kline,
    read_ticker,
    read_trades,
    write_candle,
    write_ticker,
    write_trades,
)
from feedmux.venue.bybit_topic import INTERVALS, LABELS, MARKETS, NAME, arg_of, problem_of, topic_of

__all__ = ["INTERVALS", "LABELS", "MARKETS", "Bybit"]

_NS_PER_MS: Final = 1_000_000
_SPOT_ARGS: Final = 10  # documented; an eleventh refuses the whole request
_ARGS: Final = 200  # undocumented for futures; far below the 500 at which closes were reported
_CHARACTERS: Final = 20_000  # documented: 21,000; the brackets and a margin stay free
_TOPICS_REMEMBERED: Final = 16_384  # about 700 instruments with all their kinds and intervals
_REASON: Final = 200
_BEGINNING: Final = 200

_TOPIC: Final = re.compile(rb'"topic"\s*:\s*"([A-Za-z0-9.-]{1,80})"')
_REFUSED_TOPIC: Final = re.compile(r"(?:,topic:|Invalid symbol ?:\[|Invalid topic: ?)([^\],\s]{1,80})")
_ALREADY: Final = "already subscribed"


class _Envelope(msgspec.Struct, gc=False):
    """What tells the families apart; everything else is skipped."""

    topic: str = ""
    op: str = ""
    success: bool | None = None
    ret_msg: str = ""
    req_id: str = ""


class _Request(msgspec.Struct):
    req_id: str
    op: str
    args: list[str]


_read_envelope: Final = msgspec.json.Decoder(_Envelope).decode
_encode: Final = msgspec.json.Encoder().encode


class Bybit:
    """The codec of one Bybit market. It keeps nothing of a connection, only a memory of names.

    Args:
        market: ``linear``, ``spot`` or ``inverse``.

    Attributes:
        name: ``bybit``.
        market: as given.
        max_args: topics in one request: 10 on spot (documented), else 200 (our own bound).
        max_characters: 20,000 characters of arguments on one connection (documented: 21,000).
        budget: infinite; Bybit documents no limit of requests on public streams.
        manners: as with most.

    Raises:
        InvalidSetting: there is no such market, or its shapes are others (option).
    """

    def __init__(self, market: str) -> None:
        if market not in MARKETS:
            raise InvalidSetting("market", market, f"one of {', '.join(MARKETS)}")
        self.name = NAME
        self.market = market
        self.max_args = _SPOT_ARGS if market == "spot" else _ARGS
        self.max_characters = _CHARACTERS
        self.budget = Budget()
        self.manners = Manners()
        self._topic_of = lru_cache(_TOPICS_REMEMBERED)(partial(topic_of, market))
        self._text_of = lru_cache(_TOPICS_REMEMBERED)(_canonical)
        self._readers: dict[str, Callable[[bytes], tuple[VenueEvent, ...]]] = {
            "trade": self._trades,
            "kline": self._klines,
            "ticker": self._ticker,
        }

    def __repr__(self) -> str:
        return f"Bybit({self.market!r})"

    def cost(self, topic: Topic, /) -> int:
        """The characters of ``topic`` among the arguments, with its quotes and a comma.

        Raises:
            InvalidTopic: its kind has no counterpart at Bybit.
        """
        return len(arg_of(topic)) + 3

    def problem(self, topic: Topic, /) -> str | None:
        """Why ``topic`` can never exist here, as a sentence for people; None when it may."""
        return problem_of(self.market, topic)

    def greetings(self) -> Sequence[bytes]:
        """Nothing: Bybit needs no introduction."""
        return ()

    def subscribe(self, topics: Sequence[Topic], request_id: str, /) -> bytes:
        """The request that asks for ``topics``; Bybit takes all of them or none.

        Raises:
            InvalidTopic: the kind of one has no counterpart at Bybit.
        """
        return _encode(_Request(request_id, "subscribe", [arg_of(topic) for topic in topics]))

    def unsubscribe(self, topics: Sequence[Topic], request_id: str, /) -> bytes:
        """The request that gives ``topics`` back.

        Raises:
            InvalidTopic: the kind of one has no counterpart at Bybit.
        """
        return _encode(_Request(request_id, "unsubscribe", [arg_of(topic) for topic in topics]))

    def ping(self) -> bytes:
        """The application ping, due every 20 s; its ``req_id`` keeps pongs apart from answers."""
        return b'{"req_id":"ping","op":"ping"}'

    def render(self, topic: Topic, state: Mapping[str, str], /) -> bytes:
        """The JSON text of a merged ticker's ``data``; what is not known is absent."""
        return write_ticker(topic.instrument, state)

    def decode(self, payload: bytes, /) -> tuple[VenueEvent, ...]:
        """Read one message; never raises, at worst it is one Malformed. Costs one pass."""
        try:
            if payload.startswith(b'{"topic":"tickers.'):  # most of all messages: no detour
                frame = read_ticker(payload)
                topic = self._topic_of(frame.topic)
                if topic is not None and topic.kind == "ticker":
                    at_ns = frame.ts * _NS_PER_MS
                    return (Merge(topic, at_ns, frame.type == "snapshot", frame.cs, frame.data),)
                return _not_ours(frame.topic)
            if payload.startswith(b'{"topic":"publicTrade.'):
                return self._trades(payload)
            if payload.startswith(b'{"topic":"kline.'):
                return self._klines(payload)
            return self._decode_by_envelope(payload)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            return (Malformed(str(error)[:_REASON], self._topic_at_the_beginning(payload)),)

    def _decode_by_envelope(self, payload: bytes) -> tuple[VenueEvent, ...]:
        envelope = _read_envelope(payload)
        if not envelope.topic:
            return (self._answer(envelope),)
        topic = self._topic_of(envelope.topic)
        return self._readers[topic.kind](payload) if topic else _not_ours(envelope.topic)

    def _ticker(self, payload: bytes) -> tuple[VenueEvent, ...]:
        frame = read_ticker(payload)
        topic = self._topic_of(frame.topic)
        if topic is None or topic.kind != "ticker":
            return _not_ours(frame.topic)
        return (Merge(topic, frame.ts * _NS_PER_MS, frame.type == "snapshot", frame.cs, frame.data),)

    def _klines(self, payload: bytes) -> tuple[VenueEvent, ...]:
        frame = read_kline(payload)
        topic = self._topic_of(frame.topic)
        if topic is None or topic.kind != "kline":
            return _not_ours(frame.topic)
        label, text, at_ns = LABELS[topic.param], self._text_of(topic), frame.ts * _NS_PER_MS
        return tuple(
            Value(
                topic,
                at_ns,
                "" if candle.confirm else f"{text}:{candle.start}",
                write_candle(topic.instrument, label, candle),
            )
            for candle in frame.data
        )

    def _trades(self, payload: bytes) -> tuple[VenueEvent, ...]:
        frame = read_trades(payload)
        topic = self._topic_of(frame.topic)
        if topic is None or topic.kind != "trade":
            return _not_ours(frame.topic)
        return (Value(topic, frame.ts * _NS_PER_MS, "", write_trades(topic.instrument, frame.data)),)

    def _answer(self, envelope: _Envelope) -> VenueEvent:
        op, success, words = envelope.op, envelope.success, envelope.ret_msg[:_REASON]
        if op == "pong" or (op == "ping" and success and words == "pong"):
            return Pong()
        if success and op in {"subscribe", "unsubscribe"}:
            return Answer(envelope.req_id, True, None, words)
        if success is False and op != "ping":
            return self._refusal(envelope.req_id, words)
        return Malformed(f"neither data nor an answer: op {op!r}, {words!r}"[:_REASON], None, foreign=True)

    def _refusal(self, request_id: str, words: str) -> Answer:
        """A refusal stands for the whole request and names the first bad topic only."""
        named = _REFUSED_TOPIC.search(words)
        topic = self._topic_of(named[1]) if named else None
        return Answer(request_id, False, topic, words, already=_ALREADY in words)

    def _topic_at_the_beginning(self, payload: bytes) -> Topic | None:
        found = _TOPIC.search(payload[:_BEGINNING])
        return self._topic_of(found[1].decode("ascii")) if found else None


def _canonical(topic: Topic) -> str:
    return topic.text


def _not_ours(arg: str) -> tuple[VenueEvent, ...]:
    return (Malformed(f"unknown topic: {arg!r}"[:_REASON], None, foreign=True),)
