from __future__ import annotations

import asyncio

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from feedmux.sim import MockServer
from support.waiting import until


async def test_pings_and_pongs_of_a_client_are_seen() -> None:
    async with MockServer() as server, connect(server.url) as socket:
        (client,) = await server.wait_clients()
        await (await socket.ping(b"are you there"))
        assert client.pings == (b"are you there",)
        await client.ping(b"and you")
        assert client.pongs == (b"and you",)
        await socket.pong(b"unasked")
        await until(lambda: client.pongs == (b"and you", b"unasked"))


async def test_only_the_latest_pings_are_kept() -> None:
    async with MockServer() as server, connect(server.url) as socket:
        (client,) = await server.wait_clients()
        for number in range(1001):
            last = await socket.ping(b"%d" % number)
        await last
        assert len(client.pings) == 1000
        assert client.pings[-1] == b"1000"


async def test_a_client_that_has_gone_still_says_how() -> None:
    async with MockServer() as server:
        async with connect(server.url) as socket:
            (client,) = await server.wait_clients()
            assert (client.is_open, client.close_code, client.close_reason) == (True, None, None)
            await socket.close(4242, "enough")
        await server.wait_clients(0)
        assert (client.is_open, client.close_code, client.close_reason) == (False, 4242, "enough")
        with pytest.raises(ConnectionClosed):
            await client.ping()


async def test_a_client_that_vanished_for_the_server_answers_no_ping() -> None:
    async with MockServer() as server, connect(server.url, close_timeout=0.05):
        (client,) = await server.wait_clients()
        await server.simulate_disconnect("vanish")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await client.ping()
