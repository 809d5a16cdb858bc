from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from feedmux.model.errors import InvalidSetting, MalformedMessage
from feedmux.venue.deribit_requests import (
    Instrument,
    Order,
    OrderRequest,
    OrderType,
    Placed,
    Ticker,
    TimeInForce,
    read,
)


def as_json(params: object) -> str:
    return msgspec.json.encode(params).decode()


def test_an_order_is_sent_as_it_was_set_digit_for_digit() -> None:
    order = OrderRequest(
        instrument_name="BTC-PERPETUAL", amount=Decimal("0.10"), price=Decimal("1E+5"),
        time_in_force=TimeInForce.FILL_OR_KILL, reduce_only=False, label="a",
    )  # fmt: skip
    assert as_json(order.params()) == (
        '{"instrument_name":"BTC-PERPETUAL","amount":0.10,"type":"limit","price":100000,"label":"a",'
        '"time_in_force":"fill_or_kill","reduce_only":false}'
    )
    market = OrderRequest(instrument_name="X", amount=Decimal(1), type=OrderType.MARKET)
    assert as_json(market.params()) == '{"instrument_name":"X","amount":1,"type":"market"}'


ORDER = {
    "order_id": "1", "instrument_name": "X", "direction": "buy", "amount": 10, "order_state": "filled",
    "order_type": "market", "price": "market_price", "average_price": Decimal("8.5"), "unknown": [1],
}  # fmt: skip


def test_results_have_types_and_what_is_unknown_is_passed_over() -> None:
    placed = read({"order": ORDER, "trades": []}, Placed)
    expected = Order("1", "X", "buy", Decimal(10), "filled", "market", average_price=Decimal("8.5"))
    assert placed.order == expected


@pytest.mark.parametrize(
    "result", [None, [], {}, {"order": {}}, {"order": ORDER | {"direction": "up"}}, "ok"]
)
def test_a_result_of_another_shape_is_named(result: object) -> None:
    with pytest.raises(MalformedMessage, match="answer of Deribit"):
        read(result, Placed)


def test_an_instrument_may_lack_what_its_kind_has_not() -> None:
    instrument = read(
        {"instrument_name": "X", "kind": "future", "base_currency": "BTC", "quote_currency": "USD",
         "tick_size": Decimal("0.5"), "min_trade_amount": 10, "contract_size": 10},
        Instrument,
    )  # fmt: skip
    assert (instrument.strike, instrument.tick_size) == (None, Decimal("0.5"))


RIGHT: dict[str, Any] = {"instrument_name": "X", "amount": Decimal(1)}
HUGE = pytest.param(10**400, id="huge")


@pytest.mark.parametrize("name", ["amount", "price", "trigger_price"])
@pytest.mark.parametrize(
    "value",
    [
        "1", True, b"1", [1], math.nan, math.inf, HUGE, Decimal("NaN"), Decimal("sNaN"), Decimal("Infinity"),
        Decimal("1e999999"), Decimal("1e-999999"), Decimal("1." + "1" * 100),
    ],
)  # fmt: skip
def test_what_is_no_price_or_amount_is_refused(name: str, value: Any) -> None:
    with pytest.raises(InvalidSetting) as caught:
        OrderRequest(**RIGHT | {name: value})
    assert caught.value.name == name
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("amount", [0, -1, Decimal(0), Decimal("-0.1"), -0.5, None])
def test_an_amount_is_above_zero(amount: Any) -> None:
    with pytest.raises(InvalidSetting, match=r"amount: .* expected a number above 0"):
        OrderRequest(**RIGHT | {"amount": amount})


@pytest.mark.parametrize("price", [Decimal("-12.5"), 0, 67000, 0.5, Decimal("1E+5"), Decimal("1e-9")])
def test_a_price_may_be_any_number_of_its_size(price: Any) -> None:
    assert OrderRequest(**RIGHT, price=price).params()["price"] is not None


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("instrument_name", ["", None, 5, b"X", ["X"]]),
        ("type", ["", "LIMIT", None, 5, ["limit"]]),
        ("label", ["", 5, "x" * 65]),
        ("time_in_force", ["", "forever", 5, []]),
        ("post_only", [1, "yes", 0]),
        ("reject_post_only", [1, "yes", 0]),
        ("reduce_only", [1, "yes", 0]),
        ("trigger", ["", "last", 5, []]),
        ("valid_until", [0, -1, 1.5, "5", True, HUGE.values[0]]),
    ],
)
def test_an_order_that_cannot_be_is_refused_by_name(name: str, values: list[Any]) -> None:
    for value in values:
        with pytest.raises(InvalidSetting) as caught:
            OrderRequest(**RIGHT | {name: value})
        assert caught.value.name == name


def test_an_order_takes_the_words_of_the_documents_too() -> None:
    words = {"type": "market", "time_in_force": "good_til_day", "trigger": "mark_price"}
    order = OrderRequest(**RIGHT | words)
    assert as_json(order.params()) == (
        '{"instrument_name":"X","amount":1,"type":"market","time_in_force":"good_til_day","trigger":"mark_price"}'
    )


@pytest.mark.parametrize(
    "result",
    [
        {"order": ORDER | {"price": "NaN"}}, {"order": ORDER | {"price": "Infinity"}},
        {"order": ORDER | {"amount": "ten"}}, {"order": ORDER | {"amount": True}}, {"order": [ORDER]},
        {"order": ORDER | {"label": 5}},
        {"order": ORDER | {"creation_timestamp": Decimal("1e999999999")}},
        {"order": ORDER, "trades": [None]}, {"order": ORDER, "trades": "none"},
    ],
)  # fmt: skip
def test_a_result_that_cannot_be_is_named(result: object) -> None:
    with pytest.raises(MalformedMessage, match="answer of Deribit"):
        read(result, Placed)


def test_what_was_wrong_with_a_result_is_told_and_not_shown() -> None:
    with pytest.raises(MalformedMessage, match=r"Invalid enum value … - at `\$\.order\.direction`") as caught:
        read({"order": ORDER | {"direction": "s3cr'et"}}, Placed)
    assert caught.value.__context__ is None


def test_a_result_that_is_nested_without_end_is_named() -> None:
    result: object = []
    for _ in range(100_000):
        result = [result]
    with pytest.raises(MalformedMessage, match="nested too deeply"):
        read(result, Placed)


def test_a_number_of_any_size_stays_exact() -> None:
    ticker = read({"instrument_name": "X", "timestamp": 1, "last_price": Decimal("1e999999999")}, Ticker)
    assert ticker.last_price == Decimal("1e999999999")
