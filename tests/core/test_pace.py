from __future__ import annotations

import pytest

from feedmux.core.pace import Pace


@pytest.fixture
def pace() -> Pace[str]:
    """Four values a second."""
    return Pace(4)


def test_the_first_value_goes_at_once_and_the_newest_waits_for_the_interval(pace: Pace[str]) -> None:
    assert pace.offer("a", 10.0)
    assert pace.held is None
    assert not pace.offer("b", 10.0)
    assert not pace.offer("c", 10.2)
    assert pace.held == "c"
    assert pace.wait_s(10.2) == pytest.approx(0.05)
    assert pace.due(10.2) is None
    assert pace.due(10.25) == "c"
    assert pace.held is None
    assert pace.due(11.0) is None


def test_after_a_quiet_interval_a_value_goes_at_once(pace: Pace[str]) -> None:
    pace.offer("a", 10.0)
    assert pace.wait_s(20.0) == 0.0
    assert pace.offer("b", 20.0)
    assert not pace.offer("c", 20.2)


def test_an_interval_begins_when_something_goes_and_not_when_it_was_due(pace: Pace[str]) -> None:
    pace.offer("a", 10.0)
    pace.offer("b", 10.1)
    assert pace.due(10.4) == "b"
    assert not pace.offer("c", 10.5)
    assert pace.wait_s(10.5) == pytest.approx(0.15)


def test_a_value_that_comes_when_another_should_have_gone_replaces_it(pace: Pace[str]) -> None:
    pace.offer("a", 10.0)
    pace.offer("b", 10.1)
    assert pace.offer("c", 10.3)
    assert pace.held is None
    assert pace.due(11.0) is None


def test_what_is_let_out_ahead_of_its_time_is_gone_and_the_next_rests(pace: Pace[str]) -> None:
    assert pace.release(10.0) is None
    pace.offer("a", 10.0)
    pace.offer("b", 10.1)
    assert pace.release(10.2) == "b"
    assert pace.held is None
    assert not pace.offer("c", 10.4)
    assert pace.due(10.45) == "c"


def test_letting_out_nothing_costs_nothing(pace: Pace[str]) -> None:
    pace.release(10.0)
    assert pace.offer("a", 10.0)


def test_after_what_went_unasked_the_next_rests(pace: Pace[str]) -> None:
    pace.spend(10.0)
    assert not pace.offer("a", 10.2)
    assert pace.due(10.25) == "a"
