"""Tests of the port that has nothing but the metrics, with strangers before it."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from feedmux.app.metrics_port import served
from feedmux.app.pages import Page
from feedmux.app.settings import Settings
from support.edge import parted
from support.programs import free_port
from support.raw import Raw

PAGE = Page(200, b"some 1\n", content_type="text/plain")
HOST = "127.0.0.1"


@asynccontextmanager
async def listening(page: Page = PAGE, handshake_timeout: float = 5.0) -> AsyncIterator[int]:
    port = free_port()
    settings = Settings(host=HOST, metrics_port=port, handshake_timeout=handshake_timeout)
    async with served(settings, lambda: page):
        yield port


async def ask(port: int, request: bytes) -> tuple[int, dict[str, str], bytes]:
    with await Raw.connect(port) as raw:
        await raw.send(request)
        return parted(await raw.read_to_end())


@pytest.mark.parametrize("path", ["/", "/metrics", "/ws", "/a/b?c=d", "/" + "x" * 2000, "*"])
async def test_every_path_answers_alike(path: str) -> None:
    async with listening() as port:
        status, headers, body = await ask(port, f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert (status, headers["content-type"], body) == (200, "text/plain", b"some 1\n")
        status, headers, body = await ask(port, f"HEAD {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert (status, headers["content-length"], body) == (200, "7", b"")


async def test_a_websocket_is_not_to_be_had_there() -> None:
    request = (
        b"GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    async with listening() as port:
        assert (await ask(port, request))[0] == 200


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"POST / HTTP/1.1\r\nHost: x\r\n\r\n", 405),
        (b"\x16\x03\x01\x02\x00", 400),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 20_000, 431),
    ],
)
async def test_strangers_are_answered_as_on_the_other_port(request_: bytes, status: int) -> None:
    async with listening() as port:
        assert (await ask(port, request_))[0] == status


async def test_who_says_nothing_is_let_go_in_time() -> None:
    async with listening(handshake_timeout=0.1) as port:
        with await Raw.connect(port) as raw:
            assert parted(await raw.read_to_end())[0] == 408


async def test_there_is_room_for_few_who_say_nothing() -> None:
    async with listening() as port:
        silent = [await Raw.connect(port) for _ in range(64)]
        try:
            with pytest.raises(ConnectionError):
                await ask(port, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        finally:
            for raw in silent:
                raw.close()


async def test_when_it_ends_the_port_is_free() -> None:
    async with listening() as port:
        pass
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((HOST, port))


async def test_a_port_that_is_taken_is_a_line_in_the_log_and_nothing_else(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        async with served(Settings(host=HOST, metrics_port=port), lambda: PAGE):
            await asyncio.sleep(0)
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.message == (
        f"The metrics have no port of their own (METRICS_PORT): cannot listen on {HOST}:{port}: Address"
        " already in use (another process listens there; stop it or choose another port)"
    )


async def test_without_the_setting_nobody_listens(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        async with served(Settings(host=HOST), lambda: PAGE):
            pass
    assert not caplog.records
