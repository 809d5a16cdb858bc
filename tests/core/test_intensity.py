from __future__ import annotations

import math

import pytest

from feedmux.core.intensity import Intensity
from feedmux.model.errors import InvalidSetting


def test_ten_in_a_minute_are_tolerated_and_the_eleventh_is_not() -> None:
    intensity = Intensity()
    assert [intensity.exceeds(float(second)) for second in range(10)] == [False] * 10
    assert intensity.exceeds(59.9)


def test_what_happened_a_whole_window_ago_is_forgotten() -> None:
    intensity = Intensity(limit=2, within_s=60.0)
    assert not intensity.exceeds(0.0)
    assert not intensity.exceeds(30.0)
    assert intensity.recent(59.999) == 2
    assert intensity.exceeds(59.999)
    assert intensity.recent(60.0) == 1
    assert not intensity.exceeds(60.0)
    assert intensity.exceeds(89.999)


def test_what_was_too_much_does_not_count_for_what_follows() -> None:
    intensity = Intensity(limit=1, within_s=10.0)
    assert not intensity.exceeds(0.0)
    assert all(intensity.exceeds(9.0) for _ in range(5))
    assert not intensity.exceeds(10.0)


def test_a_limit_of_none_tolerates_nothing() -> None:
    assert Intensity(limit=0).exceeds(0.0)


@pytest.mark.parametrize(
    ("limit", "within_s", "name"),
    [
        (-1, 60.0, "limit"),
        (1, 0.0, "within_s"),
        (1, -1.0, "within_s"),
        (1, math.inf, "within_s"),
        (1, math.nan, "within_s"),
        ("1", 60.0, "limit"),
        (1.5, 60.0, "limit"),
        (True, 60.0, "limit"),
        (1, "60", "within_s"),
        (1, 10**400, "within_s"),
    ],
)
def test_what_cannot_work_is_refused(limit: int, within_s: float, name: str) -> None:
    with pytest.raises(InvalidSetting) as caught:
        Intensity(limit, within_s)
    assert caught.value.name == name


def test_it_shows_how_much_there_is() -> None:
    intensity = Intensity(3, 5.0)
    intensity.exceeds(0.0)
    assert repr(intensity) == "<Intensity 1 of 3 within 5 s>"
