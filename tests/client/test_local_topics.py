"""A gateway's topics as a program reads them, at gateways that do what real ones do seldom."""

from __future__ import annotations

import asyncio
import json
import os
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import pytest

from feedmux.client.events import Interrupted, Restored
from feedmux.client.local import LocalClient
from feedmux.client.local_async import AsyncLocalClient
from feedmux.client.local_topics import AsyncLocalTopics, LocalTopics
from feedmux.model.errors import InvalidSetting, Refused
from feedmux.model.link_errors import LinkLost, RequestTimeout
from feedmux.model.local_errors import BrokerRefused
from feedmux.model.share_errors import NoGateway
from feedmux.wire.local_address import gateway_address
from feedmux.wire.local_records import Entry, Failed, Open, What
from support.local import broker_name
from support.local_broker import ScriptedBroker, ScriptedLine, ScriptedRing, scripted_broker
from support.waiting import eventually

TOPICS = ("ticker:A", "ticker:B")
T = TypeVar("T")


def text(message: object) -> Entry:
    return Entry(What.TEXT, json.dumps(message).encode(), 0, time.time_ns())


def answer(*args: str, **rejected: str) -> Entry:
    listed = [{"arg": arg.replace("_", ":"), "reason": reason} for arg, reason in rejected.items()]
    found = {
        "op": "subscribe",
        "success": bool(args),
        "args": args,
        "message": "",
        "rejected": listed or None,
    }
    return text(found)


def tick(number: int) -> dict[str, Any]:
    return {"stream": "mudrex.futures.ticker.A", "type": "update", "data": {}, "seq": number}


class Scene:
    """A gateway that a test speaks for."""

    def __init__(self, name: str, gateway: ScriptedBroker) -> None:
        self.name, self.gateway = name, gateway
        self.line: ScriptedLine
        self.ring: ScriptedRing
        self.rings: list[ScriptedRing] = []

    async def open(self, *entries: Entry) -> Open:
        """Let the program in, and give it a ring in which there is something."""
        self.line = await self.gateway.welcome()
        return await self.open_again(*entries)

    async def open_again(self, *entries: Entry) -> Open:
        said = await self.line.hear(Open)
        self.ring = ScriptedRing()
        self.rings.append(self.ring)
        self.line.opened(said.request, self.ring)
        self.ring.write(*entries)
        return said

    def topics(self, *topics: str, **how: Any) -> AsyncLocalTopics:
        return AsyncLocalClient.topics(*(topics or TOPICS), gateway=self.name, **how)


@asynccontextmanager
async def scene_of() -> AsyncIterator[Scene]:
    with broker_name() as name:
        async with scripted_broker(name, gateway_address) as gateway:
            scene = Scene(name, gateway)
            yield scene
            for ring in scene.rings:
                ring.close()


@pytest.fixture(name="scene")
async def _scene() -> AsyncIterator[Scene]:
    async with scene_of() as scene:
        yield scene


def in_thread(work: Callable[..., T], *arguments: Any, **named: Any) -> asyncio.Task[T]:
    return asyncio.create_task(asyncio.to_thread(work, *arguments, **named))


async def begun(scene: Scene, topics: AsyncLocalTopics, *entries: Entry) -> Open:
    starting = asyncio.create_task(topics.start())
    said = await scene.open(*(entries or [answer(*TOPICS)]))
    await starting
    return said


@pytest.mark.parametrize(
    ("topics", "how", "what"),
    [
        ((), {}, "topics"),
        (("",), {}, "topics"),
        ((1,), {}, "topics"),
        (TOPICS, {"gateway": "a b"}, "gateway"),
        (TOPICS, {"gateway": 1}, "gateway"),
        (TOPICS, {"max_waiting": 0}, "max_waiting"),
        (TOPICS, {"request_timeout_s": 0}, "request_timeout_s"),
        (TOPICS, {"options": {"x": object()}}, "options"),
        (TOPICS, {"options": {"x": "\ud800"}}, "options"),
    ],
)
@pytest.mark.parametrize("client", [AsyncLocalClient, LocalClient])
def test_what_cannot_be_is_named(
    client: type[AsyncLocalClient | LocalClient], topics: Any, how: Any, what: str
) -> None:
    with pytest.raises(InvalidSetting, match=f"^{what}: "):
        client.topics(*topics, **how)


