"""Calls of the server, answered on a real socket."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from feedmux.client.link import Link
from feedmux.client.settings import LinkConfig
from feedmux.model.errors import CallFailed, InvalidSetting
from support.peers import QUICK
from support.rpc_server import RpcServer, rpc_server
from support.waiting import until


@asynccontextmanager
async def served(config: LinkConfig = QUICK) -> AsyncIterator[tuple[RpcServer, Link]]:
    async with rpc_server() as server, Link(server.url, config=config) as link:
        link.rpc.serve("add", sum)
        yield server, link


async def answer(server: RpcServer, *calls: dict[str, Any], as_array: bool = False) -> Any:
    before = len(server.answers)
    await server.call(*calls, as_array=as_array)
    await until(lambda: len(server.answers) > before, "the call is answered")
    return server.answers[-1]


def error(request_id: str, code: int, message: str) -> dict[str, object]:
    return {"jsonrpc": "2.0", "id": request_id, "error": {"code": code, "message": message}}


async def test_a_call_of_the_server_gets_the_handlers_result() -> None:
    async with served() as (server, _):
        assert await answer(server, {"id": "s1", "method": "add", "params": [1, 2]}) == {
            "jsonrpc": "2.0",
            "id": "s1",
            "result": 3,
        }


async def test_a_handler_may_wait_and_others_are_answered_meanwhile() -> None:
    async with served() as (server, link):
        go = asyncio.Event()

        async def slowly(params: object) -> object:
            await go.wait()
            return params

        link.rpc.serve("slowly", slowly)
        await server.call({"id": "slow", "method": "slowly", "params": {"a": 1}})
        assert (await answer(server, {"id": "quick", "method": "add", "params": [1]}))["id"] == "quick"
        go.set()
        await until(lambda: len(server.answers) == 2)
        assert server.answers[-1] == {"jsonrpc": "2.0", "id": "slow", "result": {"a": 1}}


async def test_what_nobody_serves_is_answered_so() -> None:
    async with served() as (server, _):
        assert await answer(server, {"id": "s1", "method": "other"}) == error(
            "s1", -32601, "Method not found"
        )


async def test_without_a_single_method_calls_are_messages() -> None:
    async with rpc_server() as server, Link(server.url, config=QUICK) as link:
        call = {"jsonrpc": "2.0", "id": "s1", "method": "add"}
        await server.call(call)
        assert await anext(link) == call
        link.rpc.serve("add", sum)
        link.rpc.serve("add", None)
        await server.call(call)
        assert await anext(link) == call


async def test_notifications_of_a_served_method_are_handled_and_others_are_messages() -> None:
    async with served() as (server, link):
        seen: list[object] = []
        link.rpc.serve("note", seen.append)
        await server.call({"method": "note", "params": [1]}, {"method": "other", "params": [2]})
        assert await anext(link) == {"jsonrpc": "2.0", "method": "other", "params": [2]}
        assert seen == [[1]]
        assert server.answers == []


def boom(params: object) -> object:
    raise RuntimeError(f"secret inside {params}")


def choosy(params: object) -> object:
    raise CallFailed("choosy", -32602, "Invalid params", {"found": params})


async def test_a_handler_that_fails_is_logged_and_the_server_reads_nothing_of_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with served() as (server, link):
        link.rpc.serve("boom", boom)
        with caplog.at_level(logging.ERROR):
            assert await answer(server, {"id": "s1", "method": "boom"}) == error(
                "s1", -32603, "Internal error"
            )
        assert "the handler of 'boom' failed" in caplog.text


async def test_a_handler_may_refuse_with_an_error_of_its_own() -> None:
    async with served() as (server, link):
        link.rpc.serve("choosy", choosy)
        said = (await answer(server, {"id": "s1", "method": "choosy", "params": [1]}))["error"]
        assert said == {"code": -32602, "message": "Invalid params", "data": {"found": [1]}}


async def test_a_result_that_cannot_be_sent_is_an_internal_error(caplog: pytest.LogCaptureFixture) -> None:
    async with served() as (server, link):
        link.rpc.serve("odd", lambda _: object())
        assert await answer(server, {"id": "s1", "method": "odd"}) == error("s1", -32603, "Internal error")
        assert "a result cannot be sent" in caplog.text
        assert link.state == "live"


async def test_a_batch_of_calls_is_answered_with_one_array() -> None:
    async with served() as (server, link):

        async def slowly(params: object) -> object:
            await asyncio.sleep(0)
            return params

        link.rpc.serve("slowly", slowly)
        calls: list[dict[str, Any]] = [
            {"id": "s1", "method": "slowly", "params": [7]},
            {"method": "add", "params": [1]},
            {"id": "s2", "method": "add", "params": [1, 1]},
            {"id": "s3", "method": "other"},
        ]
        first, second, third = await answer(server, *calls, as_array=True)
        assert (first["id"], first["result"], second["id"], second["result"]) == ("s1", [7], "s2", 2)
        assert third == error("s3", -32601, "Method not found")


async def test_calls_under_way_are_bounded(caplog: pytest.LogCaptureFixture) -> None:
    async with served(msgspec.structs.replace(QUICK, max_in_flight=2)) as (server, link):
        go = asyncio.Event()

        async def wait(_: object) -> bool:
            return await go.wait()

        link.rpc.serve("wait", wait)
        said = await answer(server, *({"id": f"s{number}", "method": "wait"} for number in range(3)))
        assert said == error("s2", -32000, "too many calls are under way")
        assert "was refused: 2 are under way" in caplog.text
        go.set()
        await until(lambda: len(server.answers) == 3)
        assert await answer(server, {"id": "s4", "method": "wait"}) == {
            "jsonrpc": "2.0",
            "id": "s4",
            "result": True,
        }


async def test_calls_under_way_end_with_their_connection_and_the_next_one_is_served_too() -> None:
    async with served(msgspec.structs.replace(QUICK, max_in_flight=1)) as (server, link):
        ended: list[bool] = []

        async def wait(_: object) -> None:
            try:
                await asyncio.Event().wait()
            finally:
                ended.append(True)

        link.rpc.serve("wait", wait)
        await server.call({"id": "s1", "method": "wait"})
        assert await link.request("echo", [1]) == [1]
        await server.cut()
        await until(lambda: ended and link.state == "live" and server.open)
        assert (await answer(server, {"id": "s2", "method": "add", "params": [2]}))["result"] == 2
        await server.call({"id": "s3", "method": "wait"})
        assert await link.request("echo", [2], repeatable=True) == [2]
        assert len(server.answers) == 1, "the bound forgot the call that ended with its connection"


async def test_a_batch_whose_connection_ends_frees_the_places_of_all_its_calls() -> None:
    async with served(msgspec.structs.replace(QUICK, max_in_flight=2)) as (server, link):
        go, begun = asyncio.Event(), []

        async def wait(params: object) -> bool:
            begun.append(params)
            return await go.wait()

        link.rpc.serve("wait", wait)
        await server.call({"id": "a", "method": "wait"}, {"id": "b", "method": "wait"}, as_array=True)
        await until(lambda: begun)
        await server.cut()
        await until(lambda: len(server.held) == 2 and link.state == "live")
        go.set()
        first, second = await answer(
            server, {"id": "c", "method": "wait"}, {"id": "d", "method": "wait"}, as_array=True
        )
        assert (first.get("result"), second.get("result")) == (True, True)


@pytest.mark.parametrize(("method", "handler"), [("", sum), (5, sum), ("add", 5), (None, sum)])
async def test_only_named_methods_and_what_can_be_called_are_served(method: Any, handler: Any) -> None:
    async with served() as (_, link):
        with pytest.raises(InvalidSetting):
            link.rpc.serve(method, handler)
