from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from feedmux.feed.writer import RenderedMerge, TopicWriter
from feedmux.model.event import Envelope, EventKind
from feedmux.model.topic import PUBLIC, Topic
from feedmux.model.venue import Merge, Value
from feedmux.venue.bybit import Bybit
from feedmux.wire.mudrex import MudrexFormat, Posting
from support import mudrex
from support.places import LINEAR, SPOT

Frame = dict[str, Any]

TICKER = Topic(PUBLIC, "bybit", "linear", "ticker", "BTCUSDT")
TRADES = Topic(PUBLIC, "bybit", "linear", "trade", "BTCUSDT")
MINUTES = Topic(PUBLIC, "bybit", "linear", "kline", "BTCUSDT", "1")
HOURS = Topic(PUBLIC, "bybit", "linear", "kline", "BTCUSDT", "60")
VENUE_NS = 1_700_000_000_123_999_999
RECEIVE_NS = 1_700_000_000_456_000_000


def event(topic: Topic, kind: EventKind = EventKind.UPDATE, venue_ns: int = VENUE_NS) -> Envelope:
    return Envelope(topic, 1_699_999_999_000, 42, kind, venue_ns, RECEIVE_NS, "key", b'{"a":1}')


def channels(*names: str) -> tuple[bytes, ...]:
    return tuple(f"mudrex:stream:{name}".encode() for name in names)


@pytest.mark.parametrize(
    ("envelope", "posting"),
    [
        (event(TICKER),
         Posting(channels("ticker:BTCUSDT"),
                 b'{"stream":"mudrex.futures.ticker.BTCUSDT","type":"update","data":{"a":1},'
                 b'"timestamp":1700000000123,"source":"mudrex"}')),
        (event(TICKER, EventKind.SNAPSHOT),
         Posting(channels("ticker:BTCUSDT"),
                 b'{"stream":"mudrex.futures.ticker.BTCUSDT","type":"snapshot","data":{"a":1},'
                 b'"timestamp":1700000000123,"source":"mudrex"}')),
        (event(TRADES, venue_ns=0),
         Posting(channels("trade:BTCUSDT"),
                 b'{"stream":"mudrex.futures.trade.BTCUSDT","type":"update","data":{"a":1},'
                 b'"timestamp":1700000000456,"source":"mudrex"}')),
        (event(MINUTES),
         Posting(channels("kline:BTCUSDT", "kline:1m:BTCUSDT"),
                 b'{"stream":"mudrex.futures.kline.1.BTCUSDT","type":"update","data":{"a":1},'
                 b'"timestamp":1700000000123,"source":"mudrex"}')),
        (event(HOURS, EventKind.SNAPSHOT),
         Posting(channels("kline:1h:BTCUSDT"),
                 b'{"stream":"mudrex.futures.kline.60.BTCUSDT","type":"update","data":{"a":1},'
                 b'"timestamp":1700000000123,"source":"mudrex"}')),
    ],
    ids=["ticker", "snapshot", "trades", "minutes", "hours"],
)  # fmt: skip
def test_each_value_is_one_text_on_the_channels_of_its_stream(envelope: Envelope, posting: Posting) -> None:
    layout = MudrexFormat(LINEAR)
    for _ in range(2):  # what is kept for the topic changes nothing
        assert layout.post(envelope) == posting
    layout.forget(envelope.topic)
    layout.forget(envelope.topic)
    assert layout.post(envelope) == posting


@pytest.mark.parametrize(("topic", "word"), [(TICKER, "snapshot"), (TRADES, "update"), (MINUTES, "update")])
def test_only_a_ticker_begins_with_a_snapshot(topic: Topic, word: str) -> None:
    posting = MudrexFormat(LINEAR).post(event(topic), is_first=True)
    assert posting is not None
    assert json.loads(posting.text)["type"] == word


@pytest.mark.parametrize("kind", [EventKind.GAP, EventKind.STATUS])
def test_what_is_no_value_is_not_published(kind: EventKind) -> None:
    assert MudrexFormat(LINEAR).post(event(TICKER, kind)) is None


def test_kinds_that_the_proxy_does_not_know_are_not_published() -> None:
    book = Topic(PUBLIC, "bybit", "linear", "book", "BTCUSDT")
    assert MudrexFormat(LINEAR).post(event(book)) is None


def test_another_market_says_which_it_is() -> None:
    posting = MudrexFormat(SPOT).post(event(Topic(PUBLIC, "bybit", "spot", "ticker", "BTCUSDT")))
    assert posting is not None
    assert posting.channels == channels("ticker:BTCUSDT")
    assert json.loads(posting.text)["stream"] == "mudrex.spot.ticker.BTCUSDT"


@pytest.mark.parametrize(
    ("topic", "name"),
    [
        (TICKER, "ticker:BTCUSDT"),
        (TRADES, "trade:BTCUSDT"),
        (MINUTES, "kline:BTCUSDT"),
        (HOURS, "kline:BTCUSDT"),
    ],
)
def test_a_name_says_type_and_symbol(topic: Topic, name: str) -> None:
    assert MudrexFormat(LINEAR).name(topic) == name


