from __future__ import annotations

import math
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from feedmux.core.percentiles import Samples, percentile
from support.examples import EXAMPLES

VALUES = st.lists(st.floats(0, 1e6), min_size=1, max_size=30)


@given(values=VALUES, percent=st.integers(0, 100))
@settings(max_examples=EXAMPLES, deadline=None)
def test_a_percentile_is_the_sample_at_the_rounded_index(values: list[float], percent: int) -> None:
    ordered = sorted(values)
    index = math.floor(Fraction(percent, 100) * (len(values) - 1) + Fraction(1, 2))
    assert percentile(ordered, percent) == ordered[index]


@given(values=VALUES, size=st.integers(1, 10))
@settings(max_examples=EXAMPLES, deadline=None)
def test_only_the_latest_samples_count(values: list[float], size: int) -> None:
    samples = Samples(size)
    for value in values:
        samples.record(value)
    latest = values[-size:]
    summary = samples.summary()
    assert summary is not None
    assert summary.count == len(samples) == len(latest)
    assert summary.last == values[-1]
    assert (summary.p50, summary.p99) == (percentile(sorted(latest), 50), percentile(sorted(latest), 99))
    assert min(latest) <= summary.p50 <= summary.p99 <= max(latest)
