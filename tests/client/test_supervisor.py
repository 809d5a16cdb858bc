from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from feedmux.client.carrier import Carrier
from feedmux.client.settings import LinkConfig
from feedmux.client.supervisor import Keep, Supervisor, SupervisorConfig
from feedmux.client.telemetry import Telemetry
from feedmux.client.telemetry_events import SupervisorRestart, TelemetryEvent
from feedmux.core.reconnect import Backoff
from feedmux.model.errors import Duplicate, IllegalEvent, InvalidSetting, TooManyRestarts
from support.loops import on_asyncio
from support.peers import make_link, raw_server, says
from support.waiting import until

QUICK = SupervisorConfig(backoff=Backoff(initial=0.0005, multiplier=2.0, ceiling=0.002))


class Child:
    """Runs until it is told how to end; remembers how often it was started and stopped."""

    def __init__(self, *ends: BaseException | None) -> None:
        self.ends = list(ends)
        self.starts = self.running = self.most = self.cancelled = 0

    async def __call__(self) -> None:
        self.starts += 1
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            if not self.ends:
                await asyncio.Event().wait()
            end = self.ends.pop(0)
            await asyncio.sleep(0)
            if end is not None:
                raise end
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.running -= 1


class Stepping:
    """A clock that a test moves."""

    now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def time_ns(self) -> int:
        return int(self.now * 1e9)


class High:
    def uniform(self, low: float, high: float, /) -> float:
        return high


@on_asyncio
async def test_a_child_that_fails_is_started_again() -> None:
    child = Child(ValueError("one"), OSError("two"))
    async with Supervisor(QUICK) as supervisor:
        supervisor.add("child", child)
        await until(lambda: child.starts == 3)
        assert supervisor.names == ("child",)
        assert supervisor.statistics() == {
            "children": 1, "restarts": 2, "recent_restarts": 2, "given_up": 0,
        }  # fmt: skip
    assert (child.cancelled, child.running, child.most) == (1, 0, 1)


@pytest.mark.parametrize(
    ("keep", "end", "starts"),
    [
        (Keep.ALWAYS, None, 2),
        (Keep.ALWAYS, ValueError(), 2),
        (Keep.ON_FAILURE, None, 1),
        (Keep.ON_FAILURE, ValueError(), 2),
        (Keep.NEVER, None, 1),
        (Keep.NEVER, ValueError(), 1),
    ],
)
@on_asyncio
async def test_each_policy_answers_each_end(keep: Keep, end: Exception | None, starts: int) -> None:
    child = Child(end)
    async with Supervisor(QUICK) as supervisor:
        supervisor.add("child", child, keep=keep)
        await until(lambda: child.starts == starts and (starts == 2 or not supervisor.names))
        assert supervisor.statistics()["restarts"] == starts - 1
        if starts == 1:
            supervisor.add("child", Child())
            assert supervisor.names == ("child",), "the name is free again"


@on_asyncio
async def test_the_eleventh_failure_within_a_minute_stops_everything() -> None:
    bad, good = Child(*(ValueError(f"number {n}") for n in range(20))), Child()
    config = SupervisorConfig(backoff=QUICK.backoff)
    reached = False
    with pytest.raises(TooManyRestarts) as caught:
        async with Supervisor(config, clock=Stepping()) as supervisor:
            supervisor.add("bad", bad)
            supervisor.add("good", good)
            await supervisor.wait()
            reached = True
    assert not reached
    assert bad.starts == 11
    assert (good.starts, good.cancelled, good.running) == (1, 1, 0)
    assert caught.value.limit == 10
    assert caught.value.failures == tuple(("bad", f"ValueError: number {n}") for n in range(11))
    assert isinstance(caught.value.__cause__, ValueError)
    with pytest.raises(IllegalEvent):
        supervisor.add("late", good)
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


@on_asyncio
async def test_nothing_is_added_to_what_is_being_stopped() -> None:
    config = SupervisorConfig(max_restarts=0, backoff=QUICK.backoff)
    with pytest.raises(TooManyRestarts):
        async with Supervisor(config) as supervisor:
            supervisor.add("bad", Child(ValueError()))
            try:
                await supervisor.wait()
            finally:
                with pytest.raises(IllegalEvent):
                    supervisor.add("late", Child())


