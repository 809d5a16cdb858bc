from __future__ import annotations

import pytest

from feedmux.sim.histogram import STEPS, Histogram, bucket_of, value_of


def of(*values: int) -> Histogram:
    counts: dict[int, int] = {}
    for value in values:
        counts[bucket_of(value)] = counts.get(bucket_of(value), 0) + 1
    return Histogram(counts, max(values, default=0))


@pytest.mark.parametrize("value", [0, 1, 127, 128, 129, 255, 256, 1000, 10**6, 123_456_789, 2**40, 2**62 + 1])
def test_a_value_is_known_to_eight_per_mille(value: int) -> None:
    assert abs(value_of(bucket_of(value)) - value) <= value * 0.008


def test_below_128_values_are_exact_and_buckets_follow_each_other_without_a_hole() -> None:
    assert [value_of(bucket_of(value)) for value in range(STEPS)] == list(range(STEPS))
    assert sorted({bucket_of(value) for value in range(5000)}) == list(range(bucket_of(4999) + 1))


def test_percentiles_are_those_of_the_values() -> None:
    values = of(*range(1000, 101_000, 1000))
    for share, expected in ((0.5, 50_000), (0.9, 90_000), (0.99, 99_000)):
        found = values.percentile(share)
        assert found is not None
        assert abs(found - expected) <= expected * 0.008
    assert values.percentile(1.0) == 100_000


def test_no_percentile_is_above_the_largest_value() -> None:
    assert of(1001).percentile(0.5) == 1001 or value_of(bucket_of(1001)) < 1001
    assert of(130_000, 130_001).percentile(0.999) in (value_of(bucket_of(130_001)), 130_001)


def test_merged_is_the_same_as_counted_together() -> None:
    parts = [of(5, 900, 70_000), of(5, 5), of()]
    assert Histogram.merged(parts) == of(5, 900, 70_000, 5, 5)
    assert Histogram.merged(parts).count == 5


def test_nothing_has_no_percentile() -> None:
    assert Histogram({}).percentile(0.5) is None