async def test_without_a_gateway_it_says_how_to_start_one() -> None:
    said = (
        "no gateway of this user offers its topics as 'nobody'; start one with `feedmux serve` "
        r"\(with LOCAL=off it offers none\)"
    )
    with pytest.raises(NoGateway, match=said):
        await anext(AsyncLocalClient.topics(*TOPICS, gateway="nobody"))
    with pytest.raises(NoGateway, match=said):
        await in_thread(LocalClient.topics, *TOPICS, gateway="nobody")


async def test_it_asks_once_for_everything_with_its_options(scene: Scene) -> None:
    topics = scene.topics("ticker:A", "ticker:B", "ticker:A", options={"max_rate": 4})
    said = await begun(scene, topics)
    (message,) = said.opening
    assert json.loads(message.payload) == {
        "op": "subscribe", "args": ["ticker:A", "ticker:B"], "options": {"max_rate": 4},
    }  # fmt: skip
    assert said.url == "feedmux:topics"
    await topics.close()


async def test_messages_come_in_their_order_until_it_is_closed(scene: Scene) -> None:
    topics = scene.topics()
    await begun(scene, topics, answer(*TOPICS), text(tick(1)))
    await topics.start()
    assert await anext(topics) == tick(1)
    scene.ring.write(text(tick(2)))
    assert await topics.receive() == tick(2)
    assert topics.statistics()["waiting"] == 0
    scene.ring.write(text(tick(3)))
    reading = [message async for message in _closing_after(topics, 1)]
    assert reading == [tick(3)]
    await scene.line.hangs_up()
    for late in (topics.receive(), topics.start()):
        with pytest.raises(LinkLost, match="closed"):
            await late
    with pytest.raises(LinkLost, match="closed"):
        topics.statistics()


async def _closing_after(topics: AsyncLocalTopics, count: int) -> AsyncIterator[Any]:
    async for message in topics:
        yield message
        count -= 1
        if not count:
            await topics.close()


async def test_the_first_message_begins_it(scene: Scene) -> None:
    topics = scene.topics()
    reading = asyncio.ensure_future(anext(topics))
    await scene.open(answer("ticker:A", ticker_B="no such symbol"))
    assert await reading == Restored(0.0, ("ticker:A",), {"ticker:B": "no such symbol"})
    await topics.close()


async def test_after_a_gateway_died_it_asks_the_next_one_for_what_is_left(scene: Scene) -> None:
    async def die() -> None:
        scene.ring.write(text(tick(1)))
        scene.line.close()

    async with asyncio.timeout(10):
        topics = scene.topics()
        await begun(scene, topics, answer("ticker:A", ticker_B="no such symbol"))
        await topics.receive()
        await die()
        assert await topics.receive() == tick(1)
        assert await topics.receive() == Interrupted("the gateway is gone: it hung up")
        said = await scene.open(answer("ticker:A"), text(tick(1)))
        assert json.loads(said.opening[0].payload) == {"op": "subscribe", "args": ["ticker:A"]}
        restored = await topics.receive()
        assert isinstance(restored, Restored)
        assert (restored.channels, restored.refused) == (("ticker:A",), {})
        assert await topics.receive() == tick(1)
        await topics.close()


async def test_a_ring_that_was_lapped_is_left_for_another_one(scene: Scene) -> None:
    async with asyncio.timeout(10):
        topics = scene.topics(max_waiting=1)
        await begun(scene, topics, answer(*TOPICS), text(tick(1)))
        scene.ring.write(*(text(tick(number)) for number in range(2, 100)))
        assert await topics.receive() == tick(1)
        while not isinstance(told := await topics.receive(), Interrupted):
            assert told["seq"] < 100  # type: ignore[index]
        assert told.reason.startswith("this program was too slow: ")
        await scene.line.hangs_up()
        await scene.open(answer(*TOPICS), text(tick(100)))
        assert isinstance(await topics.receive(), Restored)
        assert await topics.receive() == tick(100)
        await topics.close()


