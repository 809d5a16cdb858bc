from __future__ import annotations

import pytest

from feedmux.core.breaker import Breaker, Circuit
from feedmux.model.errors import InvalidSetting


def test_failures_in_a_row_open_it_for_the_cooldown() -> None:
    breaker = Breaker(3, 60)
    for now in (1.0, 2.0):
        breaker.failed(now)
        assert breaker.wait_s(now) == 0
    breaker.failed(3.0)
    assert str(breaker.circuit) == "open"
    assert breaker.wait_s(3.0) == 60
    assert breaker.wait_s(62.5) == 0.5
    assert breaker.wait_s(63.0) == 0
    assert breaker.circuit is Circuit.HALF_OPEN


def test_half_open_one_failure_is_enough() -> None:
    breaker = Breaker(3, 60)
    for _ in range(3):
        breaker.failed(0.0)
    assert breaker.wait_s(60.0) == 0
    breaker.failed(61.0)
    assert breaker.wait_s(61.0) == 60


def test_success_closes_it_and_the_count_starts_anew() -> None:
    breaker = Breaker(2, 60)
    breaker.failed(0.0)
    breaker.succeeded()
    breaker.failed(1.0)
    assert breaker.circuit is Circuit.CLOSED
    breaker.failed(2.0)
    breaker.succeeded()
    assert (breaker.circuit, breaker.wait_s(3.0)) == (Circuit.CLOSED, 0)


def test_without_a_limit_it_never_opens() -> None:
    breaker = Breaker(0, 60)
    for now in range(1000):
        breaker.failed(float(now))
    assert breaker.wait_s(1000.0) == 0
    assert repr(breaker) == "<Breaker closed failures=1000>"


@pytest.mark.parametrize(
    ("limit", "cooldown_s"),
    [(-1, 60), (1, 0), (1, -1.0), (1, float("nan")), ("1", 60), (True, 60), (1, "60"), (1, 10**400)],
)
def test_what_cannot_work_is_refused(limit: int, cooldown_s: float) -> None:
    with pytest.raises(InvalidSetting):
        Breaker(limit, cooldown_s)
