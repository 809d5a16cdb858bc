"""Whatever is asked for in whatever order, the set is what plain sets would be."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedmux.sim.alpaca_subscriptions import CHANNELS, Subscriptions

pytestmark = pytest.mark.law

symbols = st.sampled_from(["A", "B", "C", "*"])
changes = st.dictionaries(st.sampled_from(CHANNELS), st.lists(symbols, max_size=4))
steps = st.lists(st.tuples(st.booleans(), changes, st.one_of(st.none(), st.integers(0, 6))), max_size=20)


@given(steps)
def test_adding_and_taking_is_adding_to_and_taking_from_sets(
    steps: list[tuple[bool, dict[str, list[str]], int | None]],
) -> None:
    subscriptions = Subscriptions()
    model: dict[str, set[str]] = {channel: set() for channel in CHANNELS}
    for adds, change, most in steps:
        if adds:
            after = {channel: known | set(change.get(channel, [])) for channel, known in model.items()}
            counted = len(after["trades"]) + len(after["quotes"])
            fits = most is None or (counted <= most and "*" not in after["trades"] | after["quotes"])
            assert subscriptions.add(change, most) is fits
            model = after if fits else model
        else:
            gone = set(subscriptions.remove(change))
            wanted = {(channel, symbol) for channel, known in change.items() for symbol in known}
            assert gone == {(channel, symbol) for channel, symbol in wanted if symbol in model[channel]}
            for channel, symbol in gone:
                model[channel].discard(symbol)
        listed = subscriptions.listed()
        assert {channel: set(listed[channel]) for channel in CHANNELS} == model
        assert all(len(known) == len(set(known)) for known in listed.values())
        assert listed["corrections"] == listed["cancelErrors"] == listed["trades"]