async def test_a_gateway_that_does_not_want_us_says_why(scene: Scene) -> None:
    starting = asyncio.create_task(scene.topics().start())
    line = await scene.gateway.accept()
    line.say(Failed(0, "CAPACITY", "there are 16 local programs already"))
    with pytest.raises(BrokerRefused, match="there are 16 local programs already"):
        await starting
    starting = asyncio.create_task(scene.topics().start())
    line = await scene.gateway.welcome()
    line.say(Failed((await line.hear(Open)).request, "NO_MEMORY", "no memory"))
    with pytest.raises(BrokerRefused, match="no memory"):
        await starting
    await line.hangs_up()


async def test_a_gateway_that_hangs_up_at_once_is_no_gateway(scene: Scene) -> None:
    starting = asyncio.create_task(scene.topics().start())
    for _ in range(3):
        (await scene.gateway.accept()).close()
    with pytest.raises(NoGateway, match="cannot be reached: "):
        await starting


async def test_an_answer_that_does_not_come_is_not_waited_for(scene: Scene) -> None:
    topics = scene.topics(request_timeout_s=0.05)
    starting = asyncio.create_task(topics.start())
    await scene.open()
    with pytest.raises(RequestTimeout):
        await starting
    await scene.line.hangs_up()


async def test_what_is_refused_as_a_whole_is_raised_and_leaves_nothing(scene: Scene) -> None:
    starting = asyncio.create_task(scene.topics().start())
    await scene.open(answer(ticker_A="no such symbol", ticker_B="not public"))
    with pytest.raises(Refused, match="ticker:A, ticker:B was refused: no such symbol; not public"):
        await starting
    await scene.line.hangs_up()


async def test_what_is_refused_later_is_raised_where_it_is_read(scene: Scene) -> None:
    topics = scene.topics()
    await begun(scene, topics)
    scene.line.close()
    await scene.open(answer(ticker_A="delisted", ticker_B="delisted"))
    assert isinstance(await topics.receive(), Interrupted)
    with pytest.raises(Refused, match="delisted"):
        await topics.receive()
    await scene.line.hangs_up()
    with pytest.raises(StopAsyncIteration):
        await anext(topics)


# Blocking


async def begun_blocking(scene: Scene, *entries: Entry) -> LocalTopics:
    starting = in_thread(LocalClient.topics, *TOPICS, gateway=scene.name)
    await scene.open(*(entries or [answer(*TOPICS)]))
    return await starting


async def test_a_thread_reads_what_comes(scene: Scene) -> None:
    before = set(threading.enumerate())
    topics = await begun_blocking(scene)
    reading = in_thread(next, topics)
    scene.ring.write(text(tick(1)))
    assert await reading == tick(1)
    with pytest.raises(TimeoutError):
        await in_thread(topics.receive, 0)
    assert (await in_thread(topics.statistics))["brokers"] == 1
    reading_all: asyncio.Task[list[Any]] = in_thread(list, topics)
    scene.ring.write(text(tick(2)))
    await eventually(lambda: in_thread(topics.statistics), lambda found: not found["waiting"], "it is taken")
    await in_thread(topics.close)
    assert await reading_all == [tick(2)]
    await in_thread(topics.close)
    with pytest.raises(LinkLost):
        topics.receive()
    left = {thread.name for thread in set(threading.enumerate()) - before}
    assert "feedmux-topics" not in left


async def test_a_with_block_ends_it(scene: Scene) -> None:
    def read() -> list[Any]:
        with LocalClient.topics(*TOPICS, gateway=scene.name) as topics:
            for message in topics:
                return [message]
        return []

    reading = in_thread(read)
    await scene.open(answer(*TOPICS), text(tick(1)))
    assert await reading == [tick(1)]
    await scene.line.hangs_up()


async def test_what_is_refused_ends_the_thread(scene: Scene) -> None:
    topics = await begun_blocking(scene)
    scene.line.close()
    await scene.open(answer(ticker_A="delisted", ticker_B="delisted"))
    assert isinstance(await in_thread(next, topics), Interrupted)
    with pytest.raises(Refused, match="delisted"):
        await in_thread(topics.receive)
    assert await in_thread(list, topics) == []
    await scene.line.hangs_up()


async def test_the_name_that_is_shown_is_the_programs(scene: Scene) -> None:
    topics = scene.topics()
    starting = asyncio.create_task(topics.start())
    scene.line = await scene.gateway.accept()
    hello = await scene.line.greet()
    assert (hello.pid, bool(hello.name)) == (os.getpid(), True)
    await scene.open_again(answer(*TOPICS))
    await starting
    await topics.close()
