"""What only the native ring has: memory that is let go by hand. tests/core/test_ring.py has the rest."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator

import pytest

from feedmux._native.ring import RingReader, RingWriter, Seat
from feedmux.client.segment import make_bell
from feedmux.core.ring import PAGE_BYTES, segment_bytes
from feedmux.model.ring_errors import InvalidRing, RecordTooLarge


@pytest.fixture
def segment() -> bytearray:
    return bytearray(segment_bytes(1024))


@pytest.fixture
def bell() -> Iterator[int]:
    bell = make_bell()
    yield bell
    os.close(bell)


def write(writer: RingWriter) -> None:
    writer.write(bytes(48))
    writer.flush()


def test_a_closed_ring_reads_nothing_and_takes_nothing(segment: bytearray) -> None:
    writer, reader = RingWriter(segment), RingReader(segment)
    write(writer)
    writer.close()
    writer.close()
    assert reader.read() == bytes(48)
    reader.close()
    reader.close()
    assert reader.read() is None
    assert reader.lag == 0
    with pytest.raises(RecordTooLarge):
        writer.write(b"")
    assert writer.flush() == 0
    segment.clear()  # nobody holds it any more


def test_a_closed_seat_is_nobodys(segment: bytearray, bell: int) -> None:
    page = bytearray(PAGE_BYTES)
    seat = Seat(page, bell)
    writer = RingWriter(segment)
    writer.add(seat)
    seat.set(True)
    seat.close()
    assert not seat.is_asleep
    write(writer)
    page.clear()


def test_a_seat_needs_its_four_bytes() -> None:
    with pytest.raises(InvalidRing, match="a seat"):
        Seat(bytearray(3), 0)


def test_memory_that_goes_with_a_circle_of_references_is_given_back() -> None:
    """The collector of circles lets go of everything in an order of its own."""
    segment, page = bytearray(segment_bytes(1024)), bytearray(PAGE_BYTES)
    holder: dict[str, object] = {"writer": RingWriter(segment), "reader": RingReader(segment, Seat(page, 0))}
    holder["itself"] = holder
    del holder
    gc.collect()
    segment.clear()  # nobody holds it any more
    page.clear()
