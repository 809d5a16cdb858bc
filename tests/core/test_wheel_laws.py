from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from feedmux.core.wheel import Wheel
from support.examples import EXAMPLES

TICK = 0.125  # a power of two, so that sums of ticks are exact


@given(
    slots=st.integers(1, 9),
    steps=st.lists(st.tuples(st.integers(0, 30), st.integers(0, 60)), min_size=1, max_size=30),
)
@settings(max_examples=EXAMPLES, deadline=None)
def test_nothing_is_ever_early_lost_or_more_than_a_tick_late(
    slots: int, steps: list[tuple[int, int]]
) -> None:
    """Times are in sixteenths of a second, half a tick; each step waits, turns, and adds an item."""
    now = 1000
    wheel: Wheel[int] = Wheel(TICK, slots, now / 16)
    due: dict[int, int] = {}
    for number, (wait, delay) in enumerate([*steps, (100, 0)]):
        now += wait
        for item in wheel.advance(now / 16):
            assert due.pop(item) <= now
        assert all(at > now - 2 for at in due.values())
        assert len(wheel) == len(due)
        due[number] = now + delay
        wheel.add(number, due[number] / 16)
