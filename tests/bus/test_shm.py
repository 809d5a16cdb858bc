"""What only the bus through shared memory has: laps, records that do not fit, memory that is none."""

from __future__ import annotations

import asyncio
import os
import socket
import struct

import pytest

from feedmux.bus.shm import RingParts, ShmReader, ShmWriter
from feedmux.client.segment import make_bell, make_page
from feedmux.core.ring import HEADER_BYTES
from feedmux.model.errors import InvalidSetting
from feedmux.model.event import Envelope, EventKind, Position, State
from feedmux.model.link_errors import ConnectFailed
from feedmux.model.ring_errors import InvalidRing
from support.buses import Collector, ShmWiring, uncovered_holes
from support.envelopes import TICKER, TRADES, update
from support.loops import on_both_loops
from support.peers import open_descriptors
from support.waiting import until

SMALL = 64 * 1024


async def test_a_reader_that_was_lapped_is_told_and_wants_again() -> None:
    wiring, slow = ShmWiring(SMALL), Collector()
    (await wiring.reader("slow", slow)).want(TRADES)
    await until(lambda: len(slow.events) == 2)
    for _ in range(2_000):  # in one turn: the reader has no chance to read
        wiring.source.advance(TRADES, b"x" * 100)
    await until(lambda: slow.of(TRADES, EventKind.GAP))
    await until(lambda: wiring.source.calls.count(("want", TRADES, "slow")) == 2)
    wiring.source.advance(TRADES)
    await until(lambda: slow.updates(TRADES)[-1:] == [2_001])
    (gap,) = slow.of(TRADES, EventKind.GAP)
    assert gap.payload == b'{"from":1,"to":null,"reason":"lapped"}'
    assert slow.of(TRADES, EventKind.SNAPSHOT)[-1].position == Position(1, 2_000)
    assert not uncovered_holes(slow.events)
    await wiring.close()


async def test_an_event_that_no_record_holds_is_a_gap_of_one() -> None:
    wiring, sink = ShmWiring(SMALL), Collector()
    (await wiring.reader("a", sink)).want(TRADES)
    await until(lambda: len(sink.events) == 2)
    wiring.source.publisher.publish(update(TRADES, 1, b"x" * SMALL))
    wiring.source.publisher.publish(update(TRADES, 2))
    await until(lambda: sink.updates(TRADES) == [2])
    (gap,) = sink.of(TRADES, EventKind.GAP)
    assert gap.payload == b'{"from":1,"to":1,"reason":"link"}'
    assert wiring.writer.statistics()["unfit"] == 1
    await wiring.close()


async def test_of_a_topic_nothing_comes_before_its_state() -> None:
    """Another reader holds it, so its values are in the ring; they are not ours before we asked."""
    wiring, first, second = ShmWiring(), Collector(), Collector()
    (await wiring.reader("first", first)).want(TRADES)
    await until(lambda: len(first.events) == 2)
    late = await wiring.reader("second", second)
    late.want(TRADES)
    for _ in range(3):
        wiring.source.advance(TRADES)
    await until(lambda: second.of(TRADES, EventKind.SNAPSHOT))
    wiring.source.advance(TRADES)
    await until(lambda: second.updates(TRADES))
    assert second.events[0].kind is EventKind.STATUS
    assert second.events[1].position == Position(1, 3)
    assert second.updates(TRADES) == [4]
    await wiring.close()


@on_both_loops
async def test_a_reader_sleeps_and_is_woken_once_for_all_of_a_turn() -> None:
    wiring, sink = ShmWiring(), Collector()
    reader = await wiring.reader("a", sink)
    reader.want(TICKER)
    await until(lambda: len(sink.events) == 2)
    await until(lambda: wiring.writer.statistics()["readers"] == {"a": {"is_asleep": True}})
    before = wiring.writer.statistics()["ring"]["wakes"]  # type: ignore[index]
    for _ in range(100):
        wiring.source.advance(TICKER)
    await until(lambda: len(sink.updates(TICKER)) == 100)
    assert wiring.writer.statistics()["ring"]["wakes"] == before + 1  # type: ignore[index]
    await wiring.close()


async def test_much_is_read_in_several_turns() -> None:
    wiring, sink = ShmWiring(), Collector()
    (await wiring.reader("a", sink)).want(TICKER)
    await until(lambda: len(sink.events) == 2)
    for _ in range(10_000):
        wiring.source.advance(TICKER)
    seen: set[int] = set()
    while len(sink.updates(TICKER)) < 10_000:
        seen.add(len(sink.updates(TICKER)))
        await asyncio.sleep(0)
    assert len(seen) > 10, "it took everything in one turn, and nobody else had one"
    await wiring.close()


async def test_what_was_in_the_ring_when_the_writer_ended_is_read_before_its_end_is_told() -> None:
    wiring, sink = ShmWiring(), Collector()
    (await wiring.reader("a", sink)).want(TICKER)
    await until(lambda: len(sink.events) == 2)
    for _ in range(1_000):
        wiring.source.advance(TICKER)
    wiring.writer.close()
    await until(lambda: State.RECONNECTING in sink.states(TICKER))
    assert sink.updates(TICKER) == list(range(1, 1_001))
    assert sink.events[-1].kind is EventKind.STATUS
    await wiring.close()


