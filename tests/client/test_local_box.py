"""Events wait in a box: in order, for a task or a thread, and no end of them without a word."""

from __future__ import annotations

import asyncio

import pytest

from feedmux.client.local_box import EventBox
from feedmux.client.local_events import BrokerLog, LocalEvent, SocketData
from support.waiting import until


def data(number: int) -> SocketData:
    return SocketData(number, b"")


class Room:
    def __init__(self) -> None:
        self.told = 0

    def __call__(self) -> None:
        self.told += 1


async def test_events_come_in_order_and_then_their_end() -> None:
    box: EventBox[LocalEvent] = EventBox(9, Room())
    box.put(data(1))
    box.put(data(2))
    box.end()
    box.put(data(3))
    assert [await box.take(), await box.take(), await box.take()] == [data(1), data(2), None]


async def test_who_waits_is_woken() -> None:
    box: EventBox[LocalEvent] = EventBox(9, Room())
    waiting = asyncio.create_task(box.take())
    await asyncio.sleep(0)
    box.put(data(1))
    assert await waiting == data(1)
    waiting = asyncio.create_task(box.take())
    await asyncio.sleep(0)
    box.end()
    assert await waiting is None


async def test_who_no_longer_waits_takes_nothing() -> None:
    box: EventBox[LocalEvent] = EventBox(9, Room())
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.001):
            await box.take()
    box.put(data(1))
    assert await box.take() == data(1)


async def test_threads_take_each_event_once() -> None:
    box: EventBox[LocalEvent] = EventBox(9, Room())
    taken: list[object] = []

    def take() -> None:
        while (event := box.take_blocking()) is not None:
            taken.append(event)

    threads = [asyncio.create_task(asyncio.to_thread(take)) for _ in range(3)]
    for number in range(100):
        box.put(data(number))
        await asyncio.sleep(0)
    await until(lambda: len(taken) == 100)
    box.end()
    await asyncio.gather(*threads)
    assert sorted(event.id for event in taken if isinstance(event, SocketData)) == list(range(100))


async def test_a_thread_does_not_wait_for_ever() -> None:
    box: EventBox[LocalEvent] = EventBox(9, Room())
    with pytest.raises(TimeoutError, match="no event came"):
        await asyncio.to_thread(box.take_blocking, 0.001)


async def test_a_full_box_takes_everything_and_says_when_there_is_room() -> None:
    room = Room()
    box: EventBox[LocalEvent] = EventBox(4, room)
    assert box.has_room()
    for number in range(6):
        box.put(data(number))
    assert not box.has_room()
    for _ in range(3):
        await box.take()
    await asyncio.sleep(0)
    assert room.told == 0
    await box.take()
    await until(lambda: room.told == 1)
    assert box.has_room()


async def test_lines_of_the_log_are_let_go_and_counted() -> None:
    box: EventBox[LocalEvent] = EventBox(2, Room())
    for number in range(2):
        box.put(data(number))
    for _ in range(3):
        box.put(BrokerLog(2, "a line"))
    await box.take()
    box.put(BrokerLog(2, "the next"))
    box.end()
    texts = [event.text async for event in rest(box) if isinstance(event, BrokerLog)]
    assert texts == ["3 lines of the log were let go: they were not taken in time", "the next"]


async def rest(box: EventBox[LocalEvent]):  # type: ignore[no-untyped-def]
    while (event := await box.take()) is not None:
        yield event


async def test_what_is_thrown_away_does_not_come() -> None:
    box: EventBox[LocalEvent] = EventBox(9, Room())
    box.put(data(1))
    box.end(discard=True)
    assert await box.take() is None
