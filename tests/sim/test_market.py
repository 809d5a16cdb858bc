"""Single facts about the random market; its laws are in test_market_laws.py."""

from __future__ import annotations

from decimal import Decimal

import pytest

from feedmux.sim.market import contract, direction, instrument, trimmed

NOW_MS = 1_790_757_082_283
HOURS_8_MS = 8 * 3_600_000


@pytest.mark.parametrize(
    ("price", "before", "last", "expected"),
    [
        ("2", "1", "MinusTick", "PlusTick"),
        ("1", "2", "PlusTick", "MinusTick"),
        ("1", "1", "PlusTick", "ZeroPlusTick"),
        ("1", "1", "ZeroPlusTick", "ZeroPlusTick"),
        ("1", "1", "MinusTick", "ZeroMinusTick"),
        ("1.0", "1.00", "ZeroMinusTick", "ZeroMinusTick"),
    ],
)
def test_a_tick_direction_compares_with_the_trade_before(
    price: str, before: str, last: str, expected: str
) -> None:
    assert direction(Decimal(price), Decimal(before), last) == expected


@pytest.mark.parametrize(
    ("number", "text"),
    [("77140.50", "77140.5"), ("20575.00", "20575"), ("100", "100"), ("-0.0000", "0"), ("1E-7", "0.0000001")],
)
def test_a_trimmed_number_keeps_its_value_without_trailing_zeros(number: str, text: str) -> None:
    assert trimmed(Decimal(number)) == text


def test_another_seed_makes_another_contract_of_an_unknown_coin() -> None:
    assert contract("linear", "NEWUSDT", 1) == contract("linear", "NEWUSDT", 1)
    assert contract("linear", "NEWUSDT", 1) != contract("linear", "NEWUSDT", 2)


def test_a_well_known_coin_trades_near_its_real_price_in_its_real_steps() -> None:
    made = contract("linear", "BTCUSDT", 7)
    assert (made.price, made.tick, made.lot) == (Decimal("83024.60"), Decimal("0.10"), Decimal("0.001"))


def test_the_next_funding_moves_on_when_its_time_has_come() -> None:
    traded = instrument("linear", "BTCUSDT", 1, NOW_MS)
    due = int(traded.fields["nextFundingTime"])
    assert due % HOURS_8_MS == 0
    assert NOW_MS < due <= NOW_MS + HOURS_8_MS
    assert "nextFundingTime" not in traded.step(due - 1)
    assert traded.step(due)["nextFundingTime"] == str(due + HOURS_8_MS)