# --- beside the proxy's own ---------------------------------------------------------------------


def posted(frames: Iterable[Frame]) -> Iterator[Frame]:
    """What is published of these frames of Bybit's linear market."""
    venue, layout = Bybit("linear"), MudrexFormat(LINEAR)
    writers: dict[Topic, TopicWriter] = {}
    for frame in frames:
        for said in venue.decode(json.dumps(frame).encode()):
            assert isinstance(said, Merge | Value)
            writer = writers.setdefault(
                said.topic,
                TopicWriter(
                    said.topic, 1, lambda topic: RenderedMerge(lambda state: venue.render(topic, state))
                ),
            )
            written = writer.merge(said, 1) if isinstance(said, Merge) else writer.take(said, 1)
            assert isinstance(written, Envelope)
            posting = layout.post(written)
            assert posting is not None
            yield json.loads(posting.text)


CANDLE = {
    "start": 1_799_998_800_000, "end": 1_800_002_399_999, "interval": "60", "open": "10.0", "close": "10.50",
    "high": "11", "low": "9.90", "volume": "120.000", "turnover": "1230.5", "confirm": False,
    "timestamp": 1_800_000_000_100,
}  # fmt: skip
SALE = {"T": 1_800_000_000_120, "s": "BTCUSDT", "v": "0.10", "p": "10.50", "L": "PlusTick", "RPI": False}
TICK = {
    "symbol": "BTCUSDT", "tickDirection": "PlusTick", "price24hPcnt": "0.017103", "lastPrice": "109000.10",
    "prevPrice24h": "107167.20", "highPrice24h": "110000.00", "lowPrice24h": "107000.00",
    "markPrice": "109001.20", "indexPrice": "109010.35", "openInterest": "58000.1",
    "openInterestValue": "6322000000.02", "turnover24h": "7900000000.1234", "volume24h": "73000.5",
    "nextFundingTime": "1800000000000", "fundingRate": "-0.0001", "bid1Price": "109000.00",
    "bid1Size": "3.1", "ask1Price": "109000.10", "ask1Size": "0.5",
}  # fmt: skip
FRAMES: list[Frame] = [
    {"topic": "tickers.BTCUSDT", "type": "snapshot", "data": TICK, "cs": 9, "ts": 1_800_000_000_123},
    {"topic": "kline.60.BTCUSDT", "type": "snapshot", "data": [CANDLE], "ts": 1_800_000_000_124},
    {"topic": "kline.1.BTCUSDT", "type": "snapshot", "data": [{**CANDLE, "interval": "1"}], "ts": 1},
    {"topic": "publicTrade.BTCUSDT", "type": "snapshot", "ts": 1_800_000_000_125,
     "data": [{**SALE, "S": "Buy", "i": "a-1", "BT": True}, {**SALE, "S": "Sell", "i": "a-2", "BT": False}]},
]  # fmt: skip


@pytest.mark.parametrize("frame", FRAMES, ids=[frame["topic"] for frame in FRAMES])
def test_what_is_published_has_the_keys_types_and_values_of_the_proxy_in_its_order(frame: Frame) -> None:
    (ours,) = posted([frame])
    assert json.dumps(ours) == json.dumps(mudrex.proxied(frame))


def test_a_ticker_that_changes_is_published_whole() -> None:
    change = {"symbol": "BTCUSDT", "markPrice": "109002.00"}
    frame = {"topic": "tickers.BTCUSDT", "type": "delta", "data": change, "cs": 10, "ts": 1_800_000_000_223}
    _, ours = posted([FRAMES[0], frame])
    assert json.dumps(ours) == json.dumps(mudrex.proxied({**frame, "data": {**TICK, **change}}))


@pytest.mark.parametrize(
    "name",
    [
        "fastmm_linear_tickers_btc_eth_20260930_excerpt.jsonl",
        "nautilus/ws_ticker_linear.json",
        "nautilus/ws_kline.json",
    ],
)
def test_captured_frames_are_published_as_the_proxy_does(name: str) -> None:
    folder = os.environ.get("FEEDMUX_CAPTURES")
    if not folder:
        pytest.skip("FEEDMUX_CAPTURES is not set: no captured messages to read")
    text = (Path(folder) / "bybit" / name).read_text()
    documents = text.splitlines() if name.endswith("l") else [text]
    said = [frame for line in documents if "topic" in (frame := json.loads(line))]
    assert said
    expected = [json.dumps(mudrex.proxied(frame)) for frame in whole(said)]
    assert [json.dumps(ours) for ours in posted(said)] == expected


def whole(frames: Iterable[Frame]) -> Iterator[Frame]:
    """The same frames, those of tickers with all that is known by then."""
    known: dict[str, Frame] = {}
    for frame in frames:
        topic, data = frame["topic"], frame["data"]
        if topic.startswith("tickers."):
            known[topic] = data = data if frame["type"] == "snapshot" else {**known[topic], **data}
        yield {**frame, "data": data}
