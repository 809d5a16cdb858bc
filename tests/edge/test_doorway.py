from __future__ import annotations

import asyncio

import pytest

from feedmux.client.clock import SystemClock
from feedmux.edge.doorway import Doorway
from support.loops import on_both_loops
from support.waiting import until


def doorway(turn_s: float) -> Doorway:
    return Doorway(3, turn_s, clock=SystemClock(), loop=asyncio.get_running_loop())


@on_both_loops
async def test_the_first_step_is_taken_at_once_and_what_a_turn_has_no_time_for_waits() -> None:
    taken: list[int] = []
    door = doorway(turn_s=1e-9)
    assert door.ask(lambda: taken.append(1))
    assert not door.ask(lambda: taken.append(2))
    assert (taken, door.waiting) == ([1], 1)
    await until(lambda: not door.waiting)
    assert taken == [1, 2]


@pytest.mark.parametrize("gone", [1, 3])
@on_both_loops
async def test_there_is_room_for_so_many_and_again_when_they_leave(gone: int) -> None:
    door = doorway(turn_s=0.001)
    for _ in range(3):
        assert not door.is_full
        door.enter()
    assert door.is_full
    assert door.statistics() == {"half_open": 3, "refused_half_open": 0, "handshakes_timed_out": 0}
    for _ in range(gone):
        door.leave()
    assert not door.is_full
    assert door.statistics()["half_open"] == 3 - gone
