from __future__ import annotations

import pytest

from feedmux.client.clock import SystemClock
from feedmux.core.outbox import TopicRow
from feedmux.hub.table import Entry
from feedmux.model.event import State
from feedmux.model.options import DEFAULTS, Options
from feedmux.model.ports import Timer
from feedmux.model.topic import Topic
from support.hubs import FULL, QUIET, TICKER, TRADE, Reader, status, value


def never(delay: float, callback: object) -> Timer:
    raise AssertionError("nothing waits without a rate")


@pytest.fixture
def entry() -> Entry:
    return Entry(TICKER, TopicRow, SystemClock(), never)


def test_a_topic_is_held_as_long_as_anybody_waits_or_reads(entry: Entry) -> None:
    reader = Reader()
    assert not entry.held
    entry.waiting[reader] = None
    assert entry.held
    entry.join(reader)
    assert entry.held
    assert not entry.waiting
    entry.leave(reader)
    assert not entry.held


@pytest.mark.parametrize(
    ("state", "settled"),
    [
        (None, False),
        (State.PENDING, False),
        (State.LIVE, True),
        (State.STALE, True),
        (State.RECONNECTING, False),
        (State.REFUSED, False),
    ],
)
def test_a_topic_is_settled_when_the_source_has_confirmed_it(
    entry: Entry, state: State | None, settled: bool
) -> None:
    entry.state = state
    assert entry.settled is settled


def test_each_format_in_use_has_a_row_and_goes_with_its_last_reader(entry: Entry) -> None:
    first, second, quiet = Reader(), Reader(), Reader(QUIET)
    for reader in (first, second, quiet):
        entry.join(reader)
    assert {layout: len(row) for layout, row in entry.rows.items()} == {FULL: 2, QUIET: 1}
    entry.leave(quiet)
    entry.leave(first)
    assert {layout: len(row) for layout, row in entry.rows.items()} == {FULL: 1}


def with_fields(number: int) -> Options:
    return Options(fields=frozenset({f"f{number}"}))


def test_a_set_of_fields_has_a_row_of_its_own(entry: Entry) -> None:
    whole, first, same, other = Reader(), Reader(), Reader(), Reader()
    entry.join(whole)
    entry.join(first, Options(fields=frozenset("ab")))
    entry.join(same, Options(fields=frozenset("ba")))
    entry.join(other, Options(fields=frozenset("a")))
    assert {layout.fields: len(row) for layout, row in entry.rows.items()} == {
        frozenset(): 1,
        frozenset("ab"): 2,
        frozenset("a"): 1,
    }
    assert entry.lanes == {}
    assert set(entry.members) == {whole, first, same, other}
    for reader in (first, whole, other, same):
        entry.leave(reader)
    assert not entry.held


@pytest.mark.parametrize(
    ("topic", "options", "is_special"),
    [
        (TICKER, Options(conflate=True), False),
        (TICKER, Options(conflate=False), True),
        (TRADE, Options(conflate=False), False),
        (TRADE, Options(conflate=True), True),
        (TICKER, Options(rate=1), True),
        (TICKER, Options(conflate=True, fields=frozenset("a")), False),
    ],
)
def test_what_the_mode_says_anyway_needs_no_lane(topic: Topic, options: Options, is_special: bool) -> None:
    entry, reader = Entry(topic, TopicRow, SystemClock(), never), Reader()
    entry.join(reader, options)
    assert (len(entry.lanes), len(entry.rows)) == ((1, 0) if is_special else (0, 1))
    assert (entry.joined, entry.members, entry.held) == (1, [reader], True)
    entry.leave(reader)
    assert (entry.lanes, entry.rows, entry.held) == ({}, {}, False)


def test_there_is_room_for_sixteen_sets_of_fields(entry: Entry) -> None:
    readers = [Reader() for _ in range(17)]
    for number, reader in enumerate(readers[:16]):
        assert entry.serves(reader, with_fields(number))
        entry.join(reader, with_fields(number))
    late = readers[16]
    assert not entry.serves(late, with_fields(16))
    assert entry.serves(late, with_fields(3)), "a set that is in use costs nothing more"
    assert entry.serves(late, DEFAULTS)
    entry.join(late, with_fields(16))
    entry.offer(value(TICKER, 1))
    assert late.got(value(TICKER, 1)), "whole"
    assert readers[0].take() != [FULL.frame(value(TICKER, 1))]
    assert len(entry.rows) == 17
    entry.leave(readers[0])
    assert entry.serves(late, with_fields(16)), "there is room again"


def test_who_has_a_set_for_itself_may_change_it_when_all_are_in_use(entry: Entry) -> None:
    readers = [Reader() for _ in range(17)]
    for number, reader in enumerate(readers):
        entry.join(reader, with_fields(number % 16))
    assert entry.serves(readers[5], with_fields(20))
    assert not entry.serves(readers[0], with_fields(20)), "it shares its set with the last one"
    entry.change(readers[5], with_fields(20))
    assert not entry.serves(readers[16], with_fields(5))
    assert {f"f{number}" for number in (*range(5), *range(6, 16), 20)} == {
        name for layout in entry.rows for name in layout.fields
    }


def test_sets_of_lanes_count_too(entry: Entry) -> None:
    for number in range(16):
        entry.join(Reader(), Options(conflate=False, fields=frozenset({f"f{number}"})))
    assert not entry.serves(Reader(), with_fields(16))
    assert entry.serves(Reader(), with_fields(0))


def test_joining_twice_is_joining_once_and_leaving_twice_is_leaving_once(entry: Entry) -> None:
    reader = Reader()
    entry.join(reader)
    entry.join(reader)
    entry.offer(value(TICKER, 1))
    assert len(reader.frames) == 1
    entry.leave(reader)
    entry.leave(reader)
    entry.offer(value(TICKER, 2))
    assert len(reader.frames) == 1


def test_a_frame_is_built_once_for_all_readers_of_a_format(entry: Entry) -> None:
    readers = [Reader(), Reader(), Reader()]
    for reader in readers:
        entry.join(reader)
    entry.offer(value(TICKER, 1))
    first, *others = [reader.frames[0] for reader in readers]
    assert all(frame is first for frame in others)
    assert readers[0].keys == [value(TICKER, 1).key]


def test_a_format_that_leaves_an_event_out_gets_nothing(entry: Entry) -> None:
    loud, quiet = Reader(), Reader(QUIET)
    entry.join(loud)
    entry.join(quiet)
    entry.offer(status(TICKER, State.STALE))
    assert loud.got(status(TICKER, State.STALE))
    assert quiet.got()
