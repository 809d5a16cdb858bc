"""What becomes of a request, whatever a server answers it with."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from feedmux.client.link import Link, connect
from feedmux.client.state import LinkState
from feedmux.model.errors import CallFailed
from feedmux.model.link_errors import RequestTimeout
from support.peers import QUICK
from support.rpc_server import SILENCE, RpcServer, rpc_server
from support.waiting import until

PATIENT = msgspec.structs.replace(QUICK, request_timeout_s=5.0)
DEEP = "[" * 900 + "]" * 900


async def answered(server: RpcServer, link: Link, *answers: str | bytes, timeout_s: float = 5.0) -> object:
    """Ask, have this said, and return what is made of it."""
    server.methods["ask"] = lambda params: SILENCE
    asking = asyncio.ensure_future(link.request("ask", timeout_s=timeout_s))
    await until(lambda: server.asked("ask"))
    for answer in answers:
        await server.tell(answer)
    try:
        return await asking
    except CallFailed as error:
        return error


async def is_well(server: RpcServer, link: Link) -> None:
    """The link lives, and another request is answered."""
    assert await link.request("echo", [7]) == [7]
    assert link.state is LinkState.LIVE
    assert len(server.held) == 1


@pytest.mark.parametrize(
    ("answer", "result"),
    [
        ('{"id":1,"result":5}', 5),
        ('{"id":"1","result":5}', 5),
        ('{"id":1.0,"result":5}', 5),
        ('{"id":1,"result":5,"error":null}', 5),
        ('{"id":1,"result":null}', None),
        ('{"id":1,"result":null,"error":null}', None),
        ('{"id":7,"id":1,"result":4,"result":5}', 5),
        ('{"jsonrpc":"3.0","id":1,"result":5,"more":[]}', 5),
        ('[{"id":1,"result":5}]', 5),
        ('[null,{"id":99,"result":1},{"id":1,"result":5}]', 5),
        ('{"id":1,"result":123456789012345678901234567890}', 123456789012345678901234567890),
        (f'{{"id":1,"result":{DEEP}}}', msgspec.json.decode(DEEP)),
        (" \n\t{ \"id\" : 1 , \"result\" : \"\\u0000\" } ", "\0"),
    ],
    ids=lambda value: f"{value!r:.40}",
)  # fmt: skip
async def test_an_answer_is_taken_however_it_is_written(answer: str, result: object) -> None:
    async with rpc_server() as server, connect(server.url, config=PATIENT) as link:
        assert await answered(server, link, answer) == result
        await is_well(server, link)


@pytest.mark.parametrize(
    ("error", "number", "text"),
    [
        ('{"code":7,"message":"no"}', 7, "no"),
        ('{"code":7.0,"message":"no","data":null}', 7, "no"),
        ('{"code":-1234567890123456789012345,"message":""}', -1234567890123456789012345, ""),
        ('"no"', 0, "malformed error: it is no object"),
        ("[]", 0, "malformed error: it is no object"),
        ("[[7]]", 0, "malformed error: it is no object"),
        ("5", 0, "malformed error: it is no object"),
        ("true", 0, "malformed error: it is no object"),
        ("false", 0, "malformed error: it is no object"),
        ("{}", 0, "malformed error: its code is no whole number"),
        ('{"code":"7","message":"no"}', 0, "malformed error: its code is no whole number"),
        ('{"code":7.5,"message":"no"}', 0, "malformed error: its code is no whole number"),
        ('{"code":true,"message":"no"}', 0, "malformed error: its code is no whole number"),
        ('{"code":7}', 7, "malformed error: its message is no text"),
        ('{"code":7,"message":null}', 7, "malformed error: its message is no text"),
        ('{"code":7,"message":{"no":1}}', 7, "malformed error: its message is no text"),
        (f'{{"code":7,"message":"no","data":{DEEP}}}', 7, "no"),
        (f'{{"code":7,"message":"{"x" * 100_000}"}}', 7, "x" * 100_000),
    ],
    ids=lambda value: f"{value!r:.40}",
)
async def test_an_error_of_any_form_is_told_at_once(error: str, number: int, text: str) -> None:
    async with rpc_server() as server, connect(server.url, config=PATIENT) as link:
        failed = await answered(server, link, f'{{"id":1,"error":{error}}}')
        assert isinstance(failed, CallFailed)
        assert (failed.number, failed.message) == (number, text)
        assert str(failed).startswith("ask was refused: ")
        await is_well(server, link)


@pytest.mark.parametrize(
    ("said", "came"),
    [
        ('{"id":1,"result":5,"error":{"code":1,"message":"no"}}', ...),
        ('{"id":true,"result":5}', ...),
        ('{"id":1.5,"result":5}', ...),
        ('{"id":[1],"result":5}', ...),
        ('{"id":{"id":1},"result":5}', ...),
        ('{"id":1}', ...),
        ('{"result":5}', ...),
        ('{"id":null,"result":5}', ...),
        ('{"id":null,"error":{"code":1,"message":"no"}}', ...),
        ('{"ID":1,"Result":5}', ...),
        ('[[{"id":1,"result":5}]]', ...),
        ("[]", []),
        ("null", None),
        ("1", 1),
        # what is no JSON
        ('{"id":1,"result":NaN}', ...),
        ('{"id":1,"result":1e999}', ...),
        ('{"id":1e999,"result":5}', ...),
        ('{"id":1,"result":5', ...),
        ('{"id":1,"result":5}}', ...),
        ("{'id':1,'result':5}", ...),
        ("\ufeff{}", ...),
        ("[" * 100_000, ...),
        ('{"id":' * 100_000, ...),
        ("", ...),
        ("\0", ...),
        (b'{"id":1,"result":5}', ...),
        (b"\xff\xfe", ...),
    ],
    ids=lambda value: f"{value!r:.40}",
)
async def test_what_is_no_answer_is_handed_on_and_the_request_waits(said: str | bytes, came: object) -> None:
    async with rpc_server() as server, connect(server.url, config=PATIENT) as link:
        assert await answered(server, link, said, '{"id":1,"result":"here"}') == "here"
        message = await anext(link)
        assert message == (_read(said) if came is ... else came)
        await is_well(server, link)


def _read(said: str | bytes) -> Any:
    try:
        return said if isinstance(said, bytes) else msgspec.json.decode(said)
    except (msgspec.DecodeError, RecursionError):
        return said


@pytest.mark.parametrize(
    ("said", "counted"),
    [
        ('{"id":99,"result":5}', "unknown"),
        ('{"id":"one","result":5}', "unknown"),
        ('{"id":-1,"result":5}', "unknown"),
        ('{"id":0,"error":{"code":1,"message":"no"}}', "unknown"),
        ('{"id":123456789012345678901234567890,"result":5}', "unknown"),
        (f'{{"id":"{"9" * 10_000}","result":5}}', "unknown"),
        ('{"id":"٣","result":5}', "unknown"),
    ],
    ids=lambda value: f"{value!r:.40}",
)
async def test_an_answer_to_nobody_is_counted_and_told_in_a_line(
    said: str, counted: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with rpc_server() as server, connect(server.url, config=PATIENT) as link:
        assert await answered(server, link, said, '{"id":1,"result":"here"}') == "here"
        assert link.statistics()["requests"][counted] == 1  # type: ignore[index]
        assert link.statistics()["waiting"] == 0
        await is_well(server, link)
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith("an answer that nobody waits for (unknown): id ")
    assert len(line) < 300


async def test_an_answer_that_comes_twice_or_too_late_is_counted() -> None:
    async with rpc_server() as server, connect(server.url, config=PATIENT) as link:
        assert await answered(server, link, *['{"id":1,"result":"here"}'] * 3) == "here"
        with pytest.raises(RequestTimeout):
            await answered(server, link, timeout_s=0.02)
        await server.tell('{"id":2,"result":"late"}')
        await is_well(server, link)
        counted: Any = link.statistics()["requests"]
        assert (counted["duplicates"], counted["late"], counted["in_flight"]) == (2, 1, 0)
