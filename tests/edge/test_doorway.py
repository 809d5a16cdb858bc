from __future__ import annotations

import asyncio

from feedmux.edge.doorway import Doorway
from support.loops import on_both_loops


class HandClock:
    """Stands still unless it is moved."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now

    def time_ns(self) -> int:
        return int(self.now * 1e9)


class Steps:
    """Steps that take 1 ms each, by the clock of the doorway that they are asked of.

    Args:
        turn_s: of the doorway.
    """

    def __init__(self, turn_s: float = 0.003) -> None:
        self.clock = HandClock()
        self.doorway = Doorway(3, turn_s, clock=self.clock, loop=asyncio.get_running_loop())
        self.taken: list[int] = []

    def ask(self, number: int) -> bool:
        return self.doorway.ask(lambda: self._take(number))

    def _take(self, number: int) -> None:
        self.clock.now += 0.001
        self.taken.append(number)


@on_both_loops
async def test_steps_are_taken_at_once_while_the_turn_has_time() -> None:
    steps = Steps()
    assert [steps.ask(number) for number in range(5)] == [True, True, True, False, False]
    assert steps.taken == [0, 1, 2]
    assert steps.doorway.waiting == 2


@on_both_loops
async def test_there_is_room_for_so_many_and_again_when_they_leave() -> None:
    doorway = Steps().doorway
    for _ in range(3):
        assert not doorway.is_full
        doorway.enter()
    assert doorway.is_full
    assert doorway.statistics() == {"half_open": 3, "refused_half_open": 0, "handshakes_timed_out": 0}
    doorway.leave()
    assert not doorway.is_full