@on_asyncio
async def test_failures_of_all_children_count_together() -> None:
    config = SupervisorConfig(max_restarts=3, backoff=QUICK.backoff)
    one, two = Child(ValueError("1"), ValueError("2")), Child(OSError("3"), OSError("4"))
    with pytest.raises(TooManyRestarts) as caught:
        async with Supervisor(config) as supervisor:
            supervisor.add("one", one)
            supervisor.add("two", two)
            await supervisor.wait()
    assert sorted(name for name, _ in caught.value.failures) == ["one", "one", "two", "two"]


@on_asyncio
async def test_failures_that_are_far_apart_are_tolerated_for_ever() -> None:
    clock, child = Stepping(), Child()

    async def run() -> None:
        clock.now += 31.0
        child.starts += 1
        if child.starts < 30:
            raise ValueError
        await asyncio.Event().wait()

    config = SupervisorConfig(max_restarts=2, backoff=QUICK.backoff)
    async with Supervisor(config, clock=clock) as supervisor:
        supervisor.add("child", run)
        await until(lambda: child.starts == 30)


@on_asyncio
async def test_a_child_that_always_returns_at_once_is_too_much_too() -> None:
    config = SupervisorConfig(max_restarts=2, backoff=QUICK.backoff)
    with pytest.raises(TooManyRestarts, match="child: it returned"):
        async with Supervisor(config) as supervisor:
            supervisor.add("child", Child(None, None, None), keep=Keep.ALWAYS)
            await supervisor.wait()


@on_asyncio
async def test_waits_grow_with_failures_in_a_row_and_begin_anew_after_a_good_run() -> None:
    clock, told = Stepping(), list[TelemetryEvent]()
    starts = 0

    async def run() -> None:
        nonlocal starts
        starts += 1
        clock.now += 5.0 if starts == 4 else 0.001
        if starts < 6:
            raise ValueError("why")
        await asyncio.Event().wait()

    telemetry = Telemetry(told.append)
    async with Supervisor(QUICK, clock=clock, dice=High(), telemetry=telemetry) as supervisor:
        supervisor.add("child", run)
        await until(lambda: starts == 6)
    assert told == [
        SupervisorRestart(failures=failures, wait_ms=wait_ms, child="child", reason="ValueError: why")
        for failures, wait_ms in [(1, 0.5), (2, 1.0), (3, 2.0), (1, 0.5), (2, 1.0)]
    ]


def test_the_default_waits_let_a_hopeless_child_reach_the_limit() -> None:
    config = SupervisorConfig()
    assert sum(config.backoff.limit(n) for n in range(config.max_restarts)) < config.within_s


@on_asyncio
async def test_leaving_the_block_stops_the_children_and_raises_nothing() -> None:
    children = [Child() for _ in range(3)]
    async with Supervisor() as supervisor:
        for number, child in enumerate(children):
            supervisor.add(f"child {number}", child)
        await until(lambda: all(child.running for child in children))
    assert [(child.running, child.cancelled) for child in children] == [(0, 1)] * 3


@on_asyncio
async def test_what_the_block_raises_comes_out_as_it_is() -> None:
    child = Child()
    with pytest.raises(KeyError):
        async with Supervisor() as supervisor:
            supervisor.add("child", child)
            await until(lambda: child.running)
            raise KeyError
    assert (child.running, child.cancelled) == (0, 1)


@on_asyncio
async def test_the_cancellation_of_the_caller_reaches_every_child() -> None:
    child = Child()

    async def caller() -> None:
        async with Supervisor() as supervisor:
            supervisor.add("child", child)
            await supervisor.wait()

    task = asyncio.create_task(caller())
    await until(lambda: child.running)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (child.running, child.cancelled) == (0, 1)


@on_asyncio
async def test_a_child_can_be_stopped_alone_also_while_it_waits_for_its_restart() -> None:
    slow = SupervisorConfig(backoff=Backoff(3600.0, 1.0, 3600.0))
    runs, waits, other = Child(), Child(ValueError()), Child()
    async with Supervisor(slow, dice=High()) as supervisor:
        supervisor.add("runs", runs)
        supervisor.add("waits", waits)
        supervisor.add("other", other)
        await until(lambda: supervisor.statistics()["restarts"] == 1 and runs.running)
        assert await supervisor.stop("runs")
        assert await supervisor.stop("waits")
        assert not await supervisor.stop("nobody")
        assert supervisor.names == ("other",)
        assert (runs.cancelled, waits.starts, other.running) == (1, 1, 1)


