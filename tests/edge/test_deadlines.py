from __future__ import annotations

import time
from weakref import ref

import pytest

from feedmux.core.wheel import Wheel
from feedmux.edge.deadlines import Deadlines
from feedmux.edge.session import Rules
from support.edge import Edge
from support.loops import on_asyncio


class ManualClock:
    """Time that the test moves."""

    now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def time_ns(self) -> int:
        return 0


class Keeper:
    """The owner of a wheel, turned when the test says so."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.wheel: Wheel[ref[Deadlines]] = Wheel(0.1, 1024, self.clock.now)

    def pass_time(self, seconds: float) -> None:
        """Let time pass in ticks."""
        for _ in range(round(seconds / 0.1)):
            self.clock.now += 0.1
            for reference in self.wheel.advance(self.clock.now):
                alarm = reference()
                if alarm is not None:
                    alarm.due(self.clock.now)


class Alarm(Deadlines):
    """Notes when it was called."""

    def __init__(self, keeper: Keeper) -> None:
        super().__init__(keeper)
        self.calls: list[float] = []

    def overdue(self, now: float) -> None:
        self.calls.append(round(now - 1000, 1))

    def abort(self) -> None:
        raise AssertionError("nobody asked for this")


@pytest.fixture
def keeper() -> Keeper:
    return Keeper()


@pytest.mark.parametrize("delay", [0.0, 0.1, 0.35, 5.0, 102.4, 102.5, 300.0, 1000.0])
def test_a_deadline_is_never_early_and_at_most_two_ticks_late(keeper: Keeper, delay: float) -> None:
    alarm = Alarm(keeper)
    alarm.remind(delay)
    keeper.pass_time(delay + 1)
    assert len(alarm.calls) == 1
    assert delay - 0.01 <= alarm.calls[0] <= delay + 0.21


def test_a_sooner_deadline_counts_and_a_later_one_does_not(keeper: Keeper) -> None:
    alarm = Alarm(keeper)
    for delay in (20.0, 3.0, 5.0, 40.0):
        alarm.remind(delay)
    keeper.pass_time(50)
    assert len(alarm.calls) == 1
    assert alarm.calls[0] == pytest.approx(3, abs=0.3)


def test_entries_that_are_out_of_date_do_not_add_up(keeper: Keeper) -> None:
    alarm = Alarm(keeper)
    for _ in range(100):
        alarm.remind(20)
        keeper.pass_time(1)
        for _ in range(10):
            alarm.remind(5)
        keeper.pass_time(1)
        assert len(keeper.wheel) < 12


def test_a_deadline_set_while_the_loop_was_busy_is_kept(keeper: Keeper) -> None:
    alarm = Alarm(keeper)
    keeper.pass_time(1)
    keeper.clock.now += 3.0
    alarm.remind(0.5)
    keeper.pass_time(2)
    assert len(alarm.calls) == 1
    assert 4.5 <= alarm.calls[0] <= 4.8


def test_nothing_falls_due_after_retirement(keeper: Keeper) -> None:
    alarm = Alarm(keeper)
    alarm.remind(1)
    alarm.retire()
    keeper.pass_time(5)
    assert (alarm.calls, len(keeper.wheel)) == ([], 0)


@on_asyncio
async def test_a_client_is_looked_after_although_the_loop_was_busy_when_it_came() -> None:
    async with Edge(rules=Rules(subscribe_timeout_s=0.1)) as edge:
        edge.source.default = None
        with await edge.client() as client:
            time.sleep(0.3)  # noqa: ASYNC251 - somebody keeps the loop busy
            assert (await client.subscribe("ticker:BTCUSDT"))["pending"] == ["ticker:BTCUSDT"]
