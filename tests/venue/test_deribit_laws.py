from __future__ import annotations

import json
import re
from collections.abc import Iterator
from decimal import Decimal
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from feedmux.model.topic import PUBLIC, Topic
from feedmux.model.venue import Answer, Candle, Greeted, Malformed, Pong, Reply, Value
from feedmux.venue.deribit import INTERVALS, Deribit
from support.examples import EXAMPLES

CODEC = Deribit()
NAMES = st.from_regex(r"[A-Z0-9][A-Z0-9_-]{1,30}", fullmatch=True)
MILLISECONDS = st.integers(1, 9_223_372_036_854)
NUMBERS = st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**12), max_value=10**12, places=8)
MAYBE = st.none() | NUMBERS
PLAIN = re.compile(r"-?[0-9]+(\.[0-9]+)?")


class Encoder(json.JSONEncoder):
    """Writes decimals as numbers, by a placeholder that is no other text's."""

    def default(self, o: object) -> str:
        assert isinstance(o, Decimal)
        return f"\0{o}\0"


def packed(value: object, **how: Any) -> bytes:
    text = json.dumps(value, cls=Encoder, **how)
    return re.sub(r'"\\u0000([^"]*)\\u0000"', r"\1", text).encode()


def pushed(channel: str, data: object) -> dict[str, object]:
    return {"jsonrpc": "2.0", "method": "subscription", "params": {"channel": channel, "data": data}}


PRICES = ("last_price", "mark_price", "best_bid_price", "best_bid_amount", "open_interest", "bid_iv", "new")
TICKERS = st.builds(
    lambda name, at_ms, fields, stats: pushed(
        f"ticker.{name}.100ms", {"instrument_name": name, "timestamp": at_ms, "stats": stats, **fields}
    ),
    NAMES,
    MILLISECONDS,
    st.dictionaries(st.sampled_from(PRICES), MAYBE),
    st.none() | st.dictionaries(st.sampled_from(["high", "low", "volume", "price_change"]), MAYBE),
)
DEALS = st.fixed_dictionaries(
    {
        "trade_seq": st.integers(0, 2**40),
        "trade_id": st.sampled_from(["1", "ETH-2", 'q"', "é"]),
        "timestamp": MILLISECONDS,
        "price": NUMBERS,
        "amount": NUMBERS,
        "direction": st.sampled_from(["buy", "sell"]),
    },
    optional={
        "iv": MAYBE,
        "mark_price": MAYBE,
        "liquidation": st.sampled_from(["M", "MT"]),
        "legs": st.none(),
    },
)
TRADES = st.builds(
    lambda name, deals: pushed(f"trades.{name}.100ms", [{"instrument_name": name, **deal} for deal in deals]),
    NAMES,
    st.lists(DEALS, min_size=1, max_size=3),
)
CHARTS = st.builds(
    lambda name, code, tick, numbers: pushed(f"chart.trades.{name}.{code}", {"tick": tick, **numbers}),
    NAMES,
    st.sampled_from(list(INTERVALS.values())),
    st.integers(1, 9_000_000_000_000),
    st.fixed_dictionaries(dict.fromkeys(["open", "high", "low", "close", "volume", "cost"], NUMBERS)),
)
ANSWERS = st.builds(
    lambda request_id, result: {"jsonrpc": "2.0", "id": request_id, "result": result, "usIn": 1},
    st.sampled_from(["1", 7, "ping", "greeting"]),
    st.lists(st.sampled_from(["ticker.AB.100ms", "book.AB.raw", ""]))
    | st.just("ok")
    | st.just({"version": "1"}),
)
FRAMES = st.one_of(TICKERS, TRADES, CHARTS, ANSWERS)


def check(payload: bytes) -> None:
    """Whatever comes in, what comes out is documented, and what should be JSON is JSON."""
    for event in CODEC.decode(payload):
        match event:
            case Value(topic, venue_ns, key, text):
                assert CODEC.problem(topic) is None
                assert 0 < venue_ns < 2**63
                assert key == ("" if topic.kind == "trade" else topic.text)
                json.loads(text)
            case Candle(topic, opened_ms, key, running, closed):
                assert CODEC.problem(topic) is None
                assert key == f"{topic.text}:{opened_ms}"
                assert json.loads(running) | {"confirmed": True} == json.loads(closed)
            case Answer(_, accepted, topic, reason, already, granted, later):
                assert topic is None
                assert not already
                assert (granted is not None) == accepted
                assert not (accepted and later)
                assert 0 < len(reason) <= 200
            case Greeted(refused):
                assert len(refused) <= 200
            case Reply(answer):
                assert answer == CODEC.ping()
            case Malformed(reason):
                assert 0 < len(reason) <= 200
            case Pong():
                pass
            case other:
                raise AssertionError(other)


