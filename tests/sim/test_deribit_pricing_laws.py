"""What options are worth."""

from __future__ import annotations

from math import isclose

from hypothesis import given, settings
from hypothesis import strategies as st

from feedmux.sim.deribit_pricing import worth
from support.examples import EXAMPLES

prices = st.floats(10, 500_000)
years = st.floats(0.001, 5)
volatilities = st.floats(0.1, 2)


@settings(max_examples=EXAMPLES, deadline=None)
@given(prices, prices, years, volatilities)
def test_a_call_less_a_put_is_the_index_less_the_strike(
    index: float, strike: float, left: float, volatility: float
) -> None:
    call = worth(index, strike, years=left, volatility=volatility, call=True)
    put = worth(index, strike, years=left, volatility=volatility, call=False)
    assert isclose(call.price - put.price, index - strike, rel_tol=1e-6, abs_tol=1e-6 * (index + strike))
    assert isclose(call.delta - put.delta, 1, abs_tol=1e-9)
    assert call.gamma == put.gamma
    assert call.vega == put.vega


@settings(max_examples=EXAMPLES, deadline=None)
@given(prices, prices, years, volatilities)
def test_a_call_costs_no_more_than_the_coin_and_no_less_than_nothing(
    index: float, strike: float, left: float, volatility: float
) -> None:
    call = worth(index, strike, years=left, volatility=volatility, call=True)
    assert 0 <= call.price <= index * (1 + 1e-9)
    assert 0 <= call.delta <= 1
    assert call.theta <= 0 <= call.gamma