async def swallow() -> None:
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.Event().wait()


async def stumble() -> None:
    try:
        await asyncio.Event().wait()
    finally:
        raise OSError("while stopping")


@pytest.mark.parametrize("run", [swallow, stumble])
@on_asyncio
async def test_a_child_that_makes_something_else_of_its_cancellation_is_stopped_all_the_same(
    run: Callable[[], Awaitable[None]], caplog: pytest.LogCaptureFixture
) -> None:
    async with asyncio.timeout(5), Supervisor(QUICK) as supervisor:
        supervisor.add("child", run, keep=Keep.ALWAYS)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert supervisor.statistics()["restarts"] == 0
    told = ["child failed while it was stopped (OSError: while stopping)"] if run is stumble else []
    assert [record.message for record in caplog.records] == told


@on_asyncio
async def test_a_cancellation_within_a_child_is_a_failure_like_any_other() -> None:
    starts = 0

    async def run() -> None:
        nonlocal starts
        starts += 1
        inner = asyncio.create_task(asyncio.Event().wait())
        if starts == 1:
            inner.cancel()
        try:
            await inner
        finally:
            inner.cancel()

    async with Supervisor(QUICK) as supervisor:
        supervisor.add("child", run)
        await until(lambda: starts == 2)


@on_asyncio
async def test_a_name_twice_and_a_block_twice_are_refused() -> None:
    supervisor = Supervisor()
    with pytest.raises(IllegalEvent, match="'new'"):
        supervisor.add("child", Child())
    async with supervisor:
        supervisor.add("child", Child())
        with pytest.raises(Duplicate):
            supervisor.add("child", Child())
        with pytest.raises(IllegalEvent):
            await supervisor.__aenter__()
    with pytest.raises(IllegalEvent, match="'left'"):
        supervisor.add("child", Child())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("max_restarts", value) for value in (-1, 1.5, "5", True, None, 10**6 + 1)),
        *(("within_s", value) for value in (0, -1.0, math.nan, math.inf, "60", True, None, [60])),
        *(("backoff", value) for value in (None, 5, "soon", LinkConfig())),
    ],
)
def test_limits_are_checked(name: str, value: Any) -> None:
    with pytest.raises(InvalidSetting) as caught:
        SupervisorConfig(**{name: value})
    assert caught.value.name == name


@pytest.mark.parametrize("config", [None, 5, {"max_restarts": 5}, SupervisorConfig])
def test_a_config_that_is_none_is_refused(config: Any) -> None:
    with pytest.raises(InvalidSetting, match=r"config: .* expected a SupervisorConfig"):
        Supervisor(config)


async def hang() -> None:
    await asyncio.Event().wait()


async def test_a_child_that_cannot_be_is_refused() -> None:
    coroutine = hang()
    wrong: list[tuple[str, Any, Any, Any]] = [
        ("name", "", hang, Keep.NEVER), ("name", 5, hang, Keep.NEVER), ("run", "a", coroutine, Keep.NEVER),
        ("run", "a", None, Keep.NEVER), ("keep", "a", hang, "always"), ("keep", "a", hang, None),
    ]  # fmt: skip
    async with Supervisor() as supervisor:
        for setting, name, run, keep in wrong:
            with pytest.raises(InvalidSetting) as caught:
                supervisor.add(name, run, keep=keep)
            assert caught.value.name == setting
        assert supervisor.names == ()
        assert [await supervisor.stop(name) for name in (None, ["a"], "a")] == [False] * 3  # type: ignore[arg-type]
    coroutine.close()


async def test_links_are_kept_running() -> None:
    """A link ends only when it is closed; a factory makes the next one."""
    links: list[Carrier] = []

    async with raw_server(says()) as port:

        async def run() -> None:
            link, user = make_link(f"ws://127.0.0.1:{port}/")
            user.on_opened = lambda: links.append(link)
            await link.run()

        async with Supervisor(QUICK) as supervisor:
            supervisor.add("link", run, keep=Keep.ALWAYS)
            await until(lambda: len(links) == 1)
            links[0].close()
            await until(lambda: len(links) == 2)
        assert links[1].state.value == "closed"
