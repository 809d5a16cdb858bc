"""The ring, native and in its specification: the same steps give the same memory and the same answers."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest

from feedmux._native import ring as native
from feedmux.client.segment import make_bell
from feedmux.core import ring as pure
from feedmux.core.ring import HEADER_BYTES, PAGE_BYTES, largest_record, segment_bytes
from feedmux.model.errors import InvalidSetting
from feedmux.model.ring_errors import InvalidPosition, InvalidRing, Lapped, RecordTooLarge

CAPACITY = 1024
RECORD_HEAD = 16


class Kind(NamedTuple):
    """One of the two."""

    writer: Callable[[bytearray], Any]
    reader: Callable[..., Any]
    seat: Callable[[bytearray, int], Any]


def pure_seat(page: bytearray, bell: int) -> pure.Seat:
    return pure.Seat(page, lambda: os.eventfd_write(bell, 1))


KINDS = {
    "native": Kind(native.RingWriter, native.RingReader, native.Seat),
    "pure": Kind(pure.RingWriter, pure.RingReader, pure_seat),
    "native writer, pure reader": Kind(native.RingWriter, pure.RingReader, pure_seat),
    "pure writer, native reader": Kind(pure.RingWriter, native.RingReader, native.Seat),
}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Kind:
    return KINDS[request.param]


@pytest.fixture
def segment() -> bytearray:
    return bytearray(segment_bytes(CAPACITY))


@pytest.fixture
def bell() -> Iterator[int]:
    bell = make_bell()
    yield bell
    os.close(bell)


def fill(writer: Any, records: int, size: int = 48) -> None:
    for number in range(records):
        writer.write(bytes([number % 256]) * size)
    writer.flush()


def test_records_come_whole_in_order_and_once(kind: Kind, segment: bytearray) -> None:
    writer, reader = kind.writer(segment), kind.reader(segment)
    records = [b"", b"a", b"b" * 15, b"c" * 16, b"d" * 17, b"e" * 100]
    for record in records:
        writer.write(record)
    writer.flush()
    assert [reader.read() for _ in records] == records
    assert reader.read() is None
    assert reader.statistics() == {"read": 6, "lost": 0, "lapped": 0, "lag": 0}


def test_what_is_not_flushed_is_not_there(kind: Kind, segment: bytearray) -> None:
    writer, reader = kind.writer(segment), kind.reader(segment)
    writer.write(b"a")
    assert reader.read() is None
    writer.flush()
    assert reader.read() == b"a"


def test_a_reader_begins_with_what_comes_after_it(kind: Kind, segment: bytearray) -> None:
    writer = kind.writer(segment)
    fill(writer, 3)
    writer.write(b"half")
    reader = kind.reader(segment)
    assert reader.read() is None
    writer.flush()
    assert reader.read() == b"half"


def test_it_goes_round_and_round(kind: Kind, segment: bytearray) -> None:
    writer, reader = kind.writer(segment), kind.reader(segment)
    for number in range(1000):
        record = bytes([number % 251]) * (number * 7 % 300)
        writer.write(record)
        writer.flush()
        assert reader.read() == record
    assert reader.lost == 0


def test_a_record_never_crosses_the_end(kind: Kind, segment: bytearray) -> None:
    writer, reader = kind.writer(segment), kind.reader(segment)
    largest = largest_record(CAPACITY)
    for number in range(50):
        record = bytes([number]) * largest
        writer.write(record)
        writer.flush()
        assert reader.read() == record
        writer.write(b"small")
        writer.flush()
        assert reader.read() == b"small"


def test_the_largest_record_fits_and_one_byte_more_does_not(kind: Kind, segment: bytearray) -> None:
    writer, reader = kind.writer(segment), kind.reader(segment)
    assert writer.largest == CAPACITY // 2 - RECORD_HEAD
    before = bytes(segment)
    with pytest.raises(RecordTooLarge, match="497 bytes does not fit; this ring takes at most 496"):
        writer.write(bytes(writer.largest + 1))
    assert bytes(segment) == before
    writer.write(bytes(writer.largest))
    writer.flush()
    assert reader.read() == bytes(writer.largest)


def test_who_was_lapped_is_told_and_goes_on_with_what_comes_next(kind: Kind, segment: bytearray) -> None:
    writer, reader = kind.writer(segment), kind.reader(segment)
    fill(writer, 2)
    assert reader.read() == bytes(48)
    fill(writer, 40)
    with pytest.raises(Lapped) as caught:
        reader.read()
    assert caught.value.size_bytes == 41 * 64
    assert reader.read() is None
    assert reader.lost == 0, "nobody knows before the next one is read"
    writer.write(b"next")
    writer.flush()
    assert reader.read() == b"next"
    assert reader.statistics() == {"read": 2, "lost": 41, "lapped": 1, "lag": 0}


def test_what_is_about_to_be_overwritten_is_not_read_any_more(kind: Kind, segment: bytearray) -> None:
    """Written, and not yet flushed: the bytes are gone already."""
    writer, reader = kind.writer(segment), kind.reader(segment)
    fill(writer, 1)
    for _ in range(16):
        writer.write(bytes(48))
    with pytest.raises(Lapped):
        reader.read()
    assert reader.read() is None


def test_many_at_once_are_what_one_by_one_are(kind: Kind, segment: bytearray) -> None:
    writer, reader = kind.writer(segment), kind.reader(segment)
    fill(writer, 5)
    assert reader.read_many(3) == [bytes([number]) * 48 for number in range(3)]
    assert reader.read_many(100) == [bytes([number]) * 48 for number in (3, 4)]
    assert reader.read_many(100) == []
    fill(writer, 40)
    with pytest.raises(Lapped):
        reader.read_many(100)
    assert reader.read_many(100) == []


def test_a_borrowed_record_counts_when_the_block_has_ended(kind: Kind, segment: bytearray) -> None:
    writer, reader = kind.writer(segment), kind.reader(segment)
    with reader.borrow() as view:
        assert view is None
    fill(writer, 2)
    with reader.borrow() as view:
        assert view == bytes(48)
        assert view.readonly
        kept = view
    with pytest.raises(ValueError, match="released"):
        bytes(kept)
    assert reader.read() == b"\1" * 48


def test_a_borrowed_record_that_was_overwritten_is_told(kind: Kind, segment: bytearray) -> None:
    writer, reader = kind.writer(segment), kind.reader(segment)
    fill(writer, 1)
    with pytest.raises(Lapped), reader.borrow() as view:
        assert view == bytes(48)
        fill(writer, 40)
    assert reader.read() is None
    fill(writer, 1)
    assert reader.read() == bytes(48)


def test_who_fails_with_a_borrowed_record_gets_it_again(kind: Kind, segment: bytearray) -> None:
    writer, reader = kind.writer(segment), kind.reader(segment)
    fill(writer, 1)
    with pytest.raises(KeyError), reader.borrow():
        raise KeyError("his own")
    assert reader.read() == bytes(48)


def test_readers_do_not_know_each_other(kind: Kind, segment: bytearray) -> None:
    writer = kind.writer(segment)
    readers = [kind.reader(segment) for _ in range(3)]
    fill(writer, 3)
    assert readers[0].read_many(9) == readers[1].read_many(9)
    assert readers[2].lag == 3 * 64
    fill(writer, 12)
    assert len(readers[0].read_many(99)) == 12
    fill(writer, 3)
    assert len(readers[0].read_many(99)) == 3
    with pytest.raises(Lapped):
        readers[2].read()


# Where a reader begins


@pytest.mark.parametrize(("start", "first"), [(0, 0), (64, 1), (128, 2)])
def test_a_reader_may_begin_at_a_record(kind: Kind, segment: bytearray, start: int, first: int) -> None:
    writer = kind.writer(segment)
    fill(writer, 3)
    reader = kind.reader(segment, None, start)
    assert reader.lag == 3 * 64 - start
    assert reader.read_many(9) == [bytes([number]) * 48 for number in range(first, 3)]
    assert reader.lost == 0


def test_a_reader_may_begin_where_nothing_is_yet(kind: Kind, segment: bytearray) -> None:
    writer = kind.writer(segment)
    fill(writer, 1)
    reader = kind.reader(segment, None, 64)
    assert reader.read() is None
    fill(writer, 1)
    assert reader.read() == bytes(48)


@pytest.mark.parametrize("start", [-16, -1, 8, 65, 208, 2**63, 2**64, 2**70])
def test_a_place_where_nobody_can_begin_is_refused(kind: Kind, segment: bytearray, start: int) -> None:
    fill(kind.writer(segment), 3)
    with pytest.raises(InvalidPosition, match="a multiple of 16 from 0 to 192") as caught:
        kind.reader(segment, None, start)
    assert caught.value.position == start


def test_what_is_not_published_is_no_place_to_begin(kind: Kind, segment: bytearray) -> None:
    kind.writer(segment).write(bytes(48))
    with pytest.raises(InvalidPosition):
        kind.reader(segment, None, 64)


@pytest.mark.parametrize("records", [17, 40])
def test_who_begins_at_what_was_overwritten_is_lapped_at_once(
    kind: Kind, segment: bytearray, records: int
) -> None:
    writer = kind.writer(segment)
    fill(writer, records)
    reader = kind.reader(segment, None, 0)
    with pytest.raises(Lapped) as caught:
        reader.read()
    assert caught.value.size_bytes == records * 64
    assert reader.read() is None
    fill(writer, 1)
    assert reader.read() == bytes(48)


# Sleep


def test_only_who_sleeps_is_woken_and_only_once(kind: Kind, segment: bytearray, bell: int) -> None:
    page = bytearray(PAGE_BYTES)
    seat = kind.seat(page, bell)
    writer = kind.writer(segment)
    reader = kind.reader(segment, seat)
    writer.add(native.Seat(page, bell) if isinstance(writer, native.RingWriter) else pure_seat(page, bell))
    fill(writer, 1)
    with pytest.raises(BlockingIOError):
        os.eventfd_read(bell)
    assert not reader.sleep(), "there is something to read"
    assert not seat.is_asleep
    reader.read()
    assert reader.sleep()
    assert seat.is_asleep
    writer.write(b"a")
    assert writer.flush() == 1
    assert not seat.is_asleep
    fill(writer, 5)
    assert os.eventfd_read(bell) == 1
    assert writer.statistics()["wakes"] == 1


def test_who_rises_by_himself_is_not_woken(kind: Kind, segment: bytearray, bell: int) -> None:
    page = bytearray(PAGE_BYTES)
    writer, reader = kind.writer(segment), kind.reader(segment, kind.seat(page, bell))
    seat = native.Seat(page, bell) if isinstance(writer, native.RingWriter) else pure_seat(page, bell)
    writer.add(seat)
    assert reader.sleep()
    reader.rise()
    fill(writer, 1)
    assert reader.sleep() is False
    reader.read()
    assert reader.sleep()
    writer.remove(seat)
    fill(writer, 1)
    with pytest.raises(BlockingIOError):
        os.eventfd_read(bell)


# What is no ring


def spoil(segment: bytearray, place: int, layout: str, value: object) -> bytearray:
    struct.pack_into(layout, segment, place, value)
    return segment


@pytest.mark.parametrize(
    ("place", "layout", "value", "what"),
    [
        (0, "8s", b"SLQ1....", "its beginning"),
        (8, "<I", 2, "its version"),
        (12, "<I", 64, "its size"),
        (16, "<Q", 2048, "its size"),
        (16, "<Q", 2**64 - 1, "its size"),
        (24, "<Q", 1, "its capacity"),
    ],
)
def test_a_header_that_is_wrong_is_named(
    kind: Kind, segment: bytearray, place: int, layout: str, value: object, what: str
) -> None:
    kind.writer(segment)
    with pytest.raises(InvalidRing, match=what):
        kind.reader(spoil(segment, place, layout, value))


@pytest.mark.parametrize("size", [0, 1, 63, 4095])
def test_memory_that_is_too_small_is_named(kind: Kind, size: int) -> None:
    with pytest.raises(InvalidRing, match="its size"):
        kind.reader(bytearray(size))


def test_memory_that_was_cut_is_named(kind: Kind, segment: bytearray) -> None:
    kind.writer(segment)
    with pytest.raises(InvalidRing, match="its size"):
        kind.reader(segment[:-16])


@pytest.mark.parametrize("size", [HEADER_BYTES, HEADER_BYTES + 1000, HEADER_BYTES + 512])
def test_a_writer_wants_memory_for_a_power_of_two(kind: Kind, size: int) -> None:
    with pytest.raises(InvalidSetting, match="capacity"):
        kind.writer(bytearray(size))


@pytest.mark.parametrize(
    ("length", "number"), [(2**32 - 1, 1), (49, 1), (48, 0), (48, 3), (1024, 1), (2**31, 2), (1000, 2)]
)
def test_a_record_that_is_none_is_damage_and_no_byte_beyond_is_read(
    kind: Kind, segment: bytearray, length: int, number: int
) -> None:
    writer, reader = kind.writer(segment), kind.reader(segment)
    fill(writer, 1)
    struct.pack_into("<II", segment, HEADER_BYTES, length, number)
    for _ in range(2):
        with pytest.raises(InvalidRing, match="a record"):
            reader.read()
    with pytest.raises(InvalidRing), reader.borrow():
        pass


def test_damage_behind_good_records_is_told_after_them(kind: Kind, segment: bytearray) -> None:
    writer, reader = kind.writer(segment), kind.reader(segment)
    fill(writer, 3)
    struct.pack_into("<II", segment, HEADER_BYTES + 128, 5000, 1)
    assert len(reader.read_many(9)) == 2
    with pytest.raises(InvalidRing):
        reader.read_many(9)


def test_a_published_place_that_is_nonsense_reads_nothing_outside(kind: Kind, segment: bytearray) -> None:
    kind.writer(segment)
    reader = kind.reader(segment)
    struct.pack_into("<Q", segment, 128, 2**63 + 5)
    with pytest.raises(InvalidRing):
        reader.read()
