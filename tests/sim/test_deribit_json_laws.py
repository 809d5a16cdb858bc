"""A printed number is the number."""

from __future__ import annotations

import json
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from feedmux.sim.deribit_json import encode, number
from support.examples import EXAMPLES


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.decimals(min_value=-(10**12), max_value=10**12, places=8))
def test_it_reads_back_as_what_it_was(value: Decimal) -> None:
    text = encode(number(value)).decode()
    assert Decimal(text) == value
    assert isinstance(json.loads(text), float)
