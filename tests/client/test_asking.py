"""The budget and the one who asks."""

from __future__ import annotations

import asyncio

import pytest

from feedmux.client.limiter import Limiter
from feedmux.client.link import Link
from feedmux.client.plain import JsonRpcAdapter
from feedmux.client.rpc import Ask
from feedmux.core.budget import Bucket, Budget
from feedmux.model.errors import CallFailed
from feedmux.model.link_errors import RequestLost, RequestTimeout
from support.peers import QUICK
from support.rpc_server import Fault, rpc_server
from support.waiting import until


class Strict(JsonRpcAdapter):
    """A platform that wants silence after an error."""

    def penalty_s(self, error: CallFailed, /) -> float:
        return 3600.0 if error.number == 10028 else 0.0


def busy(_: object) -> object:
    raise Fault(10028, "too_many_requests")


@pytest.mark.parametrize("as_batch", [False, True])
async def test_after_a_penalty_nothing_is_sent(as_batch: bool) -> None:
    limiter = Limiter(Budget([Bucket(10, 1, "all")], lambda _: {"all": 1}))
    async with (
        rpc_server() as server,
        Link(server.url, adapter=Strict(), config=QUICK, limiter=limiter) as link,
    ):
        server.methods["busy"] = busy
        if as_batch:
            (error,) = await link.rpc.batch([Ask("busy")])
            assert isinstance(error, CallFailed)
        else:
            with pytest.raises(CallFailed):
                await link.request("busy")
        with pytest.raises(RequestTimeout) as caught:
            await link.request("echo", [1], timeout_s=0.02)
        assert not caught.value.maybe_executed
        with pytest.raises(RequestTimeout):
            await link.rpc.batch([Ask("echo", [2])], timeout_s=0.02)
        assert server.asked("echo") == []


async def test_who_waited_for_the_budget_while_the_connection_ended_has_sent_nothing() -> None:
    limiter = Limiter(Budget([Bucket(1, 5, "all")], lambda _: {"all": 1}))
    async with rpc_server() as server, Link(server.url, config=QUICK, limiter=limiter) as link:
        await link.request("echo", [1])
        waiting = [
            asyncio.create_task(link.request("echo", [2])),
            asyncio.create_task(link.rpc.batch([Ask("echo", [3])])),
            asyncio.create_task(link.rpc.notify("echo", [4])),
        ]
        await until(lambda: len(limiter) == 3)
        closing = asyncio.create_task(link.close())
        results = await asyncio.gather(*waiting, return_exceptions=True)
        await closing
        assert [type(result) for result in results] == [RequestLost] * 3
        assert server.asked("echo") == [[1]]
