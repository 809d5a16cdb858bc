from __future__ import annotations

import pytest

from feedmux.model.options import DEFAULTS, RATES, Options, served_rate
from feedmux.model.topic import Mode


@pytest.mark.parametrize(
    ("mode", "by_default", "when_true", "when_false"),
    [
        (Mode.MERGE, True, True, False),
        (Mode.CANDLE, True, True, False),
        (Mode.DISTINCT, False, True, False),
        (Mode.RAW, False, True, False),
        (Mode.BOOK, False, False, False),
    ],
)
def test_what_is_replaced_follows_the_mode_and_then_the_wish(
    mode: Mode, by_default: bool, when_true: bool, when_false: bool
) -> None:
    assert DEFAULTS.conflates(mode) is by_default
    assert Options(conflate=True).conflates(mode) is when_true
    assert Options(conflate=False).conflates(mode) is when_false


@pytest.mark.parametrize(
    ("asked", "served"),
    [(0.1, 0.1), (0.19, 0.1), (0.2, 0.2), (0.99, 0.5), (1, 1), (1.5, 1), (7, 5), (59.9, 50), (999, 500)],
)
def test_a_rate_is_served_by_the_step_at_or_below_it(asked: float, served: float) -> None:
    assert served_rate(asked) == served


@pytest.mark.parametrize("rate", RATES)
def test_every_step_serves_itself(rate: float) -> None:
    assert served_rate(rate) == rate


def test_equal_wishes_are_one_whatever_the_order_of_their_fields() -> None:
    assert Options(rate=1, fields=frozenset("ab")) == Options(rate=1.0, fields=frozenset("ba"))
    assert Options() == DEFAULTS
