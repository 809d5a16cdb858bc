from __future__ import annotations

import pytest

from feedmux.core.closing import OLD, Closing

# What leads to each state of the table; candles are named by when they open, in minutes.
STATES = {
    "empty": "",
    "unknown": "1",
    "known": "1 2",
    "wavering": "1 2 quiet",
    "doubted": "1 quiet",
}


def tell(closing: Closing[str], events: str) -> list[object]:
    """Tell what happened; what every candle brought about."""
    outcomes: list[object] = []
    for number, event in enumerate(events.split()):
        if event == "quiet":
            closing.quiet()
        elif event == "clear":
            closing.clear()
        else:
            outcomes.append(closing.take(int(event), f"{event} as of {number}"))
    return outcomes


@pytest.mark.parametrize(
    ("state", "event", "outcome", "later"),
    [
        # the same candle, then a later one; a later one, then one after it; an older one, then a later one
        ("empty", "1", None, None),
        ("unknown", "1", None, None),
        ("unknown", "2", None, "2 as of 1"),
        ("unknown", "0", OLD, None),
        ("known", "2", None, "2 as of 2"),
        ("known", "3", "2 as of 1", "3 as of 2"),
        ("known", "1", OLD, "2 as of 1"),
        ("wavering", "2", None, "2 as of 3"),
        ("wavering", "3", None, None),
        ("wavering", "1", OLD, None),
        ("doubted", "1", None, None),
        ("doubted", "2", None, None),
        ("doubted", "0", OLD, None),
    ],
)
def test_what_a_candle_ends(state: str, event: str, outcome: object, later: str | None) -> None:
    closing: Closing[str] = Closing()
    *_, found, found_later = tell(closing, f"{STATES[state]} {event} 9")
    assert found == outcome
    assert found_later == later


@pytest.mark.parametrize("state", STATES)
def test_nothing_is_final_after_continuity_was_lost_until_a_candle_was_seen_whole(state: str) -> None:
    closing: Closing[str] = Closing()
    outcomes = tell(closing, f"{STATES[state]} clear 1 5 6 7")
    assert outcomes[-4:] == [None, None, f"5 as of {len(STATES[state].split()) + 2}", outcomes[-1]]
    assert str(outcomes[-1]).startswith("6 as of")


def test_the_last_state_of_a_candle_is_its_final_one() -> None:
    assert tell(Closing(), "1 2 2 2 3") == [None, None, None, None, "2 as of 3"]


def test_candles_that_nobody_traded_in_may_be_left_out() -> None:
    assert tell(Closing(), "1 2 7 8") == [None, None, "2 as of 1", "7 as of 2"]


def test_quiet_before_the_first_candle_means_nothing() -> None:
    assert tell(Closing(), "quiet 1 2 3") == [None, None, "2 as of 2"]
