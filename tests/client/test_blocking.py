"""The link without an event loop: used as a script uses it."""

from __future__ import annotations

import asyncio
import contextlib
import math
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from feedmux.client.blocking import BlockingLink
from feedmux.client.events import Subscribed
from feedmux.client.link import LinkState, connect
from feedmux.model.errors import CallFailed, InvalidSetting
from feedmux.model.link_errors import ConnectFailed, LinkLost
from support.rpc_server import RpcServer, rpc_server


class Elsewhere:
    """A server in a thread of its own, since the test blocks."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.server: RpcServer
        self._end = asyncio.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: self.loop.run_until_complete(self._serve()))
        self._thread.start()
        assert self._ready.wait(10)

    def tell(self, message: object) -> None:
        asyncio.run_coroutine_threadsafe(self.server.tell(message), self.loop).result(10)

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self._end.set)
        self._thread.join()
        self.loop.close()

    async def _serve(self) -> None:
        async with rpc_server() as self.server:
            self._ready.set()
            await self._end.wait()


@pytest.fixture(name="elsewhere")
def _elsewhere() -> Iterator[Elsewhere]:
    server = Elsewhere()
    yield server
    server.close()


def test_a_script_needs_no_event_loop(elsewhere: Elsewhere) -> None:
    with BlockingLink(lambda: connect(elsewhere.server.url)) as link:
        assert str(link.state) == "live"
        assert link.request("echo", {"a": 1}) == {"a": 1}
        assert link.subscribe("a") == Subscribed(confirmed=("a",))
        elsewhere.tell({"n": 1})
        assert link.receive(timeout_s=5) == {"n": 1}
        link.send("hello")
        link.unsubscribe("a")
        assert link.statistics()["state"] == "live"
    assert link.state is LinkState.CLOSED
    assert not [thread for thread in threading.enumerate() if thread.name == "feedmux-link"]


def test_errors_are_those_of_the_link(elsewhere: Elsewhere) -> None:
    with BlockingLink(lambda: connect(elsewhere.server.url)) as link:
        with pytest.raises(CallFailed, match="Method not found"):
            link.request("nothing")
        with pytest.raises(TimeoutError):
            link.receive(timeout_s=0.01)
    link.close()
    with pytest.raises(LinkLost, match="the link was closed"):
        link.send("late")


def test_messages_may_be_iterated_over_until_it_is_closed(elsewhere: Elsewhere) -> None:
    with BlockingLink(lambda: connect(elsewhere.server.url)) as link:
        elsewhere.tell("1")
        elsewhere.tell("2")
        got = []
        for message in link:
            got.append(message)
            if message == 2:
                closing = threading.Thread(target=link.close)
                closing.start()
        closing.join()
        assert got == [1, 2]


def test_nobody_waits_for_ever_whichever_thread_closes_it(elsewhere: Elsewhere) -> None:
    def ask(link: BlockingLink) -> None:
        with contextlib.suppress(LinkLost):
            while True:
                link.statistics()

    for _ in range(10):
        link = BlockingLink(lambda: connect(elsewhere.server.url))
        works: list[Callable[[], object]] = [lambda link=link: ask(link)] * 3 + [link.close] * 2
        threads = [threading.Thread(target=work, daemon=True) for work in works]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
        assert not [thread for thread in threads if thread.is_alive()]
        assert list(link) == []


def test_a_link_that_does_not_come_about_leaves_no_thread() -> None:
    with pytest.raises(ConnectFailed):
        BlockingLink(lambda: connect("ws://127.0.0.1:9/"))
    assert not [thread for thread in threading.enumerate() if thread.name == "feedmux-link"]


@pytest.mark.parametrize("within_s", [-1, math.nan, "5", True])
def test_a_wait_that_is_none_is_refused_before_anything_begins(within_s: Any) -> None:
    before = threading.active_count()
    with pytest.raises(InvalidSetting, match="within_s"):
        BlockingLink(lambda: connect("ws://127.0.0.1:9/"), within_s=within_s)
    assert threading.active_count() == before


@pytest.mark.parametrize("make_link", [None, "wss://h/", 5, lambda: None, lambda: "wss://h/"])
def test_what_makes_no_link_is_refused_and_leaves_no_thread(make_link: Any) -> None:
    before = threading.active_count()
    with pytest.raises(InvalidSetting, match=r"make_link: .* expected a function that makes a link"):
        BlockingLink(make_link)
    assert threading.active_count() == before


def test_a_message_is_waited_for_for_a_time(elsewhere: Elsewhere) -> None:
    with BlockingLink(lambda: connect(elsewhere.server.url)) as link:
        for timeout_s in (-1, math.nan, "5", True):
            with pytest.raises(InvalidSetting, match="timeout_s"):
                link.receive(timeout_s=timeout_s)  # type: ignore[arg-type]
        with pytest.raises(InvalidSetting, match="timeout_s"):
            link.request("echo", timeout_s=0)
