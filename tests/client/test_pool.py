from __future__ import annotations

import asyncio
from typing import Any

import pytest

from feedmux.client.pool import Pool
from feedmux.client.telemetry import Telemetry
from feedmux.client.telemetry_events import PoolFailover, PoolHealth, PoolRoute, TelemetryEvent
from feedmux.core.pool import Vitals
from feedmux.model.errors import InvalidSetting, Overflow, Refused
from feedmux.model.link_errors import AttemptsFailed, ConnectFailed, LinkLost, NoConnections, RequestLost
from support.loops import on_asyncio
from support.waiting import until


def unsent(reason: str) -> RequestLost:
    return RequestLost("buy", reason, maybe_executed=False)


class Stepping:
    now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def time_ns(self) -> int:
        return int(self.now * 1e9)


class Member:
    """Answers, or fails as it is told; knows how many requests wait."""

    def __init__(self, name: str, *problems: Exception, is_open: bool = True) -> None:
        self.name, self.problems, self.is_open = name, list(problems), is_open
        self.asked: list[tuple[str, object, float | None]] = []
        self.pending = 0
        self.p99_ms: float | None = None
        self.gate: asyncio.Event | None = None

    def vitals(self) -> Vitals | None:
        return Vitals(self.pending, self.p99_ms) if self.is_open else None

    async def request(self, method: str, params: object = None, /, *, timeout_s: float | None = None) -> Any:
        self.asked.append((method, params, timeout_s))
        if self.problems:
            raise self.problems.pop(0)
        self.pending += 1
        try:
            if self.gate is not None:
                await self.gate.wait()
        finally:
            self.pending -= 1
        return self.name


def pool_of(*members: Member, **options: Any) -> Pool:
    return Pool({member.name: member for member in members}, **options)


@on_asyncio
async def test_equals_are_asked_in_turns_with_all_that_was_given() -> None:
    one, other = Member("one"), Member("other")
    pool = pool_of(one, other)
    assert [await pool.request("get", {"n": n}, timeout_s=2.0) for n in range(3)] == ["one", "other", "one"]
    assert other.asked == [("get", {"n": 1}, 2.0)]


@on_asyncio
async def test_who_has_much_to_do_or_is_slow_is_asked_last() -> None:
    one, other = Member("one"), Member("other")
    pool = pool_of(one, other)
    one.gate = asyncio.Event()
    waiting = asyncio.create_task(pool.request("slow"))
    await until(lambda: one.pending == 1)
    assert [await pool.request("get") for _ in range(2)] == ["other", "other"]
    one.gate.set()
    assert await waiting == "one"
    other.p99_ms = 25.0
    assert [await pool.request("get") for _ in range(2)] == ["one", "one"]
    assert pool.health() == {"one": 100, "other": 99}


@pytest.mark.parametrize(
    "problem",
    [unsent("down"), ConnectFailed("ws://h", "refused"), Overflow("the write buffer", "1 byte")],
)
@on_asyncio
async def test_what_was_not_sent_is_sent_by_another_member(problem: Exception) -> None:
    bad, good = Member("bad", problem), Member("good")
    pool = pool_of(bad, good)
    assert await pool.request("buy") == "good"
    assert (len(bad.asked), len(good.asked)) == (1, 1)
    assert pool.health() == {"bad": 85, "good": 100}
    assert pool.statistics() == {
        "members": 2, "health": {"bad": 85, "good": 100}, "requests": 1, "failovers": 1, "uncertain": 0,
    }  # fmt: skip


@pytest.mark.parametrize("problem", [LinkLost("cut"), TimeoutError("3 s"), ConnectionResetError("reset")])
@on_asyncio
async def test_what_may_have_been_executed_is_never_sent_twice(problem: Exception) -> None:
    bad, good = Member("bad", problem), Member("good")
    pool = pool_of(bad, good)
    with pytest.raises(RequestLost) as caught:
        await pool.request("buy")
    assert (len(bad.asked), len(good.asked)) == (1, 0)
    assert caught.value.maybe_executed
    assert caught.value.reason == f"bad: {type(problem).__name__}: {problem}"
    assert caught.value.__cause__ is problem
    assert pool.statistics()["uncertain"] == 1
    assert pool.health() == {"bad": 85, "good": 100}


@on_asyncio
async def test_also_not_by_a_member_that_is_asked_second() -> None:
    first, second, third = Member("1", unsent("down")), Member("2", LinkLost("cut")), Member("3")
    with pytest.raises(RequestLost, match="2: LinkLost"):
        await pool_of(first, second, third).request("buy")
    assert third.asked == []


