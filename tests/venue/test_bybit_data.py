from __future__ import annotations

from decimal import localcontext

import msgspec
import pytest

from feedmux.venue.bybit_data import CARRIED, percent, read_ticker, write_ticker

WHOLE = {
    "symbol": "XYZUSDT", "lastPrice": "10.50", "markPrice": "10.51", "indexPrice": "10.52",
    "highPrice24h": "11.00", "lowPrice24h": "9.000", "prevPrice24h": "10.00", "volume24h": "1200.0",
    "turnover24h": "12600.0000", "price24hPcnt": "0.05", "tickDirection": "PlusTick", "bid1Price": "10.49",
    "bid1Size": "3", "ask1Price": "10.50", "ask1Size": "4.0", "openInterest": "77",
    "openInterestValue": "809.27", "fundingRate": "-0.0001", "nextFundingTime": "1800000000000",
    "prevPrice1h": "10.40",
}  # fmt: skip


def test_a_whole_ticker_is_written_in_the_documented_order_with_its_exact_texts() -> None:
    assert write_ticker("XYZUSDT", WHOLE) == (
        b'{"symbol":"XYZUSDT","price":"10.50","markPrice":"10.51","indexPrice":"10.52","high24h":"11.00",'
        b'"low24h":"9.000","prevPrice24h":"10.00","volume24h":"1200.0","turnover24h":"12600.0000",'
        b'"change24hPercent":"5.00","tickDirection":"PlusTick","bid":{"price":"10.49","size":"3"},'
        b'"ask":{"price":"10.50","size":"4.0"},"openInterest":"77","openInterestValue":"809.27",'
        b'"fundingRate":"-0.0001","nextFundingTime":"1800000000000"}'
    )


@pytest.mark.parametrize(
    ("state", "payload"),
    [
        ({}, b'{"symbol":"X"}'),
        ({"markPrice": "1"}, b'{"symbol":"X","markPrice":"1"}'),
        ({"lastPrice": "", "bid1Price": ""}, b'{"symbol":"X"}'),
        ({"lastPrice": "0"}, b'{"symbol":"X","price":"0"}'),
        ({"bid1Price": "9"}, b'{"symbol":"X","bid":{"price":"9"}}'),
        ({"ask1Size": "2"}, b'{"symbol":"X","ask":{"size":"2"}}'),
        ({"price24hPcnt": "n/a"}, b'{"symbol":"X"}'),
        ({"lastPrice": '1"\\'}, b'{"symbol":"X","price":"1\\"\\\\"}'),
        ({"usdIndexPrice": "5", "other": "6"}, b'{"symbol":"X"}'),
    ],
)
def test_what_is_not_known_is_absent(state: dict[str, str], payload: bytes) -> None:
    assert write_ticker("X", state) == payload


@pytest.mark.parametrize(
    ("ratio", "text"),
    [
        ("0.0123", "1.23"), ("-0.01229", "-1.23"), ("0", "0.00"), ("-0", "0.00"), ("-0.00001", "0.00"),
        ("0.00005", "0.00"), ("0.00015", "0.02"), ("-0.00025", "-0.02"), ("0.000050000001", "0.01"),
        ("12", "1200.00"), ("1e-4", "0.01"), ("1E+3", "100000.00"), ("0.285", "28.50"), ("1.005", "100.50"),
        ("1e99", "1" + "0" * 101 + ".00"),
        ("", ""), ("NaN", ""), ("Infinity", ""), ("-", ""), ("1_0", ""), ("٣", ""), (" 1", ""), ("1e999", ""),
    ],
)  # fmt: skip
def test_a_ratio_becomes_a_percentage_with_two_decimals(ratio: str, text: str) -> None:
    assert percent(ratio) == text


def test_nobodys_decimal_settings_reach_a_percentage() -> None:
    with localcontext() as context:
        context.prec = 2
        assert percent("0.987654321") == "98.77"


def frame(data: str) -> bytes:
    return b'{"topic":"tickers.XYZUSDT","type":"delta","data":%s,"cs":1,"ts":1700000000000}' % data.encode()


def test_a_new_field_of_another_type_is_left_out() -> None:
    read = read_ticker(frame('{"symbol":"XYZUSDT","lastPrice":"1","level":3,"deep":{"a":[]},"gone":null}'))
    assert (read.topic, read.type, read.cs, read.ts) == ("tickers.XYZUSDT", "delta", 1, 1700000000000)
    assert read.data == {"symbol": "XYZUSDT", "lastPrice": "1"}


@pytest.mark.parametrize("value", ["1", "null", "[]"])
def test_a_carried_field_of_another_type_makes_the_frame_unreadable(value: str) -> None:
    for field in CARRIED:
        with pytest.raises(msgspec.ValidationError, match="Expected `str`"):
            read_ticker(frame(f'{{"{field}":{value}}}'))
