from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from feedmux.core.closing import OLD, Closing
from support.examples import EXAMPLES

QUIET, CLEAR = -1, -2
EVENTS = st.lists(
    st.one_of(st.integers(1, 4), st.integers(1, 9), st.sampled_from([QUIET, CLEAR])), max_size=30
)


class Reference:
    """The law, as plainly as it can be said: look back at all that came since continuity began."""

    def __init__(self) -> None:
        self.since: list[tuple[int, str]] = []  # candles with their states, and silences

    def take(self, opened: int, state: str) -> object:
        last = max((candle for candle, _ in self.since), default=0)
        if opened < last:
            return OLD
        said = self.since[-1][1] if opened > last and self.was_seen_whole(last) else None
        self.since.append((opened, state))
        return said

    def was_seen_whole(self, candle: int) -> bool:
        """It began right after a state of another candle, and its last state was followed by no silence."""
        candles = [one for one, _ in self.since]
        if candle not in candles or candles[-1] == QUIET:
            return False
        before = candles[: candles.index(candle)]
        return bool(before) and before[-1] != QUIET

    def quiet(self) -> None:
        if self.since:
            self.since.append((QUIET, ""))

    def clear(self) -> None:
        self.since = []


@settings(max_examples=EXAMPLES)
@given(EVENTS)
def test_what_is_said_to_be_final_is_what_looking_back_says(events: list[int]) -> None:
    closing, reference = Closing[str](), Reference()
    for number, event in enumerate(events):
        if event == QUIET:
            closing.quiet()
            reference.quiet()
        elif event == CLEAR:
            closing.clear()
            reference.clear()
        else:
            state = f"{event} as of {number}"
            assert closing.take(event, state) == reference.take(event, state)


class LossyVenueModel(RuleBasedStateMachine):
    """A venue whose states are lost on the way, as far as the reader is told of silences and cuts.

    The venue knows what the last state of each candle was, and which state was its first; what is said
    to be final must be that, told once, and of a candle whose first state came.
    """

    def __init__(self) -> None:
        super().__init__()
        self.closing: Closing[tuple[int, int]] = Closing()
        self.candle = 1
        self.count = 0
        self.first: dict[int, int] = {}
        self.last: dict[int, int] = {}
        self.came: set[int] = set()
        self.said: list[tuple[int, int]] = []

    def change(self, candles: int) -> None:
        """The venue has a new state, perhaps of a later candle."""
        self.candle += candles
        self.count += 1
        self.first.setdefault(self.candle, self.count)
        self.last[self.candle] = self.count

    @rule(candles=st.sampled_from([0, 0, 0, 1, 1, 3]))
    def a_state_comes(self, candles: int) -> None:
        self.change(candles)
        self.came.add(self.count)
        ended = self.closing.take(self.candle, (self.candle, self.count))
        assert ended is not OLD
        if ended is not None:
            self.said.append(ended)

    @rule(lost=st.lists(st.integers(0, 2), max_size=4))
    def silence(self, lost: list[int]) -> None:
        for candles in lost:
            self.change(candles)
        self.closing.quiet()

    @rule(lost=st.lists(st.integers(0, 2), max_size=4))
    def a_cut(self, lost: list[int]) -> None:
        for candles in lost:
            self.change(candles)
        self.closing.clear()

    @invariant()
    def what_was_said_is_true(self) -> None:
        assert all(self.last[candle] == state and candle < self.candle for candle, state in self.said)
        assert all(self.first[candle] in self.came for candle, _ in self.said)

    @invariant()
    def what_was_said_was_said_once(self) -> None:
        candles = [candle for candle, _ in self.said]
        assert candles == sorted(set(candles))


TestLossyVenue = LossyVenueModel.TestCase
TestLossyVenue.settings = settings(max_examples=EXAMPLES, stateful_step_count=40, deadline=None)
