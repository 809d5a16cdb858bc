from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from feedmux.model.ring_errors import NoMemory, RecordTooLarge
from feedmux.share import outlet as outlets
from feedmux.share.outlet import Outlet, told
from feedmux.wire.local_records import AGAIN, Entry, What
from support.share_client import Ring
from support.share_scene import open_descriptors
from support.waiting import until

CAPACITY = 64 * 1024
PART = CAPACITY // 16 - 24 - 32


@pytest.fixture(name="outlet")
async def _outlet() -> Iterator[Outlet]:  # type: ignore[misc]
    before = open_descriptors()
    outlet = Outlet(CAPACITY)
    yield outlet
    outlet.close()
    outlet.close()
    assert open_descriptors() == before


@pytest.fixture(name="ring")
def _ring(outlet: Outlet) -> Iterator[Ring]:
    place, lent = outlet.seat()
    ring = Ring(*lent, start=outlet.end)
    yield ring
    ring.close()
    outlet.unseat(place)


async def test_entries_are_as_the_document_says(outlet: Outlet, ring: Ring) -> None:
    outlet.write(told(What.CLOSED, "why", 5, code=1012, flags=AGAIN))
    outlet.write(Entry(What.TEXT, b"data", 0, 2**62))
    assert ring.read() is None  # it is shown when the turn ends
    item = ring.wait() if outlet.end else None
    assert item == (4, 1, 1012, 0, 0, 5, b"why")
    assert ring.wait() == (1, 0, 0, 0, 0, 2**62, b"data")


async def test_who_sleeps_is_woken_at_the_end_of_the_turn(outlet: Outlet, ring: Ring) -> None:
    ring.page[:4] = b"\1\0\0\0"
    outlet.write(Entry(What.TEXT, b"data"))
    await until(lambda: ring.page[:4] == bytes(4))
    assert os.eventfd_read(ring.bell) == 1


@pytest.mark.parametrize("before", [0, 1, CAPACITY // 2, CAPACITY - 100])
@pytest.mark.parametrize("size", [0, CAPACITY // 16 * 7 - 56, CAPACITY // 16 * 7 - 55, 14 * PART])
async def test_no_message_overwrites_its_own_beginning(
    outlet: Outlet, ring: Ring, before: int, size: int
) -> None:
    while outlet.end % CAPACITY < before:
        outlet.write(Entry(What.TEXT, b"x" * 20))
        assert outlet.end
        ring.wait()
    message = os.urandom(size)
    outlet.write(Entry(What.BINARY, message))
    assert outlet.end
    assert ring.message() == message
    assert ring.missed == 0


async def test_parts_say_how_much_follows(outlet: Outlet, ring: Ring) -> None:
    size = CAPACITY // 2
    outlet.write(Entry(What.BINARY, bytes(size), 0, 9))
    assert outlet.end
    parts = []
    while (item := ring.read()) is not None:
        parts.append(item)
    assert {(item.what, item.received_ns) for item in parts} == {(2, 9)}
    assert [item.remaining for item in parts] == [max(size - PART * n, 0) for n in range(1, len(parts) + 1)]


async def test_what_cannot_fit_is_refused_whole(outlet: Outlet, ring: Ring) -> None:
    with pytest.raises(RecordTooLarge):
        outlet.write(Entry(What.TEXT, bytes(14 * PART + 1)))
    assert outlet.end == ring.cursor


async def test_without_memory_for_a_seat_nothing_is_left(
    outlet: Outlet, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = open_descriptors()

    def refuse() -> int:
        raise NoMemory(8, "no")

    monkeypatch.setattr(outlets, "make_bell", refuse)
    with pytest.raises(NoMemory):
        outlet.seat()
    assert open_descriptors() == before
    assert outlet.statistics()["readers"] == 0
