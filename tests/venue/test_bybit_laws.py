from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from feedmux.model.topic import PUBLIC, Topic
from feedmux.model.venue import Answer, Malformed, Merge, Pong, Value
from feedmux.venue.bybit import INTERVALS, MARKETS, Bybit
from support.examples import EXAMPLES

CODECS = st.sampled_from([Bybit(market) for market in MARKETS])
SYMBOLS = st.from_regex(r"[A-Z0-9][A-Z0-9-]{1,20}", fullmatch=True)
TEXTS = st.sampled_from(["", "0", "1.50", "-2", 'q"', "é"])
MILLISECONDS = st.integers(1, 9_223_372_036_854)


def envelope(topic: str, data: object, at_ms: int) -> dict[str, object]:
    return {"topic": topic, "type": "snapshot", "data": data, "cs": 5, "ts": at_ms}


TICKERS = st.builds(
    lambda symbol, data, at_ms: envelope(f"tickers.{symbol}", data, at_ms),
    SYMBOLS,
    st.dictionaries(st.sampled_from(["symbol", "lastPrice", "bid1Price", "price24hPcnt", "new"]), TEXTS),
    MILLISECONDS,
)
CANDLES = st.fixed_dictionaries(
    {
        "start": MILLISECONDS,
        "end": MILLISECONDS,
        **dict.fromkeys(["open", "high", "low", "close", "volume", "turnover"], TEXTS),
        "confirm": st.booleans(),
    }
)
KLINES = st.builds(
    lambda symbol, code, data, at_ms: envelope(f"kline.{code}.{symbol}", data, at_ms),
    SYMBOLS,
    st.sampled_from(list(INTERVALS.values())),
    st.lists(CANDLES, min_size=1, max_size=3),
    MILLISECONDS,
)
DEALS = st.fixed_dictionaries(
    {"i": TEXTS, "p": TEXTS, "v": TEXTS, "S": st.sampled_from(["Buy", "Sell"]), "T": MILLISECONDS},
    optional={"BT": st.booleans(), "L": TEXTS},
)
TRADES = st.builds(
    lambda symbol, data, at_ms: envelope(f"publicTrade.{symbol}", data, at_ms),
    SYMBOLS,
    st.lists(DEALS, min_size=1, max_size=3),
    MILLISECONDS,
)
FRAMES = st.one_of(TICKERS, KLINES, TRADES)


def check(codec: Bybit, payload: bytes) -> None:
    """Whatever comes in, what comes out is documented, and what should be JSON is JSON."""
    events = codec.decode(payload)
    assert events
    for event in events:
        match event:
            case Value(topic, venue_ns, key, text):
                assert codec.problem(topic) is None
                assert 0 < venue_ns < 2**63
                assert key == "" or key.startswith(topic.text + ":")
                json.loads(text)
            case Merge(topic, venue_ns, _, order, fields):
                assert codec.problem(topic) is None
                assert 0 < venue_ns < 2**63
                assert order >= 0
                assert json.loads(codec.render(topic, fields))["symbol"] == topic.instrument
            case Answer(_, accepted, _, reason, already):
                assert not (accepted and already)
                assert len(reason) <= 200
            case Malformed(reason):
                assert 0 < len(reason) <= 200
            case Pong():
                pass


@settings(max_examples=EXAMPLES)
@given(CODECS, st.binary(max_size=300))
def test_any_bytes_are_documented_events(codec: Bybit, payload: bytes) -> None:
    check(codec, payload)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
KEYS = ("topic", "type", "data", "cs", "ts", "op", "success", "ret_msg", "req_id")


@settings(max_examples=EXAMPLES)
@given(CODECS, FRAMES, st.dictionaries(st.sampled_from(KEYS), JSON), st.booleans())
def test_any_json_in_any_place_is_documented_events(
    codec: Bybit, frame: dict[str, object], changes: dict[str, object], pure: bool
) -> None:
    check(codec, json.dumps(changes if pure else {**frame, **changes}).encode())


@settings(max_examples=EXAMPLES)
@given(CODECS, FRAMES, st.data())
def test_truncated_and_flipped_frames_are_documented_events(
    codec: Bybit, frame: dict[str, object], data: st.DataObject
) -> None:
    payload = bytearray(json.dumps(frame, separators=(",", ":")).encode())
    check(codec, bytes(payload[: data.draw(st.integers(0, len(payload)))]))
    for _ in range(data.draw(st.integers(1, 3))):
        payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
    check(codec, bytes(payload))


@settings(max_examples=EXAMPLES)
@given(CODECS, FRAMES, st.randoms(use_true_random=False))
def test_the_order_of_keys_does_not_matter(codec: Bybit, frame: dict[str, object], random: object) -> None:
    shuffled = list(frame.items())
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    straight = codec.decode(json.dumps(frame, separators=(",", ":")).encode())
    assert codec.decode(json.dumps(dict(shuffled), indent=1).encode()) == straight
    assert not any(isinstance(event, Malformed) for event in straight)


@settings(max_examples=EXAMPLES)
@given(
    CODECS,
    st.lists(st.tuples(st.sampled_from(["ticker", "trade", "kline"]), SYMBOLS), max_size=12),
    st.text(),
)
def test_a_refusal_names_the_topic_that_was_asked_for(
    codec: Bybit, wanted: list[tuple[str, str]], request_id: str
) -> None:
    topics = [Topic(PUBLIC, "bybit", codec.market, k, s, "D" if k == "kline" else "") for k, s in wanted]
    request = json.loads(codec.subscribe(topics, request_id))
    assert request["req_id"] == request_id
    for topic, arg in zip(topics, request["args"], strict=True):
        refusal = {"success": False, "ret_msg": f"error:handler not found,topic:{arg}", "req_id": request_id}
        assert codec.decode(json.dumps(refusal).encode()) == (
            Answer(request_id, False, topic, str(refusal["ret_msg"])),
        )
