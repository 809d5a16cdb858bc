from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest

from feedmux.edge.turnstile import Turnstile
from support.loops import on_both_loops
from support.waiting import until


class HandClock:
    """Stands still unless it is moved."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now

    def time_ns(self) -> int:
        return int(self.now * 1e9)


class Steps:
    """Steps that take 1 ms each, by the clock of the turnstile that they are asked of.

    Args:
        turn_s: of the turnstile.
    """

    def __init__(self, turn_s: float = 0.003) -> None:
        self.clock = HandClock()
        self.stile = Turnstile(turn_s, clock=self.clock, loop=asyncio.get_running_loop())
        self.taken: list[int] = []

    def ask(self, number: int) -> bool:
        return self.stile.ask(lambda: self._take(number))

    def _take(self, number: int) -> None:
        self.clock.now += 0.001
        self.taken.append(number)


def fail() -> None:
    raise ValueError("a defect")


@on_both_loops
async def test_steps_are_taken_at_once_while_the_turn_has_time() -> None:
    steps = Steps()
    assert [steps.ask(number) for number in range(5)] == [True, True, True, False, False]
    assert steps.taken == [0, 1, 2]
    assert steps.stile.waiting == 2


@on_both_loops
async def test_the_rest_follows_in_later_turns_in_its_order_and_bounded_too() -> None:
    steps = Steps()
    for number in range(10):
        steps.ask(number)
    by_turn = [len(steps.taken)]
    while steps.stile.waiting:
        await asyncio.sleep(0)
        by_turn.append(len(steps.taken))
    assert steps.taken == list(range(10))
    assert by_turn == sorted(by_turn)
    assert all(later - earlier <= 3 for earlier, later in pairwise(by_turn))


@on_both_loops
async def test_who_comes_while_others_wait_waits_behind_them() -> None:
    steps = Steps(turn_s=0.001)
    for number in range(3):
        steps.ask(number)
    await asyncio.sleep(0)
    assert not steps.ask(3)
    await until(lambda: not steps.stile.waiting)
    assert steps.taken == [0, 1, 2, 3]


@on_both_loops
async def test_the_next_turn_has_time_of_its_own() -> None:
    steps = Steps(turn_s=0.001)
    for number in range(5):
        assert steps.ask(number)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert steps.taken == list(range(5))


@on_both_loops
async def test_one_that_raises_does_not_keep_the_others_waiting() -> None:
    steps = Steps(turn_s=0.001)
    faults: list[object] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: faults.append(context["exception"]))
    steps.ask(0)
    steps.stile.ask(fail)
    steps.ask(2)
    await until(lambda: not steps.stile.waiting)
    assert steps.taken == [0, 2]
    assert [type(fault) for fault in faults] == [ValueError]
    with pytest.raises(ValueError, match="a defect"):
        Steps().stile.ask(fail)
