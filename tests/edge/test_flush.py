from __future__ import annotations

import asyncio
from collections.abc import Sequence

from feedmux.core.outbox import Outbox, OutboxLimits
from feedmux.edge.flush import Flush
from support.loops import on_both_loops


class Sheet:
    """A writer that takes everything and remembers each call."""

    def __init__(self) -> None:
        self.calls: list[list[bytes]] = []

    def write(self, frames: Sequence[bytes], /) -> int:
        self.calls.append(list(frames))
        return len(frames)

    def overflow(self) -> None:
        raise AssertionError("nothing is full")


@on_both_loops
async def test_what_is_offered_in_one_turn_of_the_loop_leaves_in_one_write() -> None:
    flush = Flush(asyncio.get_running_loop())
    sheets = [Sheet() for _ in range(3)]
    outboxes = [Outbox(sheet, flush.mark, OutboxLimits()) for sheet in sheets]
    for outbox in outboxes[:2]:
        outbox.offer(b"1", "")
        outbox.offer(b"2", "")
    assert [sheet.calls for sheet in sheets] == [[], [], []], "not in the middle of a turn"
    await asyncio.sleep(0)
    assert [sheet.calls for sheet in sheets] == [[[b"1", b"2"]], [[b"1", b"2"]], []]


@on_both_loops
async def test_what_is_offered_while_others_are_drained_leaves_in_the_next_turn() -> None:
    flush = Flush(asyncio.get_running_loop())

    class Passing(Sheet):
        def write(self, frames: Sequence[bytes], /) -> int:
            second.offer(b"passed on", "")
            return super().write(frames)

    sheet, passing = Sheet(), Passing()
    second = Outbox(sheet, flush.mark, OutboxLimits())
    first = Outbox(passing, flush.mark, OutboxLimits())
    first.offer(b"1", "")
    await asyncio.sleep(0)
    assert (passing.calls, sheet.calls) == ([[b"1"]], [])
    await asyncio.sleep(0)
    assert sheet.calls == [[b"passed on"]]
    first.offer(b"2", "")
    await asyncio.sleep(0)
    assert passing.calls == [[b"1"], [b"2"]]


@on_both_loops
async def test_when_all_is_drained_it_says_so_once() -> None:
    done: list[list[int]] = []
    sheets = [Sheet() for _ in range(3)]
    flush = Flush(asyncio.get_running_loop(), lambda: done.append([len(sheet.calls) for sheet in sheets]))
    outboxes = [Outbox(sheet, flush.mark, OutboxLimits()) for sheet in sheets]
    for outbox in outboxes:
        outbox.offer(b"1", "")
    assert done == []
    await asyncio.sleep(0)
    assert done == [[1, 1, 1]]
    await asyncio.sleep(0)
    assert done == [[1, 1, 1]]
