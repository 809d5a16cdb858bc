from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from feedmux.core.ticker import TickerMerge, Unmerged
from support.examples import EXAMPLES

FIELDS = st.dictionaries(st.sampled_from("abcd"), st.sampled_from(["", "0", "1", "2.50"]))
PARTS = st.lists(
    st.tuples(st.sampled_from([False, False, False, True]), st.integers(0, 6), FIELDS), max_size=30
)


class Reference:
    """The law, as plainly as it can be said: replay everything since the last snapshot."""

    def __init__(self) -> None:
        self.since: list[tuple[int, dict[str, str]]] = []

    def apply(self, snapshot: bool, order: int, fields: dict[str, str]) -> dict[str, str] | Unmerged:
        if not snapshot and not self.since:
            return Unmerged.WAITING
        if not snapshot and order < self.since[-1][0]:
            self.since = []
            return Unmerged.DESYNC
        self.since = [(order, fields)] if snapshot else [*self.since, (order, fields)]
        whole: dict[str, str] = {}
        for _, part in self.since:
            whole = {**whole, **part}
        return {name: text for name, text in whole.items() if text != ""}


@settings(max_examples=EXAMPLES)
@given(PARTS)
def test_merging_any_sequence_equals_replaying_it(parts: list[tuple[bool, int, dict[str, str]]]) -> None:
    merge, reference = TickerMerge(), Reference()
    for part in parts:
        assert merge.apply(*part) == reference.apply(*part)


@settings(max_examples=EXAMPLES)
@given(PARTS)
def test_a_part_that_comes_twice_changes_nothing(parts: list[tuple[bool, int, dict[str, str]]]) -> None:
    once, twice = TickerMerge(), TickerMerge()
    for part in parts:
        first, again = once.apply(*part), (twice.apply(*part), twice.apply(*part))[-1]
        assert once.state == twice.state
        assert first == again or first is Unmerged.DESYNC  # its repetition finds an empty state: WAITING
