"""Numbers as the venue prints them."""

from __future__ import annotations

from decimal import Decimal

import pytest

from feedmux.sim.deribit_json import encode, number, optional, real


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("0", "0.0"),
        ("10", "10.0"),
        ("83024.5", "83024.5"),
        ("1054", "1054.0"),
        ("2200", "2.2e3"),
        ("10000", "1.0e4"),
        ("0.0033", "0.0033"),
        ("0.0001423", "1.423e-4"),
        ("-2200", "-2.2e3"),
        ("-0.5", "-0.5"),
        ("1E+9", "1.0e9"),
        ("0.00005149", "5.149e-5"),
    ],
)
def test_a_number_is_printed_in_the_shorter_form(value: str, text: str) -> None:
    assert encode(number(Decimal(value))) == text.encode()


def test_what_is_not_there_is_null() -> None:
    assert encode([optional(None), optional(Decimal(1))]) == b"[null,1.0]"


def test_what_was_computed_is_rounded() -> None:
    assert encode(real(1 / 3, 5)) == b"0.33333"
