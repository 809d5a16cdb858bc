"""What the native outbox does beyond its specification: it writes to descriptors itself."""

from __future__ import annotations

import gc
import struct
import sys
import weakref
from collections.abc import Iterator

import pytest

from feedmux._native.outbox import Flush, Outbox, TopicRow
from feedmux.core.outbox import OutboxLimits
from support.hubs import Reader
from support.lines import Line

MAX_IOV = 1024


@pytest.fixture
def line() -> Iterator[Line]:
    with Line() as line:
        yield line


def numbered(count: int, size: int = 4) -> list[bytes]:
    return [struct.pack("!I", number).ljust(size, b"x") for number in range(count)]


@pytest.mark.parametrize("count", [1, 2, MAX_IOV, MAX_IOV + 1, 3 * MAX_IOV + 5])
def test_any_number_of_frames_goes_out_in_order(line: Line, count: int) -> None:
    frames = numbered(count)
    line.offer(*frames)
    line.outbox.drain()
    assert line.read() == b"".join(frames)
    assert line.rests == []
    assert line.outbox.sent == count


@pytest.mark.parametrize("size", [200, 100_000])
def test_the_rest_of_a_frame_under_way_is_given_away_at_once_and_nothing_follows(
    line: Line, size: int
) -> None:
    line.closed = True
    frames = numbered(4000, size) if size == 200 else numbered(50, size)
    line.offer(*frames)
    line.outbox.drain()
    arrived = line.read()
    (rest,) = line.rests
    whole = line.outbox.sent
    assert arrived + rest == b"".join(frames[:whole])
    assert 0 < whole < len(frames)
    assert 0 < len(rest) <= size
    assert line.outbox.paused
    assert line.outbox.statistics()["waiting_frames"] == len(frames) - whole


def test_where_nothing_is_taken_a_whole_frame_is_given_away(line: Line) -> None:
    line.closed = True
    line.fill()
    line.offer(b"one", b"two")
    line.outbox.drain()
    assert line.rests == [b"one"]
    assert line.outbox.paused


def test_writing_goes_on_where_the_transport_could_send_the_rest(line: Line) -> None:
    frames = numbered(50, 100_000)
    line.reads_when_full = True
    line.offer(*frames)
    line.outbox.drain()
    assert len(line.rests) > 1
    assert line.arrived + line.read() == b"".join(frames)
    assert not line.outbox.paused


def test_a_broken_connection_is_told_once_and_takes_no_more(line: Line) -> None:
    line.peer.close()
    line.offer(b"x")
    line.outbox.drain()
    assert line.breaks == 1
    line.outbox.drop()
    line.offer(b"y")
    line.outbox.drain()
    assert line.breaks == 1


def test_a_descriptor_that_was_taken_back_is_not_written_to(line: Line) -> None:
    line.offer(b"x")
    line.outbox.lend(-1)
    line.outbox.drain()
    assert line.read() == b""
    assert line.written == [b"x"], "the writer got it instead"


def test_dropping_takes_the_descriptor_back(line: Line) -> None:
    line.offer(b"x")
    line.outbox.drop()
    line.outbox.resume()
    line.offer(b"y")
    line.outbox.drain()
    assert (line.read(), line.written) == (b"", [])


class Calls(list[object]):
    """Stands for ``call_soon``: what is to be called when the turn is over."""

    def turn(self) -> None:
        due, self[:] = self[:], []
        for call in due:
            call()  # type: ignore[operator]


def test_who_holds_the_same_frames_is_sent_one_joined_buffer() -> None:
    calls = Calls()
    flush = Flush(calls.append)
    with Line(flush) as first, Line(flush) as second, Line(flush) as third, Line(flush) as other:
        row, another = TopicRow(), TopicRow()
        for line in (first, second, third, other):
            row.add(line.outbox, Reader())
        another.add(other.outbox, Reader())
        for turn in range(2):
            row.offer(b"1", "", 1, 1)
            another.offer(b"extra", "", 1, 1)
            row.offer(b"2", "", 1, 2)
            calls.turn()
            assert [line.read() for line in (first, second, third)] == [b"12"] * 3
            assert other.read() == b"1extra2"
            assert flush.joins == 2 * (turn + 1)
        row.offer(b"alone", "", 1, 3)
        calls.turn()
        assert flush.joins == 4, "one frame needs no joining"


def test_a_joined_buffer_that_is_not_taken_whole_is_cut_between_the_same_frames() -> None:
    calls = Calls()
    flush = Flush(calls.append)
    frames = numbered(3000, 300)
    with Line(flush) as first, Line(flush) as second:
        row = TopicRow()
        for line in (first, second):
            row.add(line.outbox, Reader())
        first.reads_when_full = True
        second.closed = True
        for seq, frame in enumerate(frames):
            row.offer(frame, "", 1, seq)
        calls.turn()
        assert first.arrived + first.read() == b"".join(frames)
        assert flush.joins == 1
        assert second.outbox.paused
        assert second.read() + second.rests[0] == b"".join(frames[: second.outbox.sent])


def test_frames_are_let_go_when_they_are_sent_replaced_or_dropped(line: Line) -> None:
    frames = [b"f%d" % number * 1000 for number in range(8)]
    before = [sys.getrefcount(frame) for frame in frames]
    line.offer(*frames[:4])
    line.outbox.drain()
    line.outbox.pause()
    for frame in frames[4:7]:
        line.row.offer(frame, "key", 1, 1)
    del frame
    line.offer(frames[7])
    assert sys.getrefcount(frames[6]) > before[6]
    line.outbox.drop()
    assert [sys.getrefcount(frame) for frame in frames] == before


def test_a_flush_lets_go_what_it_kept_for_a_cohort() -> None:
    calls = Calls()
    flush = Flush(calls.append)
    frames = [b"f%d" % number * 10 for number in range(2)]
    before = [sys.getrefcount(frame) for frame in frames]
    with Line(flush) as first, Line(flush) as second:
        row = TopicRow()
        for line in (first, second):
            row.add(line.outbox, Reader())
        for frame in frames:
            row.offer(frame, "", 1, 1)
        del frame
        calls.turn()
        assert flush.joins == 1
        assert [sys.getrefcount(frame) for frame in frames] == before


def test_a_row_that_is_gone_leaves_no_outbox_behind() -> None:
    class Watched(Reader):
        pass

    owner = Watched()
    gone = weakref.ref(owner)
    with Line() as line:
        row = TopicRow()
        row.add(line.outbox, owner)
        row.discard(line.outbox)
    line.outbox.drop()
    del line, row, owner
    gc.collect()
    assert gone() is None


@pytest.mark.parametrize("wrong", ["text", None, 5])
def test_only_bytes_are_offered(wrong: object) -> None:
    row = TopicRow()
    with pytest.raises(TypeError):
        row.offer(wrong, "", 1, 1)  # type: ignore[arg-type]


def test_only_native_outlets_are_added() -> None:
    with pytest.raises(TypeError):
        TopicRow().add(Reader(), Reader())


def test_an_outbox_needs_a_writer_and_limits() -> None:
    with pytest.raises(TypeError):
        Outbox(None, Flush(print), OutboxLimits())  # type: ignore[arg-type]
    with Line() as line, pytest.raises(AttributeError):
        Outbox(line, Flush(print), "none")  # type: ignore[arg-type]
