"""One side and its sessions, with sessions that end as the test says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from feedmux.core.reconnect import Backoff
from feedmux.feed.broker import ConsumerLost, ExchangeDiffers
from feedmux.feed.consumer import Consumer, Owner, reason_of
from feedmux.feed.relay import Side
from feedmux.model.errors import AuthenticationFailed, Refused
from feedmux.model.event import State
from feedmux.model.link_errors import ConnectFailed, LinkLost
from support.clocks import StandingClock
from support.rabbit_streams import Heard, relay_of, stream
from support.waiting import until

TRADES = stream("eurusd.trades")
ADDRESS = "amqp://10.0.0.7:5672"


class Longest:
    """Dice that always draw the longest wait."""

    def uniform(self, low: float, high: float, /) -> float:
        return high


class Play:
    """A session whose life the test writes.

    Attributes:
        ends: ends it with this error.
    """

    def __init__(self, owner: Owner) -> None:
        self.owner = owner
        self.ends: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.has_said_goodbye = False

    async def run(self) -> None:
        try:
            await self.ends
        finally:
            self.has_said_goodbye = True


class Scene:
    """A consumer, its sessions so far, and what readers were told."""

    def __init__(self, backoff: Backoff) -> None:
        self.heard = Heard()
        self.clock = StandingClock()
        self.plays: list[Play] = []
        self.relay = relay_of(self.heard, StandingClock())
        self.relay.want(TRADES, "me")
        self.heard.take()
        self.consumer = Consumer(
            Side.PUBLIC,
            self._next,
            relay=self.relay,
            backoff=backoff,
            clock=self.clock,
            dice=Longest(),
        )

    def _next(self, owner: Owner) -> Play:
        self.plays.append(Play(owner))
        return self.plays[-1]

    async def session(self, number: int) -> Play:
        """The session of this number, from 1, when it has begun."""
        await until(lambda: len(self.plays) >= number)
        return self.plays[number - 1]


@asynccontextmanager
async def consuming(initial: float = 0.001, ceiling: float = 0.001) -> AsyncIterator[Scene]:
    scene = Scene(Backoff(initial=initial, ceiling=ceiling))
    running = asyncio.create_task(scene.consumer.run())
    try:
        yield scene
    finally:
        scene.consumer.close()
        await asyncio.wait_for(running, 5)


async def test_a_session_that_opens_makes_the_streams_live_and_its_end_is_told() -> None:
    async with consuming() as scene:
        first = await scene.session(1)
        assert not scene.consumer.is_open
        first.owner.opened()
        assert scene.consumer.is_open
        assert scene.heard.take() == ["live"]
        first.owner.looked(1)
        assert scene.consumer.consumers == 1
        first.ends.set_exception(LinkLost("cut"))
        second = await scene.session(2)
        assert (scene.consumer.is_open, scene.consumer.consumers) == (False, 0)
        assert scene.heard.reason(TRADES) == "the connection to RabbitMQ was lost"
        second.owner.opened()
        assert scene.heard.take() == ["reconnecting", "gap", "live"]
        assert scene.consumer.opens == 2


async def test_it_says_how_it_is_and_for_how_long_nothing_has_been_consumed() -> None:
    async with consuming() as scene:
        first = await scene.session(1)
        scene.clock.now += 2.0
        down = {"side": "public", "connected": False, "down_for": 2.0, "consumers": 0}
        assert scene.consumer.statistics() == down
        first.owner.opened()
        first.owner.looked(1)
        scene.clock.now += 5.0
        up = {"side": "public", "connected": True, "down_for": 0.0, "consumers": 1}
        assert scene.consumer.statistics() == up
        first.ends.set_exception(LinkLost("cut"))
        second = await scene.session(2)
        scene.clock.now += 3.0
        second.ends.set_exception(ConnectFailed(ADDRESS, "nobody is there"))
        await scene.session(3)
        scene.clock.now += 4.0
        assert scene.consumer.statistics() == down | {"down_for": 7.0}


async def test_it_never_gives_up_and_waits_longer_each_time() -> None:
    async with consuming(initial=0.001, ceiling=0.016) as scene:
        for number in range(1, 30):
            session = await scene.session(number)
            session.ends.set_exception(ConnectFailed(ADDRESS, "refused"))
        assert (await scene.session(30)).owner is scene.consumer
        assert scene.consumer.wait_s == 0.016


async def test_only_the_second_good_look_is_a_proof() -> None:
    async with consuming(initial=0.001, ceiling=60.0) as scene:
        for number in range(1, 4):
            session = await scene.session(number)
            session.owner.opened()
            session.owner.looked(1)
            session.ends.set_exception(LinkLost("cut"))
        await until(lambda: scene.consumer.wait_s == 0.004)
        session = await scene.session(4)
        for _ in range(2):
            session.owner.opened() if not scene.consumer.is_open else None
            session.owner.looked(1)
        session.ends.set_exception(LinkLost("cut"))
        await scene.session(5)
        assert scene.consumer.wait_s == 0.001


@pytest.mark.parametrize("is_waiting", [True, False])
async def test_closing_ends_the_session_or_the_wait_and_tells_no_loss(*, is_waiting: bool) -> None:
    async with consuming(initial=60, ceiling=60) as scene:
        session = await scene.session(1)
        if is_waiting:
            session.ends.set_exception(ConnectFailed(ADDRESS, "refused"))
            await until(lambda: scene.heard.take() == ["reconnecting"])
        else:
            session.owner.opened()
            scene.heard.take()
    assert session.has_said_goodbye
    assert scene.heard.take() == []
    assert len(scene.plays) == 1


async def test_the_log_has_all_and_a_repeated_failure_once(caplog: pytest.LogCaptureFixture) -> None:
    async with consuming() as scene:
        for number in range(1, 4):
            (await scene.session(number)).ends.set_exception(ConnectFailed(ADDRESS, "refused"))
        (await scene.session(4)).ends.set_exception(Refused("the virtual host 'x'", "no"))
        last = await scene.session(5)
        last.owner.opened()
        last.ends.set_exception(ConsumerLost("its queue went"))
        await scene.session(6)
    said = [record.getMessage() for record in caplog.records]
    assert said == [
        f"RabbitMQ, public side: no connection to {ADDRESS}: refused; trying again in 0.00 s",
        "RabbitMQ, public side: the virtual host 'x' was refused: no; trying again in 0.00 s",
        "RabbitMQ, public side: nothing is consumed any more: its queue went; trying again in 0.00 s",
    ]


async def test_an_error_of_ours_is_logged_with_where_it_was_and_survived(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with consuming() as scene:
        (await scene.session(1)).ends.set_exception(KeyError("boom"))
        await scene.session(2)
        assert scene.heard.state(TRADES) is State.RECONNECTING
    assert "KeyError: 'boom'" in caplog.text


async def test_a_session_that_is_cancelled_from_below_is_followed_by_another() -> None:
    async with consuming() as scene:
        first = await scene.session(1)
        first.owner.opened()
        first.ends.cancel()
        await scene.session(2)
        assert scene.heard.take() == ["live", "reconnecting"]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (AuthenticationFailed("mq", "ACCESS_REFUSED"), "RabbitMQ does not accept the gateway's credentials"),
        (
            ExchangeDiffers("x", "topic", "y"),
            "the exchange in RabbitMQ is another one than the gateway's settings say",
        ),
        (Refused("a queue", "no"), "RabbitMQ refused what the gateway asked for"),
        (ConnectFailed(ADDRESS, "refused"), "RabbitMQ cannot be reached"),
        (ConsumerLost("gone"), "RabbitMQ stopped delivering"),
        (LinkLost("reset by 10.0.0.7"), "the connection to RabbitMQ was lost"),
        (KeyError("boom"), "the connection to RabbitMQ was lost"),
    ],
)
def test_readers_are_told_in_general_terms(error: BaseException, reason: str) -> None:
    assert reason_of(error) == reason
