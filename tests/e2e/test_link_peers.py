"""A link against servers that others have written: PyPI's ``websockets`` and node's ``ws``.

Both would like to compress (``tests/peers/``). A link offers nothing, so they must go on without.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import msgspec
import pytest
from websockets.asyncio.client import connect as websocket

from feedmux.client.events import Interrupted, Restored
from feedmux.client.link import Link, LinkState, connect
from feedmux.client.settings import LinkConfig
from feedmux.model.errors import CallFailed
from feedmux.model.link_errors import Cause, ConnectFailed
from support.programs import Program, free_port, node
from support.waiting import until

BOUND = 12 * 1024 * 1024
CONFIG = LinkConfig(
    connect_timeout_s=5.0,
    request_timeout_s=10.0,
    close_timeout_s=2.0,
    retry_delay_s=0.01,
    max_backoff_s=0.05,
    breaker_failures=0,
    max_message_bytes=BOUND,
    max_write_buffer_bytes=4 * BOUND,
)
SERVERS = ["websockets", "ws"]
CHANNELS = ["book.b", "trades.a"]
CODES = (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 4000, 4999, None)

pytestmark = [pytest.mark.e2e, pytest.mark.parametrize("kind", SERVERS)]


class Server(NamedTuple):
    program: Program
    url: str

    async def saw_end(self) -> tuple[int, str]:
        """With what code, and text, the next connection ended there."""
        said: dict[str, Any] = json.loads(await self.program.line())
        return said["code"], said["reason"]

    async def kill(self) -> None:
        self.program.process.kill()
        await self.program.process.wait()


@asynccontextmanager
async def serving(kind: str, *, port: int = 0, claims: str = "") -> AsyncIterator[Server]:
    """A server in a process of its own.

    Args:
        kind: on what it stands.
        port: 0: the system chooses.
        claims: extensions that it says were agreed on, whatever was offered.
    """
    told = json.dumps({"port": port, "deflate": True, "claims": claims})
    start = (
        [sys.executable, "-m", "peers.websockets_server"]
        if kind == "websockets"
        else [node(), "ws_server.mjs"]
    )
    async with Program.run(*start, told) as program:
        port = json.loads(await program.line())["port"]
        yield Server(program, f"ws://127.0.0.1:{port}/")


@asynccontextmanager
async def linked(kind: str, **settings: Any) -> AsyncIterator[tuple[Server, Link]]:
    """A server, and a link to it whose messages are read one by one."""
    config = msgspec.structs.replace(CONFIG, **settings)
    async with serving(kind) as server, asyncio.timeout(20), connect(server.url, config=config) as link:
        yield server, link


async def tell(link: Link, method: str, **params: object) -> None:
    """Have the server do what has no answer."""
    await link.send({"jsonrpc": "2.0", "method": method, "params": params})


async def interrupted(link: Link) -> str:
    """Why the link was interrupted; it is whole again when this returns."""
    notice, after = await anext(link), await anext(link)
    assert isinstance(notice, Interrupted), notice
    assert isinstance(after, Restored), after
    return notice.reason


def carried(link: Link) -> dict[str, Any]:
    """The counters of the link's connection."""
    found: dict[str, Any] = link.statistics()["connection"]  # type: ignore[assignment]
    return found


async def test_messages_of_every_kind_and_length_come_back_as_they_were(kind: str) -> None:
    lengths = (1, 125, 126, 127, 65_535, 65_536, 1_000_003)
    sent: list[object] = [
        "",
        "text, not JSON",
        "Grüße, 世界 😀\0",
        {"a": [1, None, "é"]},
        b"",
        bytes(range(256)),
    ]
    sent += [bytes(length) for length in lengths]
    sent += ["é" * length for length in lengths]
    async with linked(kind) as (_, link):
        for message in sent:
            await link.send(message)
        assert [await anext(link) for _ in sent] == sent


@pytest.mark.parametrize("text", [True, False])
async def test_fragments_become_one_message_though_pings_are_between_them(kind: str, text: bool) -> None:
    """Characters are cut in two, and a fragment may be empty."""
    whole = "Grüße, 世界 😀"
    parts = [bytes([byte]).hex() for byte in whole.encode()]
    parts.insert(5, "")
    async with linked(kind) as (_, link):
        assert await link.request("fragments", {"parts": parts, "text": text}) == len(parts)
        assert await anext(link) == (whole if text else whole.encode())


async def test_big_messages_pass_both_ways(kind: str) -> None:
    big = "x" * 10_000_000
    async with linked(kind) as (_, link):
        assert await link.request("echo", [big]) == [big]
        await link.request("fill", {"bytes": BOUND})
        assert len(str(await anext(link))) == BOUND


