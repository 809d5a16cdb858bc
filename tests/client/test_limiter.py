from __future__ import annotations

import asyncio

import pytest

from feedmux.client.limiter import Limiter, WhenOver
from feedmux.core.budget import Bucket, Budget, single
from feedmux.model.errors import RateLimited
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
