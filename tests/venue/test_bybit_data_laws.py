"""Whatever a ticker holds is written, and percentages are the nearest."""

from __future__ import annotations

import json
from decimal import Decimal
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from feedmux.venue.bybit_data import CARRIED, percent, write_ticker
from support.examples import EXAMPLES


@settings(max_examples=EXAMPLES)
@given(st.dictionaries(st.sampled_from(sorted(CARRIED)), st.sampled_from(["1", "2.50", "-3"])))
def test_every_known_field_is_written_and_no_other(state: dict[str, str]) -> None:
    def leaves(value: object) -> int:
        return sum(map(leaves, value.values())) if isinstance(value, dict) else 1

    assert leaves(json.loads(write_ticker("X", state))) == len(state) + 1


@settings(max_examples=EXAMPLES)
@given(st.decimals(min_value=-1000, max_value=1000, places=8))
def test_a_percentage_is_never_farther_than_half_a_hundredth_and_halves_go_to_even(ratio: Decimal) -> None:
    text = percent(f"{ratio:f}")
    error = Fraction(text) - Fraction(ratio) * 100
    assert abs(error) <= Fraction(1, 200)
    assert abs(error) < Fraction(1, 200) or Fraction(text) * 100 % 2 == 0
    assert text != "-0.00"
    assert len(text.partition(".")[2]) == 2