async def test_pings_are_answered_both_ways(kind: str) -> None:
    async with linked(kind, ping_interval_s=0.02, ping_timeout_s=5.0) as (_, link):
        for payload in ("?", "x" * 125):
            assert await link.request("ping", {"payload": payload}) == payload
        await until(lambda: carried(link)["round_trip_s"], "a PONG came")
        assert carried(link)["opens"] == 1


async def test_requests_find_their_answers(kind: str) -> None:
    async with linked(kind) as (_, link):
        calls = (link.request("echo", [number]) for number in range(500))
        assert await asyncio.gather(*calls) == [[number] for number in range(500)]
        with pytest.raises(CallFailed, match="Method not found") as caught:
            await link.request("nothing")
        assert caught.value.number == -32601


async def test_compression_is_not_offered_and_not_missed(kind: str) -> None:
    """Another client, which offers it, gets it."""
    async with linked(kind) as (server, link), websocket(server.url, compression="deflate") as other:
        assert await link.request("agreed") == {"offered": "", "agreed": ""}
        await link.request("fill", {"bytes": 100_000})
        assert await anext(link) == "x" * 100_000
        await other.send(json.dumps({"jsonrpc": "2.0", "id": 1, "method": "agreed"}))
        assert json.loads(await other.recv())["result"]["agreed"].startswith("permessage-deflate")


@pytest.mark.parametrize("claims", ["permessage-deflate", "x-own; a=1"])
async def test_an_extension_that_was_not_offered_is_refused(kind: str, claims: str) -> None:
    async with serving(kind, claims=claims) as server:
        with pytest.raises(ConnectFailed) as caught:
            await connect(server.url, config=CONFIG)
        assert caught.value.reason.endswith(f": it answered with an extension that was not offered: {claims}")
        assert caught.value.cause is Cause.PROTOCOL
        assert await server.saw_end() == (1006, "")


async def test_the_server_closes_with_any_code_and_gets_it_back(kind: str) -> None:
    async with linked(kind) as (server, link):
        for code in CODES:
            reason = f"because of {code}"
            await tell(link, "close", code=code, reason=reason)
            expected = "no code" if code is None else f"{code}: {reason}"
            assert await interrupted(link) == f"the server closed the connection ({expected})"
            assert (await server.saw_end())[0] == (code or 1005)
        assert await link.request("echo", [1]) == [1]


BROKEN = {
    "81 02 c3 28": 1007,  # text that is not UTF-8
    "83 00": 1002,  # an opcode that there is not
    "a1 01 41": 1002,  # a bit that nobody agreed on
    "c1 01 41": 1002,  # a compressed frame
    "80 01 41": 1002,  # the end of a message that never began
    "09 00": 1002,  # a PING in fragments
    "89 7e 00 7e" + 126 * "00": 1002,  # a PING that is too long
    "81 81 00 00 00 00 41": 1002,  # a server's frame with a mask
}


async def test_a_server_that_breaks_the_protocol_is_told_so(kind: str) -> None:
    async with linked(kind) as (server, link):
        for data, code in BROKEN.items():
            await tell(link, "raw", bytes=data.replace(" ", ""))
            await interrupted(link)
            assert ((await server.saw_end())[0], data) == (code, data)
        assert await link.request("echo", [1]) == [1]


async def test_the_link_closes_with_the_code_that_says_why(kind: str) -> None:
    async with linked(kind, max_message_bytes=100_000) as (server, link):
        await tell(link, "fill", bytes=100_001)
        assert "longer than max_message_bytes" in await interrupted(link)
        assert (await server.saw_end())[0] == 1009
        link.replace("the test wants it")
        assert await interrupted(link) == "the test wants it"
        assert (await server.saw_end())[0] == 1001
        await link.close()
        assert (await server.saw_end())[0] == 1000


async def is_whole(link: Link, seen: list[Any], restored: int) -> None:
    """The link was restored so often, and what is wanted comes."""
    await until(
        lambda: sum(isinstance(item, Restored) for item in seen) >= restored, f"restored {restored} times"
    )
    assert [item.channels for item in seen if isinstance(item, Restored)][-1] == tuple(CHANNELS)
    data = {"channel": "trades.a", "data": restored}
    await link.request("publish", data)
    await until(lambda: {"jsonrpc": "2.0", "method": "subscription", "params": data} in seen, "data passes")


async def test_a_link_is_whole_again_after_the_server_cut_it_or_died(kind: str) -> None:
    seen: list[Any] = []
    port = free_port()
    async with (
        serving(kind, port=port) as server,
        Link(server.url, config=CONFIG, listener=seen.append) as link,
    ):
        await link.subscribe(CHANNELS)
        for number in range(1, 6):
            await tell(link, "cut")
            await is_whole(link, seen, number)
            assert (await server.saw_end())[0] == 1006
        await server.kill()
        await until(lambda: link.state is not LinkState.LIVE, "it is noticed")
        async with serving(kind, port=port):
            await is_whole(link, seen, 6)
            assert sum(isinstance(item, Interrupted) for item in seen) == 6
