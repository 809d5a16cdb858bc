from __future__ import annotations

import pytest

from feedmux.model.topic import PUBLIC, Topic
from feedmux.wire.place import Places, Private, Rejected
from support.places import DERIBIT, LINEAR, PLACES, SPOT

WITH_BROKER = Places("mudrex", [LINEAR, SPOT, DERIBIT], has_broker=True)


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


# RabbitMQ's streams


def broker(scope: str, kind: str, name: str) -> Topic:
    return Topic(scope, "rabbitmq", "", kind, name)


@pytest.mark.parametrize(
    ("arg", "topic", "stream"),
    [
        ("stream:eurusd.trades", broker(PUBLIC, "message", "eurusd.trades"), "eurusd.trades"),
        ("stream:eurusd.trades@rabbitmq", broker(PUBLIC, "message", "eurusd.trades"), "eurusd.trades"),
        ("stream:eurusd.ob-inc", broker(PUBLIC, "object", "eurusd.ob-inc"), "eurusd.ob-inc"),
        ("stream:order", broker("uid=U1", "message", "order"), "order"),
        ("stream:admin.eurusd.sys", broker("role=admin", "message", "eurusd.sys"), "admin.eurusd.sys"),
        ("stream:a@b.c@rabbitmq", broker(PUBLIC, "message", "a@b.c"), "a@b.c"),
        ("stream:a:b.c", broker(PUBLIC, "message", "a:b.c"), "a:b.c"),
        ("stream:a." + "x" * 254, broker(PUBLIC, "message", "a." + "x" * 254), "a." + "x" * 254),
    ],
)
def test_a_stream_of_rabbitmq_is_named_as_rangos_clients_name_it(arg: str, topic: Topic, stream: str) -> None:
    assert WITH_BROKER.parse(arg, "U1") == topic
    assert WITH_BROKER.stream(topic) == f"mudrex.rabbitmq.{stream}"


@pytest.mark.parametrize(
    ("arg", "reason"),
    [
        ("stream:", "Invalid stream format: expected a name, e.g. stream:eurusd.trades@rabbitmq"),
        ("stream: @rabbitmq", "Invalid stream format: expected a name, e.g. stream:eurusd.trades@rabbitmq"),
        ("stream:eurusd.*", "Wildcards are not supported. Name a stream, e.g. stream:eurusd.trades"),
        ("stream:a.b@bybit.linear", "Unknown source of streams: bybit.linear. This server has rabbitmq"),
        ("stream:a.b@", "Unknown source of streams: . This server has rabbitmq"),
        ("stream:" + "x" * 257,
         f"The name of a stream is longer than 256 characters: {'x' * 32}…"),
        ("stream:a." + "☃" * 254,
         f"The name of a stream takes more than 1024 bytes with all that is encoded: a.{'☃' * 30}…"),
        ("ticker:BTCUSDT@rabbitmq", "RabbitMQ has streams alone, e.g. stream:eurusd.trades@rabbitmq"),
        ("ticker:BTCUSDT@kraken",
         "Unknown venue: kraken. This server has bybit.linear, bybit.spot, deribit, rabbitmq"),
        ("book:BTCUSDT",
         "Invalid stream type: book. Expected one of ['kline', 'ticker', 'trade', 'stream']"),
    ],
)  # fmt: skip
def test_an_arg_that_names_no_stream_of_rabbitmq_is_rejected_with_a_reason(arg: str, reason: str) -> None:
    with pytest.raises(Rejected) as rejected:
        WITH_BROKER.parse(arg, "U1")
    assert str(rejected.value) == reason


def test_a_private_stream_of_nobody_is_told_from_other_rejections() -> None:
    with pytest.raises(Private, match="order is a private stream"):
        WITH_BROKER.parse("stream:order")
    assert WITH_BROKER.parse("stream:order", "U1") != WITH_BROKER.parse("stream:order", "U2")


def test_a_server_without_rabbitmq_says_that_it_has_none() -> None:
    without = "This server has no RabbitMQ, which streams like stream:eurusd.trades come from"
    for arg in ("stream:eurusd.trades", "stream:order", "stream:", "stream:a.b@rabbitmq"):
        with pytest.raises(Rejected) as rejected:
            PLACES.parse(arg, "U1")
        assert str(rejected.value) == without


def test_a_server_without_markets_says_what_it_has() -> None:
    for has_broker, reason in (
        (False, "This server serves no markets"),
        (True, "This server serves no markets. It has streams, e.g. stream:eurusd.trades@rabbitmq"),
    ):
        with pytest.raises(Rejected) as rejected:
            Places("acme", [], has_broker=has_broker).parse("ticker:BTCUSDT")
        assert str(rejected.value) == reason
