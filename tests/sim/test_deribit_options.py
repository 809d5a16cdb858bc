"""What a simulated Deribit can be told, and what it refuses to be told."""

from __future__ import annotations

import pytest

from feedmux.model.errors import InvalidSetting
from feedmux.sim.deribit_options import Account, DeribitOptions


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("rate", -1.0),
        ("candle_speed", 0.0),
        ("expires_in_s", 0.0),
        ("signature_window_s", -1.0),
        ("heartbeat_min_s", 0.0),
        ("heartbeat_grace_s", 0.0),
        ("heartbeat_speed", 0.0),
        ("idle_cut_s", 0.0),
        ("max_connections", 0),
        ("credits", 0.0),
        ("gap_every", -1),
        ("garbage_every", -1),
        ("answer_delay_s", -0.1),
        ("depth", 0),
        ("agg2_s", 0.0),
        ("backlog_bytes", 0),
        ("instruments", ("BTC",)),
        ("accounts", (Account("a", ""),)),
        ("accounts", (Account("a", "x"), Account("a", "y"))),
    ],
)
def test_a_setting_that_cannot_work_is_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(InvalidSetting, match=name):
        DeribitOptions(**{name: value})  # type: ignore[arg-type]


def test_secrets_are_not_printed() -> None:
    options = DeribitOptions(accounts=(Account("me", "hunter2"),))
    assert "me" in repr(options)
    assert "hunter2" not in repr(options)


def test_an_account_owns_something_of_each_currency() -> None:
    options = DeribitOptions(balances=(("BTC", 2.5),))
    assert (options.balance("BTC"), options.balance("SOL")) == (2.5, 1000.0)
