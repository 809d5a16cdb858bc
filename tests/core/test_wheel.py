from __future__ import annotations

import pytest

from feedmux.core.wheel import Wheel

TICK = 0.125  # a power of two, so that sums of ticks are exact


@pytest.fixture
def wheel() -> Wheel[str]:
    return Wheel(TICK, slots=8, now=100.0)


def test_an_item_comes_up_when_it_is_due_and_only_once(wheel: Wheel[str]) -> None:
    wheel.add("ping", 100.5)
    assert wheel.advance(100.375) == []
    assert wheel.advance(100.5) == ["ping"]
    assert wheel.advance(102.0) == []


def test_a_time_between_ticks_is_rounded_up(wheel: Wheel[str]) -> None:
    wheel.add("ping", 100.501)
    assert wheel.advance(100.624) == []
    assert wheel.advance(100.625) == ["ping"]


def test_what_is_due_already_comes_up_with_the_next_tick(wheel: Wheel[str]) -> None:
    wheel.advance(100.0)
    wheel.add("late", 99.0)
    assert wheel.advance(100.0) == []
    assert wheel.advance(100.125) == ["late"]


def test_what_lies_beyond_one_turn_of_the_wheel_waits_for_its_own(wheel: Wheel[str]) -> None:
    wheel.add("far", 103.0)
    for tick in range(24):
        assert wheel.advance(100.0 + tick * TICK) == []
    assert wheel.advance(103.0) == ["far"]


def test_a_wheel_that_stood_still_for_turns_gives_all_that_fell_due(wheel: Wheel[str]) -> None:
    wheel.add("near", 100.25)
    wheel.add("far", 104.0)
    wheel.add("farther", 111.0)
    assert sorted(wheel.advance(110.0)) == ["far", "near"]
    assert wheel.advance(111.0) == ["farther"]


def test_an_item_that_is_added_after_a_standstill_is_not_early(wheel: Wheel[str]) -> None:
    wheel.add("ping", 105.0)  # at 104.0, when the wheel was last turned at 100.0
    assert wheel.advance(104.0) == []
    assert wheel.advance(105.0) == ["ping"]


def test_items_may_be_added_while_others_come_up(wheel: Wheel[str]) -> None:
    wheel.add("again", 100.25)
    for item in wheel.advance(100.25):
        wheel.add(item, 100.25)
    assert wheel.advance(100.25) == []
    assert wheel.advance(100.375) == ["again"]


def test_an_item_may_be_in_the_wheel_more_than_once(wheel: Wheel[str]) -> None:
    wheel.add("ping", 100.125)
    wheel.add("ping", 100.25)
    wheel.add("ping", 100.25)
    assert len(wheel) == 3
    assert wheel.advance(100.125) == ["ping"]
    assert wheel.advance(100.25) == ["ping", "ping"]
    assert len(wheel) == 0


def test_time_that_stands_still_or_seems_to_go_back_does_no_harm(wheel: Wheel[str]) -> None:
    wheel.advance(100.5)
    wheel.add("ping", 100.625)
    assert wheel.advance(100.0) == []
    assert wheel.advance(100.625) == ["ping"]
