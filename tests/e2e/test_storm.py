"""Many come at once, or say nothing: who is a client notices nothing, and who is honest gets in."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
from websockets.exceptions import InvalidMessage

from support.processes import DEADLINE_S, Client, Gateway, Stage
from support.raw import UPGRADE
from support.streams import judge

BTC = "mudrex.futures.ticker.BTCUSDT"
CROWD = 2000


@pytest.fixture(autouse=True)
def _many_descriptors() -> Iterator[None]:
    """What this process may open is what a gateway that it starts may open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * CROWD + 500
    assert hard == resource.RLIM_INFINITY or hard >= wanted, f"needs {wanted} open files"
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def reach(sock: socket.socket, port: int) -> None:
    """Connect, if only for a moment."""
    with contextlib.suppress(ConnectionResetError):
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))


@asynccontextmanager
async def crowd(gateway: Gateway, count: int, words: bytes = b"") -> AsyncIterator[list[socket.socket]]:
    """So many sockets that say these words and no more."""
    loop = asyncio.get_running_loop()
    socks = [socket.socket() for _ in range(count)]
    try:
        for sock in socks:
            sock.setblocking(False)
        async with asyncio.timeout(DEADLINE_S):
            await asyncio.gather(*(reach(sock, gateway.port) for sock in socks))
            if words:
                await asyncio.gather(*(loop.sock_sendall(sock, words) for sock in socks))
        yield socks
    finally:
        for sock in socks:
            sock.close()


async def let_in(stage: Stage, gateway: Gateway) -> tuple[Client, int]:
    """A client that tries until there is room; how often it was reset.

    Who has closed makes room when the gateway sees it: perhaps after who comes next.
    """
    refused = 0
    async with asyncio.timeout(DEADLINE_S):
        while True:
            try:
                return await stage.client(gateway), refused
            except (OSError, InvalidMessage):
                refused += 1


async def follower(stage: Stage, gateway: Gateway) -> Client:
    """A client that is there before the others come."""
    client = await stage.client(gateway)
    await client.subscribe("ticker:BTCUSDT")
    await client.data(BTC, count=20)
    return client


def missed_nothing(client: Client) -> None:
    (run,) = judge(client.messages, BTC)
    assert run.values[-1]["seq"] - run.values[0]["seq"] == len(run.values) - 1
    assert client.closed is None


@pytest.mark.parametrize("words", [b"", UPGRADE[:-2]], ids=["silent", "almost"])
async def test_half_open_sockets_keep_no_client_out_and_are_gone_in_time(stage: Stage, words: bytes) -> None:
    venue = await stage.venue("--rate", "100")
    gateway = await stage.gateway(venue.url, HANDSHAKE_TIMEOUT=3)
    early = await follower(stage, gateway)
    loop = asyncio.get_running_loop()
    async with crowd(gateway, CROWD, words):
        began = loop.time()
        await gateway.shows(lambda body: body["handshakes"]["half_open"] > CROWD, "all of them are counted")
        late = await stage.client(gateway)
        await late.subscribe("ticker:BTCUSDT")
        await late.data(BTC)
        assert loop.time() - began < 3
        body = await gateway.shows(
            lambda body: body["handshakes"]["handshakes_timed_out"] == CROWD,
            "they are told to go",
        )
        assert body["handshakes"]["refused_half_open"] == 0
    await gateway.shows(lambda body: body["handshakes"]["half_open"] == 1, "only who asks is half open")
    await early.data(BTC, seen=early.seen, count=20)
    missed_nothing(early)


async def test_heads_that_come_a_byte_at_a_time_are_cut_off_in_time(stage: Stage) -> None:
    venue = await stage.venue()
    gateway = await stage.gateway(venue.url, HANDSHAKE_TIMEOUT=1)
    loop = asyncio.get_running_loop()
    async with crowd(gateway, 50, b"GET /ws HTTP/1.1\r\nX: ") as socks:
        began = loop.time()
        answers: list[bytes] = []
        async with asyncio.timeout(DEADLINE_S):
            while len(answers) < len(socks):
                for sock in socks:
                    try:
                        if answer := sock.recv(4096):
                            answers.append(answer)
                    except BlockingIOError:
                        sock.send(b"x")
                await asyncio.sleep(0.05)
        assert 0.9 < loop.time() - began < 3
        assert all(answer.startswith(b"HTTP/1.1 408 ") for answer in answers)
    body = await gateway.shows(lambda body: body["handshakes"]["half_open"] == 1, "they are gone")
    assert body["handshakes"]["handshakes_timed_out"] == 50


async def test_more_half_open_sockets_than_there_is_room_for_are_reset(stage: Stage) -> None:
    venue = await stage.venue("--rate", "100")
    gateway = await stage.gateway(venue.url, HANDSHAKE_TIMEOUT=2, MAX_HALF_OPEN=100)
    early = await follower(stage, gateway)
    async with crowd(gateway, 300) as socks:
        loop = asyncio.get_running_loop()

        async def is_reset(sock: socket.socket) -> bool:
            try:
                return not await loop.sock_recv(sock, 1)
            except OSError:
                return True

        async with asyncio.timeout(DEADLINE_S):
            ends = await asyncio.gather(*(is_reset(sock) for sock in socks))
        assert sum(ends) == 200, "a hundred were told that they are too late"
    late, refused = await let_in(stage, gateway)
    body = await gateway.shows(lambda body: body["handshakes"]["half_open"] == 1, "there is room again")
    assert body["handshakes"] == {
        "half_open": 1,
        "refused_half_open": 200 + refused,
        "handshakes_timed_out": 100,
        "tls_failed": 0,
    }
    await late.subscribe("ticker:BTCUSDT")
    await early.data(BTC, seen=early.seen)
    missed_nothing(early)


@pytest.mark.parametrize("uvloop", ["true", "false"])
async def test_a_storm_of_clients_is_let_in_while_the_others_are_served(stage: Stage, uvloop: str) -> None:
    venue = await stage.venue("--rate", "100")
    gateway = await stage.gateway(venue.url, UVLOOP=uvloop)
    early = await follower(stage, gateway)
    loop = asyncio.get_running_loop()
    async with crowd(gateway, CROWD, UPGRADE) as socks:
        async with asyncio.timeout(DEADLINE_S):
            answers = await asyncio.gather(*(loop.sock_recv(sock, 4096) for sock in socks))
        assert all(answer.startswith(b"HTTP/1.1 101 ") for answer in answers)
        body = await gateway.stats()
        assert body["connections"]["active_connections"] == CROWD + 1
        assert body["handshakes"]["half_open"] == 1
        assert body["handshakes"]["refused_half_open"] == body["handshakes"]["handshakes_timed_out"] == 0
        await early.data(BTC, seen=early.seen, count=50)
    missed_nothing(early)
    await gateway.shows(lambda body: body["connections"]["active_connections"] == 1, "they are gone")