async def test_a_writer_that_takes_over_has_its_own_ring() -> None:
    former, successor, sink = ShmWiring(), ShmWiring(), Collector()
    successor.source.epoch = 2
    reader = ShmReader(sink)
    await former.connect(reader, "a")
    reader.want(TICKER)
    await until(lambda: len(sink.events) == 2)
    former.source.advance(TICKER)
    await until(lambda: sink.updates(TICKER) == [1])
    await successor.connect(reader, "a")
    await until(lambda: ("forget", None, "a") in former.source.calls)
    await until(lambda: sink.of(TICKER, EventKind.SNAPSHOT)[-1].epoch == 2)
    successor.source.advance(TICKER)
    await until(lambda: sink.updates(TICKER) == [1, 1])
    kinds = [event.kind for event in sink.events[3:]]
    assert kinds[:2] == [EventKind.STATUS, EventKind.GAP], "reconnecting, and that something is missing"
    reader.close()
    await former.close()
    await successor.close()


async def test_a_ring_that_was_damaged_is_a_writer_that_ended() -> None:
    wiring, sink = ShmWiring(SMALL), Collector()
    (await wiring.reader("a", sink)).want(TICKER)
    await until(lambda: len(sink.events) == 2)
    memory = wiring.writer._memory
    position = struct.unpack_from("<Q", memory, 128)[0]
    wiring.source.advance(TICKER)
    await asyncio.sleep(0)  # the writer's turn ends, and shows it
    struct.pack_into("<I", memory, HEADER_BYTES + position, 2**31)
    await until(lambda: State.RECONNECTING in sink.states(TICKER))
    (status,) = [event for event in sink.events if b"reconnecting" in event.payload]
    assert b"the ring cannot be read" in status.payload
    await until(lambda: ("forget", None, "a") in wiring.source.calls)
    await wiring.close()


async def test_a_record_that_is_no_event_is_a_writer_that_ended() -> None:
    wiring, sink = ShmWiring(), Collector()
    (await wiring.reader("a", sink)).want(TICKER)
    await until(lambda: len(sink.events) == 2)
    text = TICKER.text.encode()
    wiring.writer._ring.write(b"xxxx" + len(text).to_bytes(2, "little") + bytes(42) + text)
    wiring.writer._ring.write(b"short, and of nobody's topic")
    wiring.source.advance(TICKER)
    await until(lambda: State.RECONNECTING in sink.states(TICKER))
    await wiring.close()


async def test_parts_that_are_none_are_named_and_nothing_is_left_open() -> None:
    async def attempt(ring: int, seat: int) -> None:
        ours, theirs = socket.socketpair()
        with ours, pytest.raises(InvalidRing, match="the memory of a"):
            await ShmReader(Collector()).attach(theirs, RingParts(ring, seat, make_bell()))

    before = open_descriptors()
    page, seat = make_page()
    page.close()
    await attempt(os.open(os.devnull, os.O_RDONLY), seat)
    await attempt(os.open(os.devnull, os.O_RDONLY), os.open(os.devnull, os.O_RDONLY))
    assert open_descriptors() == before

    wiring = ShmWiring(SMALL)
    ours, theirs = socket.socketpair()
    with theirs, pytest.raises(InvalidRing, match="the memory of a page"):
        await wiring.writer.attach(ours, "a", os.open(os.devnull, os.O_RDONLY), make_bell())
    await wiring.close()
    assert open_descriptors() == before


@pytest.mark.parametrize(("place", "value", "what"), [(8, 2, "its version"), (16, 1 << 40, "its size")])
async def test_a_ring_of_another_version_or_size_is_named_and_nothing_is_left_open(
    place: int, value: int, what: str
) -> None:
    before = open_descriptors()
    wiring = ShmWiring(SMALL)
    struct.pack_into("<I" if place == 8 else "<Q", wiring.writer._memory, place, value)
    ours, theirs = socket.socketpair()
    page, seat = make_page()
    page.close()
    with ours, pytest.raises(InvalidRing, match=what):
        parts = RingParts(os.dup(wiring.writer.descriptor), seat, make_bell())
        await ShmReader(Collector()).attach(theirs, parts)
    await wiring.close()
    assert open_descriptors() == before


async def test_a_socket_that_is_none_is_named_and_nothing_is_left_open() -> None:
    before = open_descriptors()
    wiring = ShmWiring(SMALL)
    for _ in range(2):
        page, seat = make_page()
        page.close()
        loose = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        with pytest.raises(ConnectFailed):
            await wiring.writer.attach(loose, "a", seat, make_bell())
        page, seat = make_page()
        page.close()
        loose = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        with pytest.raises(ConnectFailed):
            parts = RingParts(os.dup(wiring.writer.descriptor), seat, make_bell())
            await ShmReader(Collector()).attach(loose, parts)
    await wiring.close()
    assert open_descriptors() == before


async def test_readers_that_come_and_go_leave_nothing() -> None:
    wiring = ShmWiring(SMALL)
    before = open_descriptors()
    for number in range(50):
        reader = await wiring.reader(f"r{number % 3}", Collector())
        reader.want(TICKER)
        if number % 2:
            reader.close()
    for reader in wiring.readers:
        reader.close()
    await until(lambda: wiring.writer.statistics()["readers"] == {})
    await until(lambda: open_descriptors() == before)
    assert wiring.writer.statistics()["ring"]["readers"] == 0  # type: ignore[index]
    await wiring.close()


@pytest.mark.parametrize("capacity", [0, 1000, 3 << 20])
def test_a_ring_of_no_size_is_named(capacity: int) -> None:
    with pytest.raises(InvalidSetting, match="capacity"):
        ShmWriter(capacity=capacity)


async def test_nothing_is_published_for_nobody() -> None:
    writer = ShmWriter(capacity=SMALL)
    writer.publish(Envelope(TICKER, 1, 1, EventKind.UPDATE, 0, 0, "", b"{}"))
    assert writer.statistics()["ring"] == {"records": 0, "bytes": 0, "wakes": 0, "readers": 0}
    writer.close()
    writer.close()
