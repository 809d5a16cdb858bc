from __future__ import annotations

import asyncio
import contextlib

import pytest

from feedmux.client.events import Dropped
from feedmux.client.inbox import Inbox
from feedmux.client.settings import WhenFull
from feedmux.model.errors import Overflow
from feedmux.model.link_errors import LinkLost


class Tap:
    """What a link's reading is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def pause(self) -> None:
        self.told.append("pause")

    def resume(self) -> None:
        self.told.append("resume")


def inbox(when_full: WhenFull = WhenFull.PAUSE, bound: int = 4) -> tuple[Inbox, Tap]:
    tap = Tap()
    return Inbox(bound, when_full, pause=tap.pause, resume=tap.resume), tap


async def test_what_comes_is_taken_in_order() -> None:
    box, _ = inbox()
    for number in range(3):
        box.put(number)
    assert [await box.get() for _ in range(3)] == [0, 1, 2]


async def test_who_waits_is_woken() -> None:
    box, _ = inbox()
    first, second = (asyncio.ensure_future(box.get()) for _ in range(2))
    await asyncio.sleep(0)
    box.put("a")
    box.put("b")
    assert [await first, await second] == ["a", "b"]


async def test_reading_pauses_at_the_bound_and_goes_on_at_half_of_it() -> None:
    box, tap = inbox()
    for number in range(6):
        box.put(number)
    assert (tap.told, len(box), box.is_paused) == (["pause"], 6, True)
    got = []
    while tap.told == ["pause"]:
        got.append(await box.get())
    assert (got, tap.told, len(box)) == ([0, 1, 2, 3], ["pause", "resume"], 2)


async def test_the_oldest_go_and_the_reader_is_told_once() -> None:
    box, tap = inbox(WhenFull.DROP)
    for number in range(7):
        box.put(number)
    assert await box.get() == Dropped(3)
    assert [await box.get() for _ in range(4)] == [3, 4, 5, 6]
    assert (box.dropped, tap.told) == (3, [])


async def test_a_full_one_may_be_an_error() -> None:
    box, _ = inbox(WhenFull.CLOSE)
    for number in range(4):
        box.put(number)
    with pytest.raises(Overflow, match="its bound is 4 messages"):
        box.put(5)
    assert len(box) == 4


async def test_after_the_end_the_rest_is_taken_and_then_the_reason() -> None:
    box, _ = inbox()
    box.put(1)
    box.close(LinkLost("gone"))
    box.close(None)
    assert await box.get() == 1
    for _ in range(2):
        with pytest.raises(LinkLost, match="gone"):
            await box.get()


async def test_after_a_peaceful_end_there_is_nothing_more() -> None:
    box, _ = inbox()
    waiting = asyncio.ensure_future(box.get())
    await asyncio.sleep(0)
    box.close(None)
    with pytest.raises(StopAsyncIteration):
        await waiting


@pytest.mark.parametrize("is_woken", [False, True])
async def test_a_reader_that_is_cancelled_takes_nothing_with_it(is_woken: bool) -> None:
    box, _ = inbox()
    first, second = (asyncio.ensure_future(box.get()) for _ in range(2))
    await asyncio.sleep(0)
    if is_woken:
        box.put("a")
    first.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await first
    if not is_woken:
        box.put("a")
    async with asyncio.timeout(5):
        assert await second == "a"