@on_asyncio
async def test_what_is_repeatable_is_asked_again_elsewhere() -> None:
    bad, good = Member("bad", TimeoutError("3 s")), Member("good")
    assert await pool_of(bad, good).request("ticker", repeatable=True) == "good"


@pytest.mark.parametrize("problem", [Refused("buy", "no funds"), ZeroDivisionError()])
@on_asyncio
async def test_what_the_other_side_says_is_the_answer(problem: Exception) -> None:
    one, other = Member("one", problem), Member("other")
    pool = pool_of(one, other)
    with pytest.raises(type(problem)):
        await pool.request("buy", repeatable=True)
    assert other.asked == []
    assert pool.health() == {"one": 100, "other": 100}


@on_asyncio
async def test_three_members_are_tried_and_then_it_says_why_in_vain() -> None:
    members = [Member(str(n), unsent(f"down {n}")) for n in range(5)]
    pool = pool_of(*members)
    with pytest.raises(AttemptsFailed) as caught:
        await pool.request("buy")
    assert caught.value.attempts == tuple((str(n), f"RequestLost: {unsent(f'down {n}')}") for n in range(3))
    assert isinstance(caught.value.__cause__, RequestLost)
    assert [len(member.asked) for member in members] == [1, 1, 1, 0, 0]


@on_asyncio
async def test_no_member_is_tried_twice_for_one_request() -> None:
    only = Member("only", unsent("down"))
    pool = pool_of(only)
    with pytest.raises(AttemptsFailed):
        await pool.request("buy")
    assert len(only.asked) == 1
    assert await pool.request("buy") == "only"


@on_asyncio
async def test_nobody_to_ask_is_an_error_of_its_own() -> None:
    with pytest.raises(NoConnections, match="the pool has 0 members"):
        await pool_of().request("buy")
    away = Member("away", is_open=False)
    pool = pool_of(away)
    with pytest.raises(NoConnections, match="1 members"):
        await pool.request("buy")
    assert pool.health() == {}
    away.is_open = True
    assert await pool.request("buy") == "away"


@on_asyncio
async def test_errors_count_for_a_minute() -> None:
    clock = Stepping()
    bad, good = Member("bad", *(unsent("down") for _ in range(3))), Member("good")
    pool = pool_of(bad, good, clock=clock)
    assert [await pool.request("buy") for _ in range(5)] == ["good"] * 5
    assert len(bad.asked) == 1, "after its failure it is not the best any more"
    clock.now += 60.0
    assert pool.health() == {"bad": 100, "good": 100}
    assert [await pool.request("buy") for _ in range(2)] == ["good", "good"]
    assert len(bad.asked) == 2


@on_asyncio
async def test_members_may_come_and_go() -> None:
    members = {"a": Member("a", LinkLost("cut"))}
    pool = Pool(members)
    with pytest.raises(RequestLost):
        await pool.request("buy")
    members["b"] = Member("b")
    assert await pool.request("buy") == "b"
    del members["b"]
    assert await pool.request("buy") == "a"
    assert repr(pool) == "<Pool of 1>"


@on_asyncio
async def test_each_step_is_told() -> None:
    told: list[TelemetryEvent] = []
    bad, good = Member("bad", unsent("down")), Member("good")
    pool = pool_of(bad, good, telemetry=Telemetry(told.append))
    await pool.request("buy")
    pool.health()
    assert told == [
        PoolRoute(health=100, pool_size=2, selected="bad"),
        PoolRoute(health=100, pool_size=2, selected="good"),
        PoolFailover(attempt=1, failed="bad", reason=f"RequestLost: {unsent('down')}"),
        PoolHealth(pool_size=2, avg_health=92.5),
    ]
    told.clear()
    with pytest.raises(NoConnections):
        await pool_of(telemetry=Telemetry(told.append)).request("buy")
    pool_of(telemetry=Telemetry(told.append)).health()
    assert told == [PoolHealth(pool_size=0, avg_health=0.0)]


@on_asyncio
async def test_a_cancelled_request_is_nobodys_failure() -> None:
    member = Member("one")
    member.gate = asyncio.Event()
    pool = pool_of(member)
    task = asyncio.create_task(pool.request("slow"))
    await until(lambda: member.pending == 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert pool.health() == {"one": 100}


def test_a_pool_makes_at_least_one_attempt() -> None:
    for attempts in (0, -1, 1.5, "3", True, None):
        with pytest.raises(InvalidSetting, match="attempts"):
            pool_of(attempts=attempts)
    for members in (None, 5, ["a"], "abc"):
        with pytest.raises(InvalidSetting, match=r"members: .* expected connections by name"):
            Pool(members)  # type: ignore[arg-type]
    with pytest.raises(InvalidSetting, match="a value of type int, without 'vitals'"):
        Pool({"a": 5})  # type: ignore[dict-item]
