from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from feedmux.core.outbox import OutboxLimits
from support.hubs import Reader
from support.loops import on_both_loops
from support.sockets import Twin, on_both_twins
from support.waiting import until


class Sheet:
    """A writer that takes everything and remembers each call."""

    def __init__(self) -> None:
        self.calls: list[list[bytes]] = []

    def write(self, frames: Sequence[bytes], /) -> int:
        self.calls.append(list(frames))
        return len(frames)

    def overflow(self) -> None:
        raise AssertionError("nothing is full")

    def rest(self, data: bytes, /) -> bool:
        raise AssertionError("no descriptor was lent")

    def broken(self) -> None:
        raise AssertionError("no descriptor was lent")


class Bench:
    """Outboxes of one flush, each in a row of its own."""

    def __init__(self, twin: Twin, most: int = 512, after: Callable[[], None] | None = None) -> None:
        self.twin = twin
        self.flush = twin.flush(asyncio.get_running_loop().call_soon, most, after)
        self.rows: list[Any] = []

    def sit(self, sheet: Sheet) -> None:
        """Give ``sheet`` an outbox, the next one."""
        row = self.twin.row()
        dirty = self.flush if self.twin.name == "native" else self.flush.mark
        row.add(self.twin.outbox(sheet, dirty, OutboxLimits()), Reader())
        self.rows.append(row)

    def offer(self, index: int, frame: bytes) -> None:
        self.rows[index].offer(frame, "", 1, 1)


@on_both_twins
@on_both_loops
async def test_what_is_offered_in_one_turn_of_the_loop_leaves_in_one_write(twin: Twin) -> None:
    bench = Bench(twin)
    sheets = [Sheet() for _ in range(3)]
    for sheet in sheets:
        bench.sit(sheet)
    for index in range(2):
        bench.offer(index, b"1")
        bench.offer(index, b"2")
    assert [sheet.calls for sheet in sheets] == [[], [], []], "not in the middle of a turn"
    await asyncio.sleep(0)
    assert [sheet.calls for sheet in sheets] == [[[b"1", b"2"]], [[b"1", b"2"]], []]


@on_both_twins
@on_both_loops
async def test_what_is_offered_while_others_are_drained_leaves_in_the_next_turn(twin: Twin) -> None:
    bench = Bench(twin)

    class Passing(Sheet):
        def write(self, frames: Sequence[bytes], /) -> int:
            bench.offer(1, b"passed on")
            return super().write(frames)

    passing, sheet = Passing(), Sheet()
    bench.sit(passing)
    bench.sit(sheet)
    bench.offer(0, b"1")
    await asyncio.sleep(0)
    assert (passing.calls, sheet.calls) == ([[b"1"]], [])
    await asyncio.sleep(0)
    assert sheet.calls == [[b"passed on"]]
    bench.offer(0, b"2")
    await asyncio.sleep(0)
    assert passing.calls == [[b"1"], [b"2"]]


@on_both_twins
@pytest.mark.parametrize("most", [1, 3])
@on_both_loops
async def test_a_turn_drains_no_more_than_it_may_and_the_rest_in_order(twin: Twin, most: int) -> None:
    order: list[int] = []
    turns: list[int] = []

    class Numbered(Sheet):
        def __init__(self, number: int) -> None:
            super().__init__()
            self.number = number

        def write(self, frames: Sequence[bytes], /) -> int:
            order.append(self.number)
            return super().write(frames)

    bench = Bench(twin, most, lambda: turns.append(len(order)))
    sheets = [Numbered(number) for number in range(7)]
    for sheet in sheets:
        bench.sit(sheet)
    for index in range(7):
        bench.offer(index, b"1")
    await asyncio.sleep(0)
    assert order == list(range(most))
    bench.offer(6, b"2")
    await until(lambda: len(order) == 7)
    assert order == list(range(7))
    assert sheets[6].calls == [[b"1", b"2"]], "what came while it waited leaves in the same write"
    assert turns == [7], "all that was listed at one moment is drained"
    bench.offer(0, b"3")
    await until(lambda: turns == [7, 8])
