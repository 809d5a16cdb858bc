from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feedmux.core.allowance import DERIBIT_MATCHING, binance, binance_api, bybit, deribit
from feedmux.core.budget import Budget
from feedmux.model.errors import InvalidSetting
from support.examples import EXAMPLES

METHODS = (
    st.sampled_from(
        ["order.create", "order.create-batch", "order.", "public/subscribe", *sorted(DERIBIT_MATCHING)]
    )
    | st.text()
    | st.text().map("order.".__add__)
)


@pytest.mark.parametrize("make", [deribit, bybit, binance, binance_api])
@given(method=METHODS)
@settings(max_examples=EXAMPLES, deadline=None)
def test_every_method_can_go_when_nothing_went_before(make: Callable[[], Budget], method: str) -> None:
    """Only Bybit's batches have no price, because they count by the orders in them."""
    try:
        assert make().take(0.0, method) == 0.0
    except InvalidSetting:
        assert make is bybit
        assert method.startswith("order.")
