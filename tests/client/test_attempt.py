"""One attempt to connect, and what its failure says to a program."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from feedmux.client.attempt import LONGEST_WAIT_S, Attempt, wait_of
from feedmux.client.endpoint import Endpoint
from feedmux.client.link import connect
from feedmux.client.settings import LinkConfig
from feedmux.model.errors import Category
from feedmux.model.link_errors import Cause, ConnectFailed
from feedmux.sim import MockServer
from support.peers import QUICK, TEXT, Talk, frame, raw_server, read_request, says, upgrade
from support.rpc_server import rpc_server

REDIRECTED = msgspec.structs.replace(QUICK, max_redirects=2)


def answers(status: str, *headers: str) -> Talk:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        head = "\r\n".join([f"HTTP/1.1 {status}", "Content-Length: 0", *headers])
        writer.write(f"{head}\r\n\r\n".encode())
        await reader.read(-1)

    return talk


@pytest.mark.parametrize(
    ("status", "headers", "category", "wait_s"),
    [
        ("401 Unauthorized", (), Category.AUTHENTICATION, 0),
        ("403 Forbidden", (), Category.AUTHENTICATION, 0),
        ("404 Not Found", (), Category.CONNECTION, 0),
        ("429 Too Many Requests", ("Retry-After: 7",), Category.CONNECTION, 7),
        ("503 Service Unavailable", ("Retry-After: soon",), Category.CONNECTION, 0),
    ],
)
async def test_a_status_says_what_to_do(
    status: str, headers: tuple[str, ...], category: Category, wait_s: float
) -> None:
    async with raw_server(answers(status, *headers)) as port:
        with pytest.raises(ConnectFailed, match=status) as caught:
            await connect(f"ws://127.0.0.1:{port}/", config=QUICK)
    error = caught.value
    assert (error.cause, error.status, error.category) == (Cause.STATUS, int(status[:3]), category)
    assert (error.wait_s, error.retry) == (wait_s, wait_s or "now")


@pytest.mark.parametrize(
    ("url", "cause"),
    [
        ("ws://127.0.0.1:9/", Cause.NETWORK),
        ("ws://no-such-host.invalid/", Cause.NAME),
        ("wss://127.0.0.1:{port}/", Cause.TLS),
        ("ws://127.0.0.1:{port}/", Cause.TIMEOUT),
    ],
)
async def test_other_causes_are_told_apart(url: str, cause: Cause) -> None:
    async def listens(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if cause is Cause.TLS:
            writer.write(b"this is no TLS at all, and never was")
        await reader.read(-1)
        await asyncio.Event().wait()

    config = msgspec.structs.replace(QUICK, connect_timeout_s=0.3)
    async with raw_server(listens) as port:
        with pytest.raises(ConnectFailed) as caught:
            await connect(url.format(port=port), config=config)
    assert caught.value.cause is cause


async def test_what_nobody_foresaw_fails_an_attempt_and_is_told_with_its_kind() -> None:
    no_listener: Any = object()
    async with raw_server(says()) as port:
        attempt = Attempt(Endpoint(f"ws://127.0.0.1:{port}/"), QUICK, tls=None, turn=0, broken=print)
        with pytest.raises(ConnectFailed, match="TypeError: Cannot convert object"):
            await attempt.run(no_listener)
        await attempt.hang_up()


async def test_a_redirect_to_the_same_host_is_followed_if_that_is_wanted() -> None:
    async with (
        rpc_server() as server,
        raw_server(answers("307 Moved", f"Location: {server.url}")) as port,
        connect(f"ws://127.0.0.1:{port}/", config=REDIRECTED) as link,
    ):
        assert await link.request("echo", [1]) == [1]


async def test_a_redirect_elsewhere_is_not() -> None:
    async with raw_server(says()) as other:
        there = f"Location: ws://localhost:{other}/"
        async with raw_server(answers("301 Moved", there)) as port:
            with pytest.raises(ConnectFailed, match="redirects are not followed"):
                await connect(f"ws://127.0.0.1:{port}/", config=REDIRECTED)


async def test_a_circle_of_redirects_ends() -> None:
    visits = []

    async def circle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        visits.append(1)
        await answers("302 Found", "Location: /again")(reader, writer)

    async with raw_server(circle) as port:
        with pytest.raises(ConnectFailed, match="HTTP 302"):
            await connect(f"ws://127.0.0.1:{port}/", config=REDIRECTED)
    assert len(visits) == 3


OFFERED = msgspec.structs.replace(QUICK, headers=(("Sec-WebSocket-Protocol", "v2.feed, v1.feed"),))


@pytest.mark.parametrize(
    ("config", "header", "what"),
    [
        (QUICK, "Sec-WebSocket-Extensions: permessage-deflate", "an extension .*: permessage-deflate"),
        (QUICK, "sec-websocket-extensions: x-mux; a=1, y", "an extension .*: x-mux; a=1"),
        (QUICK, "Sec-WebSocket-Protocol: v1.feed", "a subprotocol .*: v1.feed"),
        (OFFERED, "Sec-WebSocket-Protocol: V1.feed", "a subprotocol .*: V1.feed"),
    ],
)
async def test_a_server_that_agrees_to_what_was_not_offered_is_refused(
    config: LinkConfig, header: str, what: str
) -> None:
    with pytest.raises(ConnectFailed, match=f"it answered with {what}") as caught:
        async with agrees_to(header) as port:
            await connect(f"ws://127.0.0.1:{port}/", config=config)
    assert caught.value.cause is Cause.PROTOCOL


@pytest.mark.parametrize("header", ["Sec-WebSocket-Protocol: v1.feed", "Sec-WebSocket-Extensions:"])
async def test_a_server_that_agrees_to_what_was_offered_is_taken(header: str) -> None:
    async with agrees_to(header) as port, connect(f"ws://127.0.0.1:{port}/", config=OFFERED) as link:
        assert await anext(link) == [1]


@asynccontextmanager
async def agrees_to(header: str) -> AsyncIterator[int]:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await upgrade(reader, writer, frame(TEXT, b"[1]"), f"{header}\r\n".encode())
        await reader.read(-1)

    async with raw_server(talk) as port:
        yield port


@pytest.mark.parametrize(
    ("text", "wait_s"),
    [
        ("", 0), ("12", 12), ("-3", 0), ("1e3", 0), ("９", 0), ("99999999", LONGEST_WAIT_S),
        ("Thu, 01 Jan 1970 00:02:00 GMT", 60), ("Thu, 01 Jan 1970 00:00:10 GMT", 0), ("tomorrow", 0),
        ("Thu, 01 Jan 9999 00:00:00 GMT", LONGEST_WAIT_S),
    ],
)  # fmt: skip
def test_retry_after_is_seconds_or_a_date(text: str, wait_s: float) -> None:
    assert wait_of(text, 60.0) == wait_s


def socks(*answers: bytes) -> Talk:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in answers:
            await reader.read(1000)
            writer.write(answer)
            await writer.drain()

    return talk


@pytest.mark.parametrize(
    ("proxy", "talk"),
    [
        ("socks5://127.0.0.1:{port}", socks()),
        ("socks5://127.0.0.1:{port}", socks(b"\5")),
        ("socks5://127.0.0.1:{port}", socks(b"\5\0", b"\5\0\0\4\0")),
        ("socks5://127.0.0.1:{port}", socks(b"\5\0", b"\5\0\0\1\x7f\0\0")),
        ("socks4://127.0.0.1:{port}", socks(b"\0\x99")),
        ("http://127.0.0.1:{port}", socks(b"HTTP/1.1 abc\r\n\r\n")),
        ("http://127.0.0.1:{port}", socks(b"x" * 70_000)),
        ("http://127.0.0.1:{port}", socks()),
    ],
)
async def test_a_proxy_that_talks_nonsense_costs_an_attempt_and_not_the_link(proxy: str, talk: Talk) -> None:
    async with raw_server(talk) as port:
        url = proxy.format(port=port)
        config = msgspec.structs.replace(QUICK, proxy=url, max_attempts=3)
        link = connect("ws://127.0.0.1:9/", config=config)
        link.start()
        with pytest.raises(ConnectFailed, match="gave up after 3 attempts") as caught:
            await link.wait_closed()
        assert caught.value.__context__ is None
        assert link.statistics()["connection"]["attempts"] == 3  # type: ignore[index]


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (
            "Sec-WebSocket-Extensions: permessage-deflate",
            "it answered with an extension that was not offered: permessage-deflate",
        ),
        ("Sec-WebSocket-Protocol: chat", "it answered with a subprotocol that was not offered: chat"),
    ],
)
async def test_a_server_that_chooses_what_was_not_offered_is_left(header: str, reason: str) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await upgrade(reader, Adding(writer, header.encode()))  # type: ignore[arg-type]
        await reader.read(-1)

    async with raw_server(talk) as port:
        with pytest.raises(ConnectFailed, match=reason) as caught:
            await connect(f"ws://127.0.0.1:{port}/", config=QUICK)
    assert caught.value.cause is Cause.PROTOCOL


class Adding:
    """A writer that adds a header to what it is given."""

    def __init__(self, writer: asyncio.StreamWriter, header: bytes) -> None:
        self.writer, self.header = writer, header

    def write(self, data: bytes) -> None:
        self.writer.write(data.replace(b"\r\n", b"\r\n" + self.header + b"\r\n", 1))


async def test_a_subprotocol_that_was_offered_may_be_chosen() -> None:
    config = msgspec.structs.replace(QUICK, headers=(("Sec-WebSocket-Protocol", "json, chat"),))
    async with MockServer(subprotocols=["chat"]) as server, connect(server.url, config=config):
        assert server.clients[0].subprotocol == "chat"
