from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from feedmux.sim.histogram import Histogram, bucket_of, value_of

TIMES = st.integers(0, 2**63 - 1)


def of(values: list[int]) -> Histogram:
    counts: dict[int, int] = {}
    for value in values:
        counts[bucket_of(value)] = counts.get(bucket_of(value), 0) + 1
    return Histogram(counts, max(values, default=0))


@given(TIMES)
def test_a_value_comes_back_to_eight_per_mille(value: int) -> None:
    assert abs(value_of(bucket_of(value)) - value) <= value * 0.008


@given(TIMES, TIMES)
def test_a_greater_value_is_in_no_lower_bucket(one: int, other: int) -> None:
    assert (bucket_of(one) <= bucket_of(other)) >= (one <= other)


@given(st.lists(st.lists(TIMES)))
def test_parts_together_are_the_whole(parts: list[list[int]]) -> None:
    assert Histogram.merged(map(of, parts)) == of([value for part in parts for value in part])


@given(st.lists(TIMES, min_size=1), st.floats(0.001, 1))
def test_a_percentile_is_the_value_at_its_place(values: list[int], share: float) -> None:
    place = max(1, int(share * len(values) + 0.5))
    expected = sorted(values)[place - 1]
    found = of(values).percentile(share)
    assert found is not None
    assert abs(found - expected) <= expected * 0.008
