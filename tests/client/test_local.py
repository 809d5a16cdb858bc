"""The client that blocks: threads, callbacks, an iterator, and an end that leaves nothing."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import pytest

from feedmux.client.local import LocalClient
from feedmux.client.local_events import LocalCallbacks, SocketData, SocketError, SocketOpened
from feedmux.model.errors import InvalidSetting
from feedmux.model.link_errors import LinkLost
from feedmux.model.local_errors import BrokerRefused, UnknownWebSocket
from feedmux.wire.local_records import (
    Close,
    Done,
    Entry,
    Failed,
    LogLevel,
    Open,
    Send,
    Subscribe,
    Unsubscribe,
    What,
)
from support.local import broker_name
from support.local_broker import ScriptedLine, ScriptedRing, scripted_broker
from support.waiting import until

URL = "wss://venue.example/stream"
Result = TypeVar("Result")


class Scene:
    """A client whose methods are called in threads, and the line that the broker has of it."""

    def __init__(self, client: LocalClient, line: ScriptedLine, ring: ScriptedRing) -> None:
        self.client, self.line, self.ring = client, line, ring

    async def open(self) -> None:
        opening = in_thread(self.client.open_websocket, URL)
        self.line.opened((await self.line.hear(Open)).request, self.ring)
        assert await opening == (1, True)


def in_thread(work: Callable[..., Result], *arguments: Any, **named: Any) -> asyncio.Task[Result]:
    return asyncio.create_task(asyncio.to_thread(work, *arguments, **named))


@asynccontextmanager
async def scene_of(callbacks: LocalCallbacks | None = None) -> AsyncIterator[Scene]:
    before = set(threading.enumerate())
    with broker_name() as name:
        async with scripted_broker(name) as broker:
            starting = in_thread(LocalClient, callbacks, broker=name)
            line = await broker.welcome()
            ring = ScriptedRing()
            client = await starting
            try:
                yield Scene(client, line, ring)
            finally:
                await asyncio.to_thread(client.close)
                ring.close()
    left = {thread.name for thread in set(threading.enumerate()) - before}
    assert not {name for name in left if name.startswith("feedmux")}


async def test_every_method_does_what_the_async_one_does() -> None:
    async with scene_of() as scene:
        await scene.open()
        client, line = scene.client, scene.line
        assert client.server_id == os.getpid()
        await in_thread(client.send, 1, b"x")
        assert await line.hear(Send) == Send(1, 1, b"x")
        asking = in_thread(client.subscribe, 1, "BTC", "sub", release="unsub")
        line.say(Done((await line.hear(Subscribe)).request, 1))
        assert await asking is True
        leaving = in_thread(client.unsubscribe, 1, "BTC", "unsub")
        line.say(Done((await line.hear(Unsubscribe)).request, 0))
        await leaving
        await in_thread(client.set_log_level, 0)
        assert (await line.hear(LogLevel)).level == 0
        figures: Any = await in_thread(client.statistics)
        assert (figures["waiting"], figures["brokers"]) == (1, 1)
        assert figures["websockets"][1]["ring"]["lost"] == 0
        closing = in_thread(client.close_websocket, 1)
        line.say(Done((await line.hear(Close)).request, 0))
        await closing
        with pytest.raises(UnknownWebSocket):
            await in_thread(client.send, 1, "x")


async def test_events_are_iterated_over_until_the_client_is_closed() -> None:
    async with scene_of() as scene:
        await scene.open()
        got: list[object] = []
        reading = in_thread(got.extend, scene.client)
        scene.ring.write(Entry(What.TEXT, b"a"))
        await until(lambda: len(got) == 2)
        await in_thread(scene.client.close)
        await reading
        assert got == [SocketOpened(1, True), SocketData(1, b"a")]


async def test_an_event_is_waited_for_and_not_for_ever() -> None:
    async with scene_of() as scene:
        await scene.open()
        assert await in_thread(scene.client.receive) == SocketOpened(1, True)
        with pytest.raises(TimeoutError):
            await in_thread(scene.client.receive, 0.001)
        with pytest.raises(InvalidSetting, match="timeout_s"):
            scene.client.receive(-1)
        waiting = in_thread(scene.client.receive)
        await in_thread(scene.client.close)
        with pytest.raises(LinkLost):
            await waiting


async def test_an_opening_that_is_not_waited_for_ends_in_an_event() -> None:
    async with scene_of() as scene:
        first = await in_thread(scene.client.open_websocket_async, URL)
        second = await in_thread(scene.client.open_websocket_async, URL, "other")
        requests = [(await scene.line.hear(Open)).request for _ in range(2)]
        scene.line.opened(requests[0], scene.ring)
        scene.line.say(Failed(requests[1], "CONNECT_FAILED", "it is down"))
        assert await in_thread(scene.client.receive) == SocketOpened(1, True, first)
        failed = await in_thread(scene.client.receive)
        assert isinstance(failed, SocketError)
        assert (failed.request, failed.code) == (second, "CONNECT_FAILED")
        with pytest.raises(InvalidSetting):
            scene.client.open_websocket_async("https://x")
        await in_thread(scene.client.open_websocket_async, URL, "nobody answers")
    with pytest.raises(LinkLost):
        scene.client.open_websocket_async(URL)


async def test_callbacks_are_called_and_one_that_raises_ends_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    told: list[object] = []

    def data(event: SocketData) -> None:
        told.append(event.payload)
        raise LookupError("his own")

    async with scene_of(LocalCallbacks(data=data)) as scene:
        await scene.open()
        scene.ring.write(Entry(What.TEXT, b"a"), Entry(What.TEXT, b"b"))
        await until(lambda: told == [b"a", b"b"])
        with pytest.raises(InvalidSetting, match="callbacks"):
            scene.client.receive()
        with pytest.raises(InvalidSetting, match="callbacks"):
            next(iter(scene.client))
    assert "his own" in caplog.text


async def test_a_callback_may_close_the_client() -> None:
    has_closed = threading.Event()

    def data(_: SocketData) -> None:
        clients[0].close()
        has_closed.set()

    clients: list[LocalClient] = []
    async with scene_of(LocalCallbacks(data=data)) as scene:
        clients.append(scene.client)
        await scene.open()
        scene.ring.write(Entry(What.TEXT, b"a"))
        await until(has_closed.is_set)
        await scene.line.hangs_up()


async def test_a_client_that_is_not_wanted_leaves_no_thread() -> None:
    before = set(threading.enumerate())
    with broker_name() as name:
        async with scripted_broker(name) as broker:
            starting = in_thread(LocalClient, broker=name)
            (await broker.accept()).say(Failed(0, "CAPACITY", "256 clients are there"))
            with pytest.raises(BrokerRefused):
                await starting
    assert not {thread.name for thread in set(threading.enumerate()) - before if "feedmux" in thread.name}


def test_what_are_no_callbacks_is_refused() -> None:
    with pytest.raises(InvalidSetting, match="callbacks: 'a value of type builtin_function_or_method'"):
        LocalClient(print)  # type: ignore[arg-type]
