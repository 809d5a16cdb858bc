from __future__ import annotations

import hashlib
import hmac
from decimal import Decimal

import msgspec
import pytest

from feedmux.model.errors import MalformedMessage
from feedmux.venue.deribit_requests import (
    Credentials,
    Instrument,
    Order,
    OrderRequest,
    OrderType,
    Placed,
    TimeInForce,
    Tokens,
    authentication,
    read,
    renewal,
)

KEY = Credentials("me", "s3cret", scope="session:desk")


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


def test_a_signature_is_that_of_the_documents() -> None:
    params = authentication(KEY, 1_576_074_319_000, "1iqt2wls")
    expected = hmac.new(b"s3cret", b"1576074319000\n1iqt2wls\n", hashlib.sha256).hexdigest()
    assert params["signature"] == expected
    assert (params["grant_type"], params["data"], params["scope"]) == ("client_signature", "", "session:desk")
    assert "s3cret" not in as_json(params)


def test_a_secret_is_sent_only_where_that_is_wanted() -> None:
    params = authentication(msgspec.structs.replace(KEY, signs=False, scope=""), 0, "")
    assert params == {"grant_type": "client_credentials", "client_id": "me", "client_secret": "s3cret"}


def test_secrets_never_show() -> None:
    tokens = Tokens("access-1", "refresh-1", 900, "connection")
    assert repr(tokens) == "Tokens(***, expires_in=900, scope='connection')"
    assert repr(KEY) == "Credentials('me', ***)"
    assert renewal(tokens) == {"grant_type": "refresh_token", "refresh_token": "refresh-1"}


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
