"""What a simulator can be told, and what it refuses to be told."""

from __future__ import annotations

import pytest

from feedmux.model.errors import InvalidSetting
from feedmux.sim.options import SimOptions, is_symbol


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("rate", 0.0),
        ("kline_rate", -1.0),
        ("trade_rate", -1.0),
        ("candle_speed", 0.0),
        ("ack_delay_s", -0.1),
        ("garbage_every", -1),
        ("idle_cut_s", 0.0),
        ("reset_after_s", -5.0),
        ("symbols", ("btcusdt",)),
    ],
)
def test_a_setting_that_cannot_work_is_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(InvalidSetting, match=name):
        SimOptions(**{name: value})  # type: ignore[arg-type]


def test_inverse_trades_what_linear_trades_against_the_dollar() -> None:
    options = SimOptions(symbols=("BTCUSDT", "BTCPERP"))
    assert options.traded("inverse") == {"BTCUSD"}
    assert options.traded("linear") == options.traded("spot") == {"BTCUSDT", "BTCPERP"}


@pytest.mark.parametrize(
    ("told", "linear", "spot"), [(None, True, False), (True, True, True), (False, False, False)]
)
def test_the_order_of_data_and_acknowledgement_is_the_markets_unless_told(
    told: bool | None, linear: bool, spot: bool
) -> None:
    options = SimOptions(data_before_ack=told)
    assert (options.acks_last("linear"), options.acks_last("spot")) == (linear, spot)


@pytest.mark.parametrize("text", ["BTCUSDT", "1000PEPEUSDT", "BTC-26JUN26", "BTCPERP"])
def test_a_symbol_is_upper_case(text: str) -> None:
    assert is_symbol(text)


@pytest.mark.parametrize("text", ["btcusdt", "BTC USDT", "", "-BTC", "BTC.USDT", "B" * 31])
def test_what_no_venue_would_list_is_no_symbol(text: str) -> None:
    assert not is_symbol(text)
