from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from feedmux.venue.deribit_data import (
    read_chart,
    read_ticker,
    read_trades,
    write_candle,
    write_ticker,
    write_trades,
)
from feedmux.venue.deribit_topic import INTERVALS

HEAD = b'{"instrument_name":"ABC-PERPETUAL","timestamp":1800000000123'
PERPETUAL = HEAD + (
    b',"state":"open","stats":{"high":93612.0,"low":89277.5,"price_change":2.3275,"volume":11897.27640428,'
    b'"volume_usd":1.09e9,"volume_notional":1.0},"index_price":92263.55,"last_price":92283.5,'
    b'"settlement_price":92464.66,"min_price":90897.5,"max_price":93666.5,"open_interest":1132329370.0,'
    b'"mark_price":92281.78,"interest_value":0.0028213400122472977,"best_ask_price":92284.0,'
    b'"best_bid_price":92283.5,"estimated_delivery_price":92263.55,"best_ask_amount":186520.0,'
    b'"best_bid_amount":117660.0,"current_funding":-1.423e-4,"funding_8h":0.00001742}'
)
OPTION = HEAD + (
    b',"stats":{"high":null,"low":null,"price_change":null,"volume":null,"volume_usd":null},"last_price":null,'
    b'"mark_price":0.0512,"mark_iv":55.1,"bid_iv":0.0,"ask_iv":56.25,"greeks":{"delta":0.5,"gamma":1e-5,'
    b'"rho":1.0,"theta":-2.0,"vega":3.0},"underlying_price":92000.0,"underlying_index":"SYN.ABC-27NOV26",'
    b'"interest_rate":0.0,"best_bid_price":0.0,"best_bid_amount":0.0,"best_ask_price":0.052,'
    b'"best_ask_amount":3.5,"delivery_price":1.5}'
)
CHART = (
    b'{"tick":1800000000000,"open":87490.0,"high":8.75e4,"low":87465.0,"close":87474.0,"volume":0.95978896,'
    b'"cost":83970.0}'
)
TRADE: dict[str, Any] = {
    "trade_seq": 7, "trade_id": "403", "timestamp": 1_800_000_000_123, "tick_direction": 2, "price": 92294.5,
    "mark_price": 92287.11, "instrument_name": "ABC-PERPETUAL", "index_price": 92276.75, "direction": "sell",
    "amount": 10.0, "contracts": 1.0,
}  # fmt: skip


def ticker_of(members: bytes) -> dict[str, Any]:
    """Our ticker of a Deribit ticker with these members besides its head."""
    written: dict[str, Any] = json.loads(write_ticker(read_ticker(HEAD + members + b"}")))
    assert written.pop("symbol") == "ABC-PERPETUAL"
    return written


def test_a_perpetual_is_written_in_the_documented_order_with_the_digits_of_the_venue() -> None:
    assert write_ticker(read_ticker(PERPETUAL)) == (
        b'{"symbol":"ABC-PERPETUAL","price":"92283.5","markPrice":"92281.78","indexPrice":"92263.55",'
        b'"high24h":"93612.0","low24h":"89277.5","volume24h":"11897.27640428","turnover24h":"1090000000",'
        b'"change24hPercent":"2.3275","bid":{"price":"92283.5","size":"117660.0"},'
        b'"ask":{"price":"92284.0","size":"186520.0"},"openInterest":"1132329370.0",'
        b'"fundingRate":"-0.0001423","fundingRate8h":"0.00001742","interestValue":"0.0028213400122472977",'
        b'"settlementPrice":"92464.66","estimatedDeliveryPrice":"92263.55","minPrice":"90897.5",'
        b'"maxPrice":"93666.5","state":"open"}'
    )


def test_an_option_has_volatilities_and_greeks_and_says_nothing_of_what_nobody_knows() -> None:
    assert write_ticker(read_ticker(OPTION)) == (
        b'{"symbol":"ABC-PERPETUAL","markPrice":"0.0512","ask":{"price":"0.052","size":"3.5","iv":"56.25"},'
        b'"deliveryPrice":"1.5","markIv":"55.1","greeks":{"delta":"0.5","gamma":"0.00001","rho":"1.0",'
        b'"theta":"-2.0","vega":"3.0"},"underlyingPrice":"92000.0","underlyingIndex":"SYN.ABC-27NOV26",'
        b'"interestRate":"0.0"}'
    )


