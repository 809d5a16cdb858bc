from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from feedmux.core.sequence import Epochs
from support.examples import EXAMPLES

MILLISECOND = 1_000_000


@given(times=st.lists(st.integers(0, 2**62), min_size=2))
@settings(max_examples=EXAMPLES, deadline=None)
def test_epochs_only_rise_whatever_the_clock_says(times: list[int]) -> None:
    epochs = Epochs()
    begun = [epochs.begin(time_ns) for time_ns in times]
    assert begun == sorted(set(begun))
    assert all(epoch >= time_ns // MILLISECOND for epoch, time_ns in zip(begun, times, strict=True))
