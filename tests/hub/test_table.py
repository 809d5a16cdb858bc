from __future__ import annotations

import pytest

from feedmux.client.clock import SystemClock
from feedmux.core.outbox import TopicRow
from feedmux.hub.table import Entry
from feedmux.model.event import State
from support.hubs import FULL, QUIET, TICKER, Reader, status, value


@pytest.fixture
def entry() -> Entry:
    return Entry(TICKER, TopicRow, SystemClock())


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
