"""What a simulated Alpaca can be told, and what it refuses to be told."""

from __future__ import annotations

import pytest

from feedmux.model.errors import InvalidSetting
from feedmux.sim.alpaca_options import Account, AlpacaOptions


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("rate", -1.0),
        ("quote_rate", -1.0),
        ("status_rate", -1.0),
        ("candle_speed", 0.0),
        ("symbols", ("aapl",)),
        ("entitled", ("iex", "otc")),
        ("auth_deadline_s", 0.0),
        ("connection_limit", 0),
        ("linger_s", -0.1),
        ("symbol_limit", 0),
        ("late_s", -0.1),
        ("batch", 0),
        ("backlog_bytes", 0),
        ("accounts", (Account("a", ""),)),
        ("accounts", (Account("a", "x"), Account("a", "y"))),
    ],
)
def test_a_setting_that_cannot_work_is_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(InvalidSetting, match=name):
        AlpacaOptions(**{name: value})  # type: ignore[arg-type]


def test_secrets_are_not_printed() -> None:
    options = AlpacaOptions(accounts=(Account("me", "hunter2"),))
    assert "me" in repr(options)
    assert "hunter2" not in repr(options)


def test_the_test_feed_trades_its_own_symbol_and_only_iex_is_limited() -> None:
    options = AlpacaOptions(symbols=("IBM",), symbol_limit=7)
    assert [options.traded(feed) for feed in ("iex", "sip", "test")] == [("IBM",), ("IBM",), ("FAKEPACA",)]
    assert [options.most_symbols(feed) for feed in ("iex", "sip", "test")] == [7, None, None]
