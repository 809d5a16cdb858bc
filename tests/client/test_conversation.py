"""What a link makes of mistakes: of its adapter's, and of who asks."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from typing import Any
from unittest.mock import ANY

import pytest

from feedmux.client.events import Interrupted, Restored
from feedmux.client.limiter import Limiter
from feedmux.client.link import Link, connect
from feedmux.client.plain import JsonRpcAdapter
from feedmux.core.budget import single
from feedmux.model.adapter import Dialogue
from feedmux.model.errors import InvalidMessage, InvalidSetting, MalformedMessage
from feedmux.model.link_errors import LinkLost
from support.peers import QUICK
from support.rpc_server import rpc_server

HUGE = pytest.param(10**5000, id="huge")


async def soon(link: Link) -> object:
    """The next message or notice."""
    async with asyncio.timeout(5):
        return await anext(link)


class Moody(JsonRpcAdapter):
    """Does what the test says, once it is live."""

    def __init__(self) -> None:
        super().__init__()
        self.problems: list[object] = []

    async def subscribe(self, dialogue: Dialogue, channels: Sequence[str], /) -> Mapping[str, str]:
        if self.problems:
            problem = self.problems.pop()
            if isinstance(problem, Exception):
                raise problem
            return problem  # type: ignore[return-value]
        return await super().subscribe(dialogue, channels)


@pytest.mark.parametrize(
    ("problem", "reason"),
    [
        (KeyError("a mistake"), "its subscriptions could not be changed: its adapter raised KeyError"),
        (None, "result of subscribe(): 'a value of type NoneType' does not work"),
        ([], "result of subscribe(): 'a value of type list' does not work"),
    ],
    ids=["raises", "None", "list"],
)
async def test_an_adapter_that_fails_later_costs_a_connection_and_not_the_link(
    problem: object, reason: str
) -> None:
    adapter = Moody()
    async with rpc_server() as server, connect(server.url, adapter=adapter, config=QUICK) as link:
        adapter.problems = [problem]
        assert (await link.subscribe("a")).pending == ("a",)
        interrupted = await soon(link)
        assert isinstance(interrupted, Interrupted)
        assert reason in interrupted.reason
        assert await soon(link) == Restored(ANY, ("a",), {})


class Timeless(JsonRpcAdapter):
    """Says nonsense about when to authenticate again."""

    def __init__(self, answer: object) -> None:
        super().__init__()
        self.answer = answer

    async def authenticate(self, dialogue: Dialogue, /) -> float | None:
        return self.answer  # type: ignore[return-value]


@pytest.mark.parametrize("answer", ["soon", math.nan, math.inf, -1, 0, True, []])
async def test_an_adapter_that_says_no_time_is_told(answer: object) -> None:
    async with rpc_server() as server:
        with pytest.raises(
            LinkLost, match=r"result of authenticate\(\): .* expected seconds above 0, or None"
        ):
            await connect(server.url, adapter=Timeless(answer), config=QUICK)


@pytest.mark.parametrize("timeout_s", [0, -1, math.nan, math.inf, "5", True, []])
async def test_a_patience_that_is_none_is_refused(timeout_s: Any) -> None:
    async with rpc_server() as server, connect(server.url) as link:
        with pytest.raises(InvalidSetting, match=r"timeout_s: .* expected seconds above 0"):
            await link.request("echo", timeout_s=timeout_s)
        with pytest.raises(InvalidSetting, match=r"within_s: .* expected seconds"):
            await link.wait_live("soon")  # type: ignore[arg-type]


@pytest.mark.parametrize("method", ["", None, 5, b"echo", ["echo"]])
@pytest.mark.parametrize("limiter", [None, Limiter(single(1000, 1000))], ids=["free", "limited"])
async def test_a_method_that_is_none_is_refused(method: Any, limiter: Limiter | None) -> None:
    async with rpc_server() as server, connect(server.url, limiter=limiter) as link:
        with pytest.raises(InvalidMessage, match="method: "):
            await link.request(method)
        assert link.statistics()["requests"]["in_flight"] == 0  # type: ignore[index]


@pytest.mark.parametrize(
    "message", [object(), {1j: 1}, {"a": {object()}}, "\ud800", {"a": "\ud800"}, {"\ud800": 1}, HUGE]
)
async def test_what_cannot_be_written_is_refused_and_nothing_is_sent(message: object) -> None:
    async with rpc_server() as server, connect(server.url) as link:
        with pytest.raises(MalformedMessage, match="malformed message to send: ") as caught:
            await link.send(message)
        assert caught.value.__context__ is None
        assert await link.request("echo", [1]) == [1]
