from __future__ import annotations

import json
from typing import Any, TypeVar

import msgspec
import pytest
from msgspec import ValidationError

from feedmux.venue.alpaca_data import (
    Bar,
    Cancel,
    Correction,
    Quote,
    Trade,
    UpdatedBar,
    write_bar,
    write_quote,
    write_trades,
)

T = TypeVar("T")
NOON = "2026-11-20T17:00:00.000000007Z"
NOON_MS = 1_795_194_000_000


def read(kind: type[T], text: str) -> T:
    return msgspec.json.decode(text.encode(), type=kind)


def quote(**fields: Any) -> Any:
    whole = {"T": "q", "S": "AAPL", "bp": 1.5, "bs": 2, "ap": 1.6, "as": 3, "t": NOON} | fields
    return json.loads(write_quote(read(Quote, json.dumps(whole))))


def test_a_quote_becomes_a_ticker_of_what_alpaca_knows() -> None:
    text = (
        '{"T":"q","S":"AMD","bx":"U","bp":87.660,"bs":1,"ax":"Q","ap":87.68,"as":4,"c":["R"],"z":"C",'
        f'"t":"{NOON}","new":[1]}}'
    )
    assert json.loads(write_quote(read(Quote, text))) == {
        "symbol": "AMD",
        "venueTime": NOON,
        "bid": {"price": "87.660", "size": "1", "exchange": "U"},
        "ask": {"price": "87.68", "size": "4", "exchange": "Q"},
        "conditions": ["R"],
        "tape": "C",
    }


def test_a_side_on_which_nobody_is_is_absent() -> None:
    assert "bid" not in quote(bp=0, bs=0)
    assert "bid" not in quote(bp=0, bs=1)
    assert "ask" not in quote(ap=1.6, **{"as": 0})
    assert quote(bs=None)["bid"] == {"price": "1.5"}
    assert quote(bs=1e-9)["bid"] == {"price": "1.5", "size": "0.000000001"}
    assert set(quote(bp=None, ap=None)) == {"symbol", "venueTime"}


def test_empty_texts_and_lists_are_absent() -> None:
    assert set(quote(bx=None, c=None, z="")) == {"symbol", "venueTime", "bid", "ask"}
    assert "conditions" not in quote(c=[])


def test_a_trade_keeps_every_digit_of_its_numbers_and_its_id() -> None:
    text = (
        '{"T":"t","S":"BTC/USD","i":34472226991018650761,"p":47.2990,"s":1e-9,"tks":"S",'
        f'"t":"{NOON}","x":null,"c":null}}'
    )
    assert json.loads(write_trades([read(Trade, text)])) == [
        {
            "id": "34472226991018650761",
            "symbol": "BTC/USD",
            "price": "47.2990",
            "quantity": "0.000000001",
            "time": NOON_MS,
            "venueTime": NOON,
            "side": "sell",
        }
    ]


def test_a_trade_of_a_stock_has_an_exchange_conditions_and_a_tape_and_no_side() -> None:
    text = (
        f'{{"T":"t","S":"F","i":96921,"x":"D","p":126.55,"s":1,"c":["@","I"],"z":"C","t":"{NOON}","tks":"?"}}'
    )
    (trade,) = json.loads(write_trades([read(Trade, text)]))
    assert trade["exchange"] == "D"
    assert trade["conditions"] == ["@", "I"]
    assert trade["tape"] == "C"
    assert "side" not in trade


def test_what_corrects_or_cancels_a_trade_stands_in_its_place_and_cannot_be_taken_for_one() -> None:
    correction = read(
        Correction,
        '{"T":"c","S":"F","x":"M","oi":52983525033527,"op":39.158,"os":440000,"oc":[" ","7"],'
        f'"ci":52983525034326,"cp":39.1809,"cs":440001,"cc":[" "],"z":"B","t":"{NOON}"}}',
    )
    cancel = read(Cancel, f'{{"T":"x","S":"F","i":5,"x":"D","p":7.5,"s":2,"a":"E","z":"A","t":"{NOON}"}}')
    corrected, cancelled = json.loads(write_trades([correction, cancel]))
    shared = {"symbol": "F", "time": NOON_MS, "venueTime": NOON}
    assert corrected == shared | {
        "corrected": {
            "id": "52983525033527",
            "price": "39.158",
            "quantity": "440000",
            "conditions": [" ", "7"],
        },
        "correction": {"id": "52983525034326", "price": "39.1809", "quantity": "440001", "conditions": [" "]},
        "exchange": "M",
        "tape": "B",
    }
    assert cancelled == shared | {
        "cancelled": {"id": "5", "price": "7.5", "quantity": "2"},
        "action": "E",
        "exchange": "D",
        "tape": "A",
    }
    for one in (corrected, cancelled):
        assert not {"id", "price", "quantity", "side"} & set(one)


@pytest.mark.parametrize(("kind", "tag", "more"), [(Bar, "b", {}), (UpdatedBar, "u", {"corrected": True})])
def test_a_bar_is_a_closed_candle_and_one_that_corrects_it_says_so(
    kind: type[Bar], tag: str, more: dict[str, object]
) -> None:
    text = (
        f'{{"T":"{tag}","S":"SPY","o":388.985,"h":389.130,"l":388.975,"c":389.12,"v":49378,"n":461,'
        '"vw":389.062639,"t":"2026-11-20T17:00:00Z"}'
    )
    assert (
        json.loads(write_bar(read(kind, text)))
        == {
            "symbol": "SPY",
            "interval": "1m",
            "openTime": NOON_MS,
            "closeTime": NOON_MS + 59_999,
            "open": "388.985",
            "high": "389.130",
            "low": "388.975",
            "close": "389.12",
            "volume": "49378",
            "confirmed": True,
            "tradeCount": 461,
            "averagePrice": "389.062639",
        }
        | more
    )


@pytest.mark.parametrize("wrong", ['"1"', "-1", "1.5", "1e3", "null", "true", "[]", "1" * 41])
def test_an_id_is_digits(wrong: str) -> None:
    text = f'{{"T":"t","S":"F","i":{wrong},"p":1,"s":1,"t":"{NOON}"}}'
    with pytest.raises(ValidationError):
        write_trades([read(Trade, text)])


@pytest.mark.parametrize("wrong", ['"1.5"', "null", "true", "{}"])
def test_a_price_is_a_number(wrong: str) -> None:
    with pytest.raises(ValidationError):
        write_trades([read(Trade, f'{{"T":"t","S":"F","i":1,"p":{wrong},"s":1,"t":"{NOON}"}}')])
    bar = f'{{"T":"b","S":"F","o":{wrong},"h":1,"l":1,"c":1,"v":1,"t":"{NOON}"}}'
    with pytest.raises(ValidationError):
        write_bar(read(Bar, bar))