@settings(max_examples=EXAMPLES)
@given(st.binary(max_size=300))
def test_any_bytes_are_documented_events(payload: bytes) -> None:
    check(payload)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
KEYS = ("method", "params", "id", "result", "error", "jsonrpc")
ERRORS = st.fixed_dictionaries(
    {}, optional={"code": st.integers(-40_000, 20_000), "message": st.text(max_size=300), "data": JSON}
)


@settings(max_examples=EXAMPLES)
@given(FRAMES, st.dictionaries(st.sampled_from(KEYS), JSON | ERRORS), st.booleans())
def test_any_json_in_any_place_is_documented_events(
    frame: dict[str, object], changes: dict[str, object], pure: bool
) -> None:
    check(packed(changes if pure else {**frame, **changes}))


@settings(max_examples=EXAMPLES)
@given(FRAMES, st.sampled_from(["channel", "data", "type"]), JSON)
def test_any_json_as_a_parameter_is_documented_events(frame: dict[str, Any], key: str, value: object) -> None:
    check(packed({**frame, "params": {**frame.get("params", {}), key: value}}))


@settings(max_examples=EXAMPLES)
@given(FRAMES, st.data())
def test_truncated_and_flipped_frames_are_documented_events(
    frame: dict[str, object], data: st.DataObject
) -> None:
    payload = bytearray(packed(frame, separators=(",", ":")))
    check(bytes(payload[: data.draw(st.integers(0, len(payload)))]))
    for _ in range(data.draw(st.integers(1, 3))):
        payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
    check(bytes(payload))


@settings(max_examples=EXAMPLES)
@given(FRAMES, st.randoms(use_true_random=False))
def test_the_order_of_members_does_not_matter(frame: dict[str, object], random: Random) -> None:
    def shuffled(value: object) -> object:
        if not isinstance(value, dict):
            return value
        members = [(name, shuffled(inner)) for name, inner in value.items()]
        random.shuffle(members)
        return dict(members)

    straight = CODEC.decode(packed(frame, separators=(",", ":")))
    assert CODEC.decode(packed(shuffled(frame), indent=1)) == straight
    assert not any(isinstance(event, Malformed) and not event.foreign for event in straight)


def leaves(value: object) -> Iterator[object]:
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from leaves(inner)
    else:
        yield value


@settings(max_examples=EXAMPLES)
@given(st.one_of(TICKERS, TRADES, CHARTS))
def test_every_number_of_ours_is_one_of_the_venues_to_the_last_digit(frame: dict[str, Any]) -> None:
    (event,) = CODEC.decode(packed(frame))
    assert isinstance(event, Value | Candle)
    sent = {value for value in leaves(frame) if isinstance(value, Decimal)}
    names = {event.topic.instrument, *(value for value in leaves(frame) if isinstance(value, str))}
    for text in leaves(json.loads(event.payload)):
        if isinstance(text, str) and text not in names and text not in INTERVALS:
            assert PLAIN.fullmatch(text)
            assert Decimal(text) in sent


@settings(max_examples=EXAMPLES)
@given(
    st.lists(st.tuples(st.sampled_from(["ticker", "trade", "kline"]), NAMES), max_size=12),
    st.integers(1),
    st.randoms(use_true_random=False),
)
def test_what_is_left_out_of_an_answer_is_what_is_missing_in_the_granted(
    wanted: list[tuple[str, str]], number: int, random: Random
) -> None:
    topics = [
        Topic(PUBLIC, "deribit", "", kind, name, "1D" if kind == "kline" else "") for kind, name in wanted
    ]
    request = json.loads(CODEC.subscribe(topics, str(number)))
    assert request["id"] == str(number)
    taken = {topic for topic in topics if random.random() < 0.7}
    channels = [
        channel
        for topic, channel in zip(topics, request["params"]["channels"], strict=True)
        if topic in taken
    ]
    random.shuffle(channels)
    (event,) = CODEC.decode(packed({"id": request["id"], "result": channels}))
    assert isinstance(event, Answer)
    assert (event.request_id, event.granted) == (request["id"], frozenset(taken))
