"""One stream: what is numbered, what is kept, what is said of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import msgspec
import pytest

from feedmux.feed.stream import ObjectRules, StreamWriter
from feedmux.model.event import Envelope, EventKind, Gap, GapReason, State, Status
from support.rabbit_streams import RULES, body, rules, short, stream, thing

BOOK = stream("eurusd.ob-inc")
TRADES = stream("eurusd.trades")


class Writer:
    """A writer and what it counts."""

    def __init__(self, kept: ObjectRules = RULES, of: Callable[[int], bytes] = body) -> None:
        self.tally: Counter[str] = Counter()
        self.writer = StreamWriter(BOOK, 100, kept, self.tally)
        self.body = of

    def snapshot(self, number: int) -> list[str]:
        return [short(event) for event in self.writer.snapshot(self.body(number), 7)]

    def increment(self, number: int) -> list[str]:
        return [short(event) for event in self.writer.increment(self.body(number), 7)]

    @property
    def parts(self) -> list[str]:
        return [short(part) for part in self.writer.parts()]


def test_messages_are_numbered_and_none_replaces_another() -> None:
    writer = StreamWriter(TRADES, 100, RULES, Counter())
    first, second = writer.message(b"1", 7), writer.message(b"2", 8)
    assert first == Envelope(TRADES, 100, 1, EventKind.UPDATE, 0, 7, "", b"1")
    assert second == Envelope(TRADES, 100, 2, EventKind.UPDATE, 0, 8, "", b"2")
    assert writer.parts() == ()
    assert not writer.keeps


def test_an_object_begins_with_its_snapshot() -> None:
    one = Writer()
    assert one.increment(4) == []
    assert one.snapshot(4) == ["S4"]
    assert one.increment(5) == ["U5"]
    assert one.parts == ["S4", "U5"]
    assert [part.seq for part in one.writer.parts()] == [1, 2]


def test_a_snapshot_that_continues_replaces_what_is_kept_and_changes_no_state() -> None:
    one = Writer()
    one.snapshot(4)
    one.increment(5)
    assert one.snapshot(5) == ["S5"]
    assert one.parts == ["S5"]
    assert one.tally == {}


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (7, "number 7 came where 6 was expected"),
        (5, "number 5 came where 6 was expected"),
        (1, "number 1 came where 6 was expected"),
    ],
)
def test_an_increment_that_does_not_follow_is_told_once_and_goes_on(found: int, words: str) -> None:
    one = Writer()
    one.snapshot(5)
    assert one.increment(found) == ["stale", f"U{found}"]
    assert one.writer.reason == f"{words}; the next snapshot makes it good"
    assert one.increment(found + 5) == [f"U{found + 5}"], "it is told already"
    assert one.tally == {"holes": 1}
    assert one.snapshot(30) == ["S30", "live"]
    assert one.increment(31) == ["U31"]
    assert one.tally == {"holes": 1}


@pytest.mark.parametrize("number", [4, 6, 90])
def test_a_snapshot_that_does_not_continue_goes_to_those_who_have_the_object(number: int) -> None:
    one = Writer()
    one.snapshot(5)
    assert one.snapshot(number) == ["stale", f"S{number}", "live"]
    assert one.tally == {"holes": 1}


def test_holes_are_not_looked_for_where_that_is_not_wanted() -> None:
    one = Writer(msgspec.structs.replace(RULES, are_numbered=False))
    assert [one.snapshot(5), one.increment(90), one.increment(3)] == [["S5"], ["U90"], ["U3"]]


def test_bodies_without_a_number_follow_whatever_was_before() -> None:
    one = Writer()
    one.snapshot(5)
    assert [short(event) for event in one.writer.increment(b"[]", 7)] == ["U[]"]
    assert one.increment(6) == ["U6"]
    assert [short(event) for event in one.writer.snapshot(b"{}", 7)] == ["S{}"]
    assert one.increment(50) == ["U50"], "the snapshot had no number to follow"


def test_more_than_can_be_kept_ends_the_object_until_the_next_snapshot() -> None:
    one = Writer(rules(increments=2), thing)
    one.snapshot(1)
    assert [one.increment(2), one.increment(3), one.increment(4)] == [["U2"], ["U3"], ["stale"]]
    assert "more came since its last snapshot than can be kept" in one.writer.reason
    assert one.increment(5) == []
    assert (one.parts, one.writer.size_bytes) == ([], 0)
    assert one.snapshot(5) == ["S5", "live"]


def test_more_than_can_be_kept_of_a_book_is_folded_and_nobody_hears_of_it() -> None:
    one = Writer(rules(increments=2))
    one.snapshot(1)
    assert [one.increment(2), one.increment(3), one.increment(4)] == [["U2"], ["U3"], ["U4"]]
    assert one.parts == ["S4"]
    assert one.increment(5) == ["U5"]
    assert [part.seq for part in one.writer.parts()] == [4, 5]


def test_a_snapshot_that_is_too_large_is_not_passed_on() -> None:
    one = Writer(rules(bytes=10))
    assert one.snapshot(5) == ["stale"]
    assert "its snapshot is larger than can be kept" in one.writer.reason
    assert not one.writer.keeps


def test_a_message_stream_begins_anew_with_a_gap_and_is_live() -> None:
    writer = StreamWriter(TRADES, 100, RULES, Counter())
    writer.message(b"1", 7)
    gap, live = writer.renew(200, 9)
    assert (gap.epoch, gap.seq, gap.kind) == (100, 1, EventKind.GAP)
    assert msgspec.json.decode(gap.payload, type=Gap) == Gap(2, None, GapReason.LINK)
    assert (live.epoch, live.seq) == (200, 0)
    assert msgspec.json.decode(live.payload, type=Status) == Status(State.LIVE)
    assert writer.message(b"2", 9).position == (200, 1)


def test_an_object_in_doubt_begins_anew_stale_with_all_its_parts() -> None:
    one = Writer()
    one.snapshot(5)
    one.increment(6)
    one.increment(7)
    one.writer.doubt("who knows")
    events = one.writer.renew(200, 9)
    assert [short(event) for event in events] == ["stale", "S5", "U6", "U7"]
    assert [(event.epoch, event.seq) for event in events] == [(200, 0), (200, 1), (200, 2), (200, 3)]
    assert one.writer.parts() == tuple(events[1:])
    assert one.increment(8) == ["U8"]
    assert one.snapshot(8) == ["S8", "live"]
    assert one.writer.parts()[0].position == (200, 5)


def test_doubt_is_nothing_to_an_object_that_is_not_there() -> None:
    one = Writer()
    one.writer.doubt("who knows")
    assert one.writer.state is State.LIVE
    assert [short(event) for event in one.writer.renew(200, 9)] == ["live"]
