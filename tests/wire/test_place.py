from __future__ import annotations

import pytest

from feedmux.model.topic import PUBLIC, Topic
from feedmux.wire.place import Places, Rejected
from support.places import DERIBIT, LINEAR, PLACES


def linear(kind: str, instrument: str, param: str = "") -> Topic:
    return Topic(PUBLIC, "bybit", "linear", kind, instrument, param)


@pytest.mark.parametrize(
    ("arg", "topic"),
    [
        ("tickers.BTCUSDT", linear("ticker", "BTCUSDT")),
        ("ticker:BTCUSDT", linear("ticker", "BTCUSDT")),
        ("ticker:1h:BTCUSDT", linear("ticker", "BTCUSDT")),
        ("trade:BTCUSDT", linear("trade", "BTCUSDT")),
        ("trade:any:BTCUSDT", linear("trade", "BTCUSDT")),
        ("kline:1h:BTCUSDT", linear("kline", "BTCUSDT", "60")),
        ("kline:1d:BTCUSDT", linear("kline", "BTCUSDT", "D")),
        ("ticker:btcusdt", linear("ticker", "btcusdt")),
        ("ticker:BTC.P", linear("ticker", "BTC.P")),
        ("tickers.BTC.P", linear("ticker", "BTC.P")),
        ("tickers.BTC:P", linear("ticker", "BTC:P")),
        ("ticker:BTCUSDT@bybit.linear", linear("ticker", "BTCUSDT")),
        ("ticker:BTCUSDT@bybit.spot", Topic(PUBLIC, "bybit", "spot", "ticker", "BTCUSDT")),
        ("tickers.BTCUSDT@bybit.spot", Topic(PUBLIC, "bybit", "spot", "ticker", "BTCUSDT")),
        ("kline:1m:BTCUSDT@bybit.spot", Topic(PUBLIC, "bybit", "spot", "kline", "BTCUSDT", "1")),
        ("ticker:BTC-PERPETUAL@deribit", Topic(PUBLIC, "deribit", "", "ticker", "BTC-PERPETUAL")),
        ("ticker:" + "x" * 121, linear("ticker", "x" * 121)),
    ],
)
def test_an_arg_names_a_topic(arg: str, topic: Topic) -> None:
    assert PLACES.parse(arg) == topic


WILDCARDS = (
    "Wildcards (e.g. tickers.*) are not supported. "
    "Use specific symbols like tickers.BTCUSDT or ticker:ETHUSDT."
)
NO_INTERVAL = "A kline needs an interval, e.g. kline:1h:BTCUSDT. Valid intervals: 1m, 1h, 1d"
KINDS = "Expected one of ['kline', 'ticker', 'trade']"


@pytest.mark.parametrize(
    ("arg", "reason"),
    [
        ("tickers.*", WILDCARDS),
        ("ticker:*", WILDCARDS),
        ("kline:1h:BTC*", WILDCARDS),
        ("*", WILDCARDS),
        ("ticker:", WILDCARDS),
        ("ticker: ", WILDCARDS),
        ("tickers. ", WILDCARDS),
        ("kline:1h:", WILDCARDS),
        ("ticker:@bybit.spot", WILDCARDS),
        ("BTCUSDT", "Invalid stream format: BTCUSDT"),
        ("", "Invalid stream format: "),
        ("tickers.", "Invalid stream format: tickers."),
        ("tickers", "Invalid stream format: tickers"),
        ("kline:1h:BTC:USDT", "Invalid stream format: kline:1h:BTC:USDT"),
        ("foo:BTCUSDT", f"Invalid stream type: foo. {KINDS}"),
        ("foo:1h:BTCUSDT", f"Invalid stream type: foo. {KINDS}"),
        ("Ticker:BTCUSDT", f"Invalid stream type: Ticker. {KINDS}"),
        ("tickers:BTCUSDT", f"Invalid stream type: tickers. {KINDS}"),
        (":BTCUSDT", f"Invalid stream type: . {KINDS}"),
        ("kline:BTCUSDT", NO_INTERVAL),
        ("kline::BTCUSDT", NO_INTERVAL),
        ("kline:99x:BTCUSDT", "Unknown interval: 99x. Valid intervals: 1m, 1h, 1d"),
        ("kline:60:BTCUSDT", "Unknown interval: 60. Valid intervals: 1m, 1h, 1d"),
        ("ticker:BTCUSDT@kraken", "Unknown venue: kraken. This server has bybit.linear, bybit.spot, deribit"),
        ("ticker:BTCUSDT@", "Unknown venue: . This server has bybit.linear, bybit.spot, deribit"),
        ("ticker:" + "x" * 122, f"Invalid stream format: ticker:{'x' * 25}… is longer than 128 characters"),
    ],
)  # fmt: skip
def test_an_arg_that_names_no_stream_is_rejected_with_a_reason(arg: str, reason: str) -> None:
    with pytest.raises(Rejected) as rejected:
        PLACES.parse(arg)
    assert str(rejected.value) == reason


@pytest.mark.parametrize(
    ("arg", "stream"),
    [
        ("ticker:BTCUSDT", "mudrex.futures.ticker.BTCUSDT"),
        ("tickers.BTCUSDT", "mudrex.futures.ticker.BTCUSDT"),
        ("trade:ETHUSDT", "mudrex.futures.trade.ETHUSDT"),
        ("kline:1h:BTCUSDT", "mudrex.futures.kline.60.BTCUSDT"),
        ("ticker:BTCUSDT@bybit.spot", "mudrex.spot.ticker.BTCUSDT"),
        ("ticker:BTC-PERPETUAL@deribit", "mudrex.deribit.ticker.BTC-PERPETUAL"),
    ],
)
def test_a_topics_stream_is_named_by_brand_label_and_kind(arg: str, stream: str) -> None:
    assert PLACES.stream(PLACES.parse(arg)) == stream


def test_plain_args_mean_the_first_place() -> None:
    places = Places("acme", [DERIBIT, LINEAR])
    topic = places.parse("ticker:BTC-PERPETUAL")
    assert topic.venue == "deribit"
    assert places.stream(topic) == "acme.deribit.ticker.BTC-PERPETUAL"


def test_what_many_name_is_one_topic() -> None:
    assert PLACES.parse("trade:SOLUSDT") is PLACES.parse("trade:SOLUSDT")
