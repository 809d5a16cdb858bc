from __future__ import annotations

from typing import Any

import pytest

from feedmux.core.percentiles import Samples, Summary, percentile
from feedmux.model.errors import InvalidSetting


def test_nothing_recorded_has_no_summary() -> None:
    assert Samples().summary() is None
    assert len(Samples()) == 0


def test_one_sample_is_all_percentiles() -> None:
    samples = Samples()
    samples.record(7.5)
    assert samples.summary() == Summary(p50=7.5, p99=7.5, last=7.5, count=1)


def test_a_hundred_samples_are_told_apart_exactly() -> None:
    samples = Samples()
    for value in range(100, 0, -1):
        samples.record(value)
    # Indices round(49.5) = 50 and round(98.01) = 98 of 1, 2, ... 100.
    assert samples.summary() == Summary(p50=51, p99=99, last=1, count=100)


def test_the_oldest_sample_makes_room() -> None:
    samples = Samples(3)
    for value in (1000.0, 1.0, 2.0, 3.0):
        samples.record(value)
    assert samples.summary() == Summary(p50=2.0, p99=3.0, last=3.0, count=3)


@pytest.mark.parametrize(
    ("count", "percent", "index"), [(2, 50, 1), (2, 49, 0), (3, 25, 1), (3, 24, 0), (5, 0, 0), (5, 100, 4)]
)
def test_halves_are_rounded_up(count: int, percent: int, index: int) -> None:
    assert percentile(range(count), percent) == index


@pytest.mark.parametrize("size", [0, -1, 1.5, "5", True, None, [5], 1_000_001])
def test_a_ring_without_room_is_refused(size: Any) -> None:
    with pytest.raises(InvalidSetting, match=r"size: .* a whole number of samples from 1 to a million"):
        Samples(size)