@pytest.mark.parametrize(
    ("members", "ticker"),
    [
        (b"", {}),
        (b',"stats":null,"greeks":null,"state":null,"underlying_index":null', {}),
        (b',"greeks":{}', {"greeks": {}}),
        (b',"last_price":0.0', {"price": "0.0"}),
        (b',"best_bid_price":5.0,"best_bid_amount":null', {"bid": {"price": "5.0"}}),
        (b',"best_ask_price":null,"best_ask_amount":2.0', {"ask": {"size": "2.0"}}),
        (b',"best_ask_price":5.0,"best_ask_amount":0', {}),
        (b',"best_ask_price":5.0,"best_ask_amount":0e0', {}),
        (b',"bid_iv":50.0', {}),
        (b',"contract_size":10,"something":{"new":[1]}', {}),
    ],
)
def test_what_is_not_known_is_absent(members: bytes, ticker: dict[str, Any]) -> None:
    assert ticker_of(members) == ticker


@pytest.mark.parametrize(
    "members",
    [
        b',"last_price":"5"', b',"last_price":true', b',"mark_price":[5]', b',"stats":{"high":"x"}',
        b',"stats":5',
        b',"greeks":{"delta":{}}', b',"state":5', b',"best_bid_amount":"1"', b',"timestamp":"now"',
        b',"mark_iv":1e999',
    ],
)  # fmt: skip
def test_what_should_be_a_number_and_is_none_is_refused(members: bytes) -> None:
    with pytest.raises(msgspec.ValidationError):
        ticker_of(members)


def test_a_candle_is_written_as_it_is_and_as_it_is_if_it_has_ended() -> None:
    running, closed = write_candle("ABC-PERPETUAL", "60", read_chart(CHART))
    assert running == (
        b'{"symbol":"ABC-PERPETUAL","interval":"1h","openTime":1800000000000,"closeTime":1800003599999,'
        b'"open":"87490.0","high":"87500","low":"87465.0","close":"87474.0","volume":"0.95978896",'
        b'"turnover":"83970.0","confirmed":false}'
    )
    assert json.loads(closed) == json.loads(running) | {"confirmed": True}
    assert list(json.loads(closed)) == list(json.loads(running))


@pytest.mark.parametrize(("label", "resolution"), INTERVALS.items())
def test_a_candle_ends_a_millisecond_before_the_next_one_begins(label: str, resolution: str) -> None:
    candle = json.loads(write_candle("ABC", resolution, read_chart(CHART))[0])
    minutes = {"m": 1, "h": 60, "d": 1440}[label[-1]] * int(label[:-1])
    assert candle["interval"] == label
    assert candle["closeTime"] + 1 - candle["openTime"] == minutes * 60_000


@pytest.mark.parametrize("name", ["tick", "open", "high", "low", "close", "volume", "cost"])
@pytest.mark.parametrize("wrong", [None, "5", ...], ids=["null", "a text", "missing"])
def test_a_candle_without_all_its_numbers_is_refused(name: str, wrong: object) -> None:
    candle = json.loads(CHART)
    del candle[name]
    if wrong is not ...:
        candle[name] = wrong
    with pytest.raises(msgspec.ValidationError):
        write_candle("ABC-PERPETUAL", "1", read_chart(json.dumps(candle).encode()))


def test_trades_are_written_in_their_order_with_what_is_known_of_each() -> None:
    more = {"iv": 41.01, "liquidation": "MT", "block_trade_id": "B-1", "direction": "buy", "legs": []}
    less = {key: TRADE[key] for key in TRADE if key not in {"mark_price", "index_price", "contracts"}}
    assert write_trades("ABC-PERPETUAL", read_trades(json.dumps([TRADE | more, less]).encode())) == (
        b'[{"id":"403","symbol":"ABC-PERPETUAL","price":"92294.5","quantity":"10.0","side":"buy",'
        b'"time":1800000000123,"isBlockTrade":true,"tradeSeq":7,"markPrice":"92287.11","indexPrice":"92276.75",'
        b'"iv":"41.01","liquidation":"MT"},'
        b'{"id":"403","symbol":"ABC-PERPETUAL","price":"92294.5","quantity":"10.0","side":"sell",'
        b'"time":1800000000123,"isBlockTrade":false,"tradeSeq":7}]'
    )


@pytest.mark.parametrize(
    "change",
    [
        {"price": None}, {"price": "5"}, {"amount": None}, {"direction": "BUY"}, {"trade_id": 5},
        {"trade_seq": -1},
        {"timestamp": 0}, {"instrument_name": "XYZ-PERPETUAL"}, {"mark_price": "5"}, {"iv": []},
    ],
)  # fmt: skip
def test_a_trade_that_is_none_or_of_another_instrument_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        write_trades("ABC-PERPETUAL", read_trades(json.dumps([TRADE | change]).encode()))


def test_no_trades_are_refused() -> None:
    with pytest.raises(msgspec.ValidationError):
        read_trades(b"[]")
