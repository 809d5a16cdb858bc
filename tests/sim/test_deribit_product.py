"""Names, steps and units of instruments."""

from __future__ import annotations

from decimal import Decimal

import pytest

from feedmux.sim.deribit_json import encode
from feedmux.sim.deribit_product import is_product, product


@pytest.mark.parametrize(
    ("name", "kind", "currency", "lot", "index"),
    [
        ("BTC-PERPETUAL", "future", "BTC", "10", "btc_usd"),
        ("ETH-PERPETUAL", "future", "ETH", "1", "eth_usd"),
        ("BTC_USDC-PERPETUAL", "future", "USDC", "0.001", "btc_usdc"),
        ("BTC-28DEC29", "future", "BTC", "10", "btc_usd"),
        ("BTC-28DEC29-80000-C", "option", "BTC", "0.1", "btc_usd"),
        ("ETH-3JAN30-2500-P", "option", "ETH", "1", "eth_usd"),
        ("SOL-PERPETUAL", "future", "SOL", "1", "sol_usd"),
        ("SOL_USDC-PERPETUAL", "future", "USDC", "0.1", "sol_usdc"),
    ],
)
def test_a_name_says_what_it_is(name: str, kind: str, currency: str, lot: str, index: str) -> None:
    made = product(name, seed=1)
    assert (made.name, made.kind, made.currency, made.index_name) == (name, kind, currency, index)
    assert made.lot == Decimal(lot)
    assert made.is_option == (kind == "option")
    assert made.is_perpetual == name.endswith("PERPETUAL")


@pytest.mark.parametrize(
    "name",
    [
        "",
        "BTC",
        "BTC-",
        "btc-PERPETUAL",
        "BTC-31FEB29",
        "BTC-28DEZ29",
        "BTC-PERPETUAL-C",
        "BTC_USDC-28DEC29-1-C",
    ],
)
def test_other_names_are_none(name: str) -> None:
    assert not is_product(name)


def test_it_ends_at_eight_in_the_morning() -> None:
    assert product("BTC-28DEC29", 1).expiry_ms == 1_893_139_200_000
    assert product("BTC-PERPETUAL", 1).expiry_ms is None


@pytest.mark.parametrize(
    ("name", "amount", "price", "worth", "volume"),
    [
        ("BTC-PERPETUAL", 1000, 50_000, "0.02", ("0.02", "1000")),
        ("BTC_USDC-PERPETUAL", 2, 50_000, "100000", ("2", "100000")),
        ("BTC-28DEC29-80000-C", 2, "0.05", "0.1", ("2", "0.1")),
    ],
)
def test_an_amount_has_the_instruments_unit(
    name: str, amount: int, price: object, worth: str, volume: tuple[str, str]
) -> None:
    made, cost = product(name, 1), Decimal(str(price))
    assert made.worth(Decimal(amount), cost) == Decimal(worth)
    assert made.volume(Decimal(amount), cost) == tuple(map(Decimal, volume))


def test_a_listing_says_what_clients_look_for() -> None:
    listed = product("BTC-28DEC29-80000-C", 1).listing(7)
    assert encode(listed["strike"]) == b"8.0e4"
    assert (listed["option_type"], listed["instrument_type"], listed["instrument_id"]) == (
        "call",
        "reversed",
        7,
    )
    assert product("BTC-PERPETUAL", 1).listing(1)["expiration_timestamp"] == 32_503_708_800_000
    assert "strike" not in product("BTC-28DEC29", 1).listing(1)
