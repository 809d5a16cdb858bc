from __future__ import annotations

import asyncio
import math
from typing import Any

import pytest

from feedmux.client.limiter import Limiter, WhenOver
from feedmux.client.telemetry import Telemetry, TelemetryEvent
from feedmux.core.budget import Bucket, Budget, single
from feedmux.model.errors import InvalidMessage, InvalidSetting, RateLimited
from feedmux.model.ports import Clock
from support.waiting import until


class StillClock:
    """Stands where the test puts it."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def time_ns(self) -> int:
        return 0


def limiter(when_over: WhenOver = WhenOver.WAIT, clock: Clock | None = None) -> Limiter:
    return Limiter(single(1000.0, 2), when_over=when_over, clock=clock)


async def test_what_is_allowed_goes_at_once_and_the_rest_in_its_turn() -> None:
    limits = limiter()
    order: list[int] = []

    async def send(number: int) -> None:
        await limits.admit("x")
        order.append(number)

    await asyncio.gather(*(send(number) for number in range(10)))
    assert order == list(range(10))
    assert len(limits) == 0
    assert limits.statistics()["taken"] == 10


async def test_who_will_not_wait_is_told_how_long_it_would_be() -> None:
    limits = limiter(WhenOver.REFUSE, StillClock())
    await limits.admit("x")
    await limits.admit("x")
    with pytest.raises(RateLimited, match=r"'x' exceeds the rate limit; it may be sent in 0.001 s") as caught:
        await limits.admit("x")
    assert caught.value.retry == pytest.approx(0.001)


async def test_who_is_cancelled_gives_up_his_place() -> None:
    limits = Limiter(Budget([Bucket(1, 0.001)], lambda _: {"messages": 1.0}))
    await limits.admit("x")
    waiting = asyncio.ensure_future(limits.admit("x"))
    await until(lambda: len(limits) == 1)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert len(limits) == 0


async def test_after_a_penalty_nothing_goes_for_a_while() -> None:
    clock = StillClock()
    limits = limiter(WhenOver.REFUSE, clock)
    limits.penalise(5)
    with pytest.raises(RateLimited) as caught:
        await limits.admit("x")
    assert caught.value.wait_s == 5
    clock.now = 5.1
    await limits.admit("x")
    assert limits.utilisation() == {"messages": 0.5}


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("budget", {"budget": None}), ("budget", {"budget": 5}), ("budget", {"budget": Bucket(1, 1)}),
        ("when_over", {"when_over": "never"}), ("when_over", {"when_over": None}),
        ("when_over", {"when_over": []}),
        ("max_waiting", {"max_waiting": 0}), ("max_waiting", {"max_waiting": "5"}),
        ("max_waiting", {"max_waiting": True}), ("max_waiting", {"max_waiting": math.inf}),
        ("name", {"name": ""}), ("name", {"name": 5}),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_by_name(name: str, wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidSetting) as caught:
        Limiter(**{"budget": single(1.0, 1.0), **wrong})
    assert caught.value.name == name


@pytest.mark.parametrize("seconds", [-1, math.nan, math.inf, "5", True, None])
def test_a_penalty_that_is_no_time_is_refused(seconds: Any) -> None:
    with pytest.raises(InvalidSetting, match=r"seconds: .* expected a time, 0 or more"):
        limiter().penalise(seconds)


@pytest.mark.parametrize("method", [5, None, b"buy", ["buy"]])
async def test_a_method_that_is_no_text_is_refused(method: Any) -> None:
    with pytest.raises(InvalidMessage, match="method: a value of type"):
        await limiter().admit(method)


async def test_who_listens_is_told_what_is_taken_of_each_bucket() -> None:
    told: list[TelemetryEvent] = []
    budget = Budget([Bucket(10, 1.0, "all"), Bucket(5, 1.0, "orders")], lambda _: {"all": 1.0, "orders": 2.0})
    limits = Limiter(budget, name="venue", telemetry=Telemetry(told.append), clock=StillClock())
    await limits.admit("buy")
    await limits.admit("buy")
    assert [event.name for event in told] == [("feedmux", "rate_limiter", "consume")] * 4
    assert [(event.metadata["name"], event.measures) for event in told] == [
        ("venue.all", {"tokens_remaining": 9.0, "cost": 1.0}),
        ("venue.orders", {"tokens_remaining": 3.0, "cost": 2.0}),
        ("venue.all", {"tokens_remaining": 8.0, "cost": 1.0}),
        ("venue.orders", {"tokens_remaining": 1.0, "cost": 2.0}),
    ]


async def test_what_flowed_in_is_told_when_a_message_that_waited_is_let_in() -> None:
    clock, told = StillClock(), list[TelemetryEvent]()
    limits = limiter(clock=clock)
    limits.telemetry.attach(told.append)
    sending = [asyncio.ensure_future(limits.admit("x")) for _ in range(4)]
    await until(lambda: len(limits) == 2)
    clock.now = 0.0015
    await until(lambda: len(limits) == 1)
    clock.now = 0.0025
    await asyncio.gather(*sending)
    assert [(event.name[2], *event.measures.values()) for event in told] == [
        ("consume", 1.0, 1.0),
        ("consume", 0.0, 1.0),
        ("refill", 0.0, 1.5, 1000.0),
        ("consume", 0.5, 1.0),
        ("refill", 0.5, 1.5, 1000.0),
        ("consume", 0.5, 1.0),
    ]
    assert {event.metadata["name"] for event in told} == {"limiter.messages"}


async def test_who_is_refused_takes_nothing_and_nothing_is_told() -> None:
    told: list[TelemetryEvent] = []
    limits = limiter(WhenOver.REFUSE, StillClock())
    limits.penalise(5)
    limits.telemetry.attach(told.append)
    with pytest.raises(RateLimited):
        await limits.admit("x")
    assert told == []


@pytest.mark.parametrize("timeout_s", [0, -1, math.nan, math.inf, "5", True, None])
async def test_a_patience_that_is_none_is_refused(timeout_s: Any) -> None:
    limits = limiter()
    with pytest.raises(InvalidSetting, match="timeout_s"):
        await limits.admit_within("x", timeout_s)
    assert limits.statistics()["taken"] == 0
