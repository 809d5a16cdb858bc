"""Notifications and batches on a real socket."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from feedmux.client.limiter import Limiter
from feedmux.client.link import Link
from feedmux.client.plain import JsonRpcAdapter, PlainAdapter
from feedmux.client.rpc import Ask
from feedmux.core.budget import Bucket, Budget
from feedmux.core.jsonrpc import JsonRpc
from feedmux.model.errors import CallFailed, InvalidMessage, InvalidSetting, Overflow
from feedmux.model.link_errors import RequestLost, RequestTimeout
from support.peers import QUICK
from support.rpc_server import SILENCE, Fault, rpc_server
from support.waiting import until


def refused(params: Any) -> object:
    raise Fault(-32602, "Invalid params", {"reason": params})


async def test_a_notification_has_no_id_and_nobody_waits() -> None:
    async with rpc_server() as server, Link(server.url, config=QUICK) as link:
        await link.rpc.notify("hello", {"a": 1})
        await until(lambda: server.asked("hello") == [{"a": 1}])
        assert link.statistics()["requests"]["in_flight"] == 0  # type: ignore[index]


async def test_a_batch_is_one_message_and_its_answers_come_in_any_order() -> None:
    async with rpc_server() as server, Link(server.url, config=QUICK) as link:
        server.methods["no"] = refused
        asks = [Ask("echo", [1]), Ask("note", is_notification=True), Ask("no", [2]), Ask("echo", [3])]
        first, note, error, last = await link.rpc.batch(asks)
        assert (first, note, last) == ([1], None, [3])
        assert isinstance(error, CallFailed)
        assert (error.method, error.number, error.data) == ("no", -32602, {"reason": [2]})
        ((one, two, three, four),) = server.arrays
        assert ["id" in member for member in (one, two, three, four)] == [True, False, True, True]
        assert two == {"jsonrpc": "2.0", "method": "note"}


async def test_who_is_left_out_of_the_answer_to_a_batch_fails_at_once() -> None:
    async with rpc_server() as server, Link(server.url, config=QUICK) as link:
        server.batch = lambda answers: answers[:1]
        first, second = await link.rpc.batch([Ask("echo", [1]), Ask("echo", [2])], timeout_s=60)
        assert first == [1]
        assert isinstance(second, RequestLost)
        assert second.maybe_executed
        assert "left it out" in str(second)


async def test_answers_of_one_batch_may_not_be_taken_for_those_of_another() -> None:
    async with rpc_server() as server, Link(server.url, config=QUICK) as link:
        arrived = asyncio.Event()
        server.methods["slow"] = lambda params: _later(arrived, params)
        slow = asyncio.create_task(link.rpc.batch([Ask("slow", [1]), Ask("echo", [2])]))
        await until(lambda: server.arrays)
        arrived.set()
        assert await link.rpc.batch([Ask("echo", [3])]) == [[3]]
        assert await slow == [[1], [2]]


async def _later(event: asyncio.Event, params: object) -> object:
    await event.wait()
    return params


async def test_a_batch_of_notifications_is_not_answered_and_not_waited_for() -> None:
    async with rpc_server() as server, Link(server.url, config=QUICK) as link:
        assert await link.rpc.batch([Ask("a", is_notification=True), Ask("b", is_notification=True)]) == [
            None,
            None,
        ]
        await until(lambda: server.arrays)


async def test_a_batch_that_nobody_answers_times_out_and_a_late_answer_is_no_data() -> None:
    async with rpc_server() as server, Link(server.url, config=QUICK) as link:
        answers: list[Any] = []
        server.batch = answers.extend
        results = await link.rpc.batch([Ask("echo", [1]), Ask("echo", [2])], timeout_s=0.05)
        assert [type(result) for result in results] == [RequestTimeout] * 2
        await server.tell(answers)
        await server.tell(["data", {"of": "an array"}])
        assert await anext(link) == ["data", {"of": "an array"}]
        assert link.statistics()["requests"]["late"] == 2  # type: ignore[index]


async def test_a_batch_that_the_server_cannot_take_fails_at_once() -> None:
    refusal = {"jsonrpc": "2.0", "id": None, "error": {"code": -32600, "message": "Invalid Request"}}
    async with rpc_server() as server, Link(server.url, config=QUICK) as link:
        server.batch = lambda _: refusal
        results = await link.rpc.batch([Ask("echo"), Ask("echo")], timeout_s=60)
        assert [type(result) for result in results] == [CallFailed] * 2
        await server.tell(refusal)
        assert await anext(link) == refusal, "it was about no batch of ours"


async def test_a_refusal_without_an_id_fails_nothing_where_it_may_mean_something_else() -> None:
    async with rpc_server() as server, Link(server.url, config=QUICK) as link:
        server.methods["silent"] = lambda _: SILENCE
        alone = asyncio.create_task(link.request("silent", timeout_s=60))
        batch = asyncio.create_task(link.rpc.batch([Ask("silent")], timeout_s=60))
        await until(lambda: len(server.asked("silent")) == 2)
        refusal = {"jsonrpc": "2.0", "id": None, "error": {"code": -32600, "message": "Invalid Request"}}
        await server.tell(refusal)
        assert await anext(link) == refusal
        assert not alone.done()
        assert not batch.done()
        alone.cancel()
        batch.cancel()


async def test_a_connection_that_ends_fails_the_whole_batch() -> None:
    async with rpc_server() as server, Link(server.url, config=QUICK) as link:
        server.methods["silent"] = lambda _: SILENCE
        batch = asyncio.create_task(link.rpc.batch([Ask("silent"), Ask("silent")]))
        await until(lambda: len(server.asked("silent")) == 2)
        await server.cut()
        results = await batch
        assert [type(result) for result in results] == [RequestLost] * 2
        assert all(isinstance(result, RequestLost) and result.maybe_executed for result in results)


async def test_a_server_that_refuses_batches_gets_the_messages_one_by_one() -> None:
    adapter = JsonRpcAdapter(batches=False)
    async with rpc_server() as server, Link(server.url, config=QUICK, adapter=adapter) as link:
        server.methods["no"] = refused
        asks = [Ask("echo", [1]), Ask("no"), Ask("note", is_notification=True)]
        first, error, note = await link.rpc.batch(asks)
        assert (first, type(error), note) == ([1], CallFailed, None)
        assert server.arrays == []
        assert len(server.requests) == 3


@pytest.mark.parametrize("batches", [True, False])
@pytest.mark.parametrize("asks", [[], [Ask("")], [Ask("echo", [1]), Ask("echo", "text")]])
async def test_what_cannot_be_built_is_not_sent(asks: list[Ask], batches: bool) -> None:
    adapter = JsonRpcAdapter(batches=batches)
    async with rpc_server() as server, Link(server.url, config=QUICK, adapter=adapter) as link:
        with pytest.raises(InvalidMessage):
            await link.rpc.batch(asks)
        assert await link.request("echo", [0]) == [0]
        assert len(server.requests) == 1
        assert link.statistics()["requests"]["in_flight"] == 0  # type: ignore[index]


async def test_more_than_may_be_in_flight_is_refused_as_a_whole() -> None:
    config = msgspec.structs.replace(QUICK, max_in_flight=2)
    async with rpc_server() as server, Link(server.url, config=config) as link:
        with pytest.raises(Overflow):
            await link.rpc.batch([Ask("echo")] * 3)
        assert await link.rpc.batch([Ask("echo", [1])] * 2) == [[1], [1]]
        assert len(server.arrays) == 1


async def test_every_member_of_a_batch_is_paid_for() -> None:
    limiter = Limiter(Budget([Bucket(10, 0.001, "all")], lambda _: {"all": 1}))
    async with rpc_server() as server, Link(server.url, config=QUICK, limiter=limiter) as link:
        await link.rpc.batch([Ask("echo")] * 4)
        await link.rpc.notify("hello")
        assert limiter.utilisation()["all"] == pytest.approx(0.5, abs=0.01)


async def test_other_protocols_have_none_of_it() -> None:
    async with rpc_server() as server, Link(server.url, config=QUICK, adapter=PlainAdapter()) as link:
        with pytest.raises(InvalidSetting, match="correlator"):
            _ = link.rpc


@pytest.mark.parametrize("timeout_s", [0, -1, float("inf"), float("nan")])
async def test_a_batch_has_a_patience_that_ends(timeout_s: float) -> None:
    async with rpc_server() as server, Link(server.url, config=QUICK) as link:
        with pytest.raises(InvalidSetting, match="timeout_s"):
            await link.rpc.batch([Ask("echo")], timeout_s=timeout_s)


def test_batches_are_a_matter_of_the_protocol() -> None:
    assert JsonRpc().batches
    assert not JsonRpc(batches=False).batches


@pytest.mark.parametrize(
    "asks", [None, 5, "ask", [None], ["ask"], [{"method": "ask"}], [Ask("a"), 5], {"a": 1}]
)
async def test_what_is_no_batch_is_refused_and_nothing_is_sent(asks: Any) -> None:
    async with rpc_server() as server, Link(server.url) as link:
        with pytest.raises(InvalidMessage, match=r"batch: a value of type .* cannot be sent; expected a"):
            await link.rpc.batch(asks)
        assert server.requests == []
