from __future__ import annotations

import pytest

from feedmux.core.throttle import Throttle


@pytest.fixture
def throttle() -> Throttle[str]:
    """Four values a second."""
    return Throttle(4)


def test_the_first_value_goes_at_once_and_the_newest_waits_for_the_interval(throttle: Throttle[str]) -> None:
    assert throttle.offer("a", 10.0)
    assert throttle.held is None
    assert not throttle.offer("b", 10.0)
    assert not throttle.offer("c", 10.2)
    assert throttle.held == "c"
    assert throttle.wait_s(10.2) == pytest.approx(0.05)
    assert throttle.due(10.2) is None
    assert throttle.due(10.25) == "c"
    assert throttle.held is None
    assert throttle.due(11.0) is None


def test_after_a_quiet_interval_a_value_goes_at_once(throttle: Throttle[str]) -> None:
    throttle.offer("a", 10.0)
    assert throttle.wait_s(20.0) == 0.0
    assert throttle.offer("b", 20.0)
    assert not throttle.offer("c", 20.2)


def test_an_interval_begins_when_something_goes_and_not_when_it_was_due(throttle: Throttle[str]) -> None:
    throttle.offer("a", 10.0)
    throttle.offer("b", 10.1)
    assert throttle.due(10.4) == "b"
    assert not throttle.offer("c", 10.5)
    assert throttle.wait_s(10.5) == pytest.approx(0.15)


def test_a_value_that_comes_when_another_should_have_gone_replaces_it(throttle: Throttle[str]) -> None:
    throttle.offer("a", 10.0)
    throttle.offer("b", 10.1)
    assert throttle.offer("c", 10.3)
    assert throttle.held is None
    assert throttle.due(11.0) is None


def test_what_is_let_out_ahead_of_its_time_is_gone_and_the_next_rests(throttle: Throttle[str]) -> None:
    assert throttle.release(10.0) is None
    throttle.offer("a", 10.0)
    throttle.offer("b", 10.1)
    assert throttle.release(10.2) == "b"
    assert throttle.held is None
    assert not throttle.offer("c", 10.4)
    assert throttle.due(10.45) == "c"


def test_letting_out_nothing_costs_nothing(throttle: Throttle[str]) -> None:
    throttle.release(10.0)
    assert throttle.offer("a", 10.0)


def test_after_what_went_unasked_the_next_rests(throttle: Throttle[str]) -> None:
    throttle.spend(10.0)
    assert not throttle.offer("a", 10.2)
    assert throttle.due(10.25) == "a"
