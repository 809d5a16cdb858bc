from __future__ import annotations

import asyncio
import time
from typing import NoReturn

import pytest

from feedmux.edge.deadlines import Deadlines
from feedmux.edge.house import House
from feedmux.edge.session import Rules
from support.edge import CONFIG, Edge
from support.loops import on_asyncio


class ManualClock:
    """Time that the test moves."""

    now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def time_ns(self) -> int:
        return 0


class Alarm(Deadlines):
    """Notes when it was called."""

    def __init__(self, house: House) -> None:
        super().__init__(house)
        self.calls: list[float] = []

    def overdue(self, now: float) -> None:
        self.calls.append(round(now - 1000, 1))

    def abort(self) -> None:
        raise AssertionError("nobody asked for this")


def no_session(*_: object) -> NoReturn:
    raise AssertionError("nobody connects")


@pytest.fixture
async def house() -> House:
    loop = asyncio.get_running_loop()
    return House(CONFIG, make_session=no_session, routes={}, clock=ManualClock(), loop=loop)


def pass_time(house: House, seconds: float, step: float = 0.1) -> None:
    clock = house.clock
    assert isinstance(clock, ManualClock)
    end = clock.now + seconds
    while clock.now < end - step / 2:
        clock.now += step
        house.look_around()


@pytest.mark.parametrize("delay", [0.0, 0.1, 0.35, 5.0, 102.4, 102.5, 300.0, 1000.0])
async def test_a_deadline_is_never_early_and_at_most_two_ticks_late(house: House, delay: float) -> None:
    alarm = Alarm(house)
    alarm.remind(delay)
    pass_time(house, delay + 1)
    assert len(alarm.calls) == 1
    assert delay - 0.01 <= alarm.calls[0] <= delay + 0.21


async def test_a_sooner_deadline_counts_and_a_later_one_does_not(house: House) -> None:
    alarm = Alarm(house)
    for delay in (20.0, 3.0, 5.0, 40.0):
        alarm.remind(delay)
    pass_time(house, 50)
    assert len(alarm.calls) == 1
    assert alarm.calls[0] == pytest.approx(3, abs=0.3)


async def test_entries_that_are_out_of_date_do_not_add_up(house: House) -> None:
    alarm = Alarm(house)
    for _ in range(100):
        alarm.remind(20)
        pass_time(house, 1)
        for _ in range(10):
            alarm.remind(5)
        pass_time(house, 1)
        assert len(house.wheel) < 12


async def test_a_deadline_set_while_the_loop_was_busy_is_kept(house: House) -> None:
    alarm = Alarm(house)
    pass_time(house, 1)
    assert isinstance(house.clock, ManualClock)
    house.clock.now += 3.0
    alarm.remind(0.5)
    pass_time(house, 2)
    assert len(alarm.calls) == 1
    assert 4.5 <= alarm.calls[0] <= 4.8


async def test_nothing_falls_due_after_retirement(house: House) -> None:
    alarm = Alarm(house)
    alarm.remind(1)
    alarm.retire()
    pass_time(house, 5)
    assert (alarm.calls, len(house.wheel)) == ([], 0)


@on_asyncio
async def test_a_client_is_looked_after_although_the_loop_was_busy_when_it_came() -> None:
    async with Edge(rules=Rules(subscribe_timeout_s=0.1)) as edge:
        edge.source.default = None
        with await edge.client() as client:
            time.sleep(0.3)  # noqa: ASYNC251 - somebody keeps the loop busy
            assert (await client.subscribe("ticker:BTCUSDT"))["pending"] == ["ticker:BTCUSDT"]
