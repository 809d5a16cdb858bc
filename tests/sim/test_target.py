from __future__ import annotations

import asyncio
import json

import pytest
from websockets.asyncio.server import ServerConnection

from feedmux.model.errors import InvalidSetting, Refused
from feedmux.model.link_errors import ConnectFailed
from feedmux.sim.target import FullHouse, NotAGateway, Target, probe
from support.ws_server import Talk, acknowledge, trade, ws_server

TOPICS = ("trade:BTCUSDT",)


async def test_a_url_is_read_and_its_host_looked_up() -> None:
    target = await Target.of("ws://localhost:8000/ws?x=1")
    assert target == Target("localhost", "127.0.0.1", 8000, "/ws?x=1")
    assert target.is_here
    assert (await Target.of("ws://me:secret@127.0.0.1")).url == "ws://127.0.0.1:80/"
    assert not Target("example.org", "93.184.215.14", 80, "/").is_here


@pytest.mark.parametrize(
    "url", ["", "8000", "http://127.0.0.1/ws", "wss://127.0.0.1/ws", "ws://", "ws://x:99999/"]
)
async def test_what_is_no_such_url_is_named_with_what_is_one(url: str) -> None:
    with pytest.raises(InvalidSetting, match=r"URL: .* expected ws://HOST"):
        await Target.of(url)


async def test_a_host_that_does_not_exist_is_named() -> None:
    with pytest.raises(ConnectFailed, match=r"gateway\.invalid has no IPv4 address"):
        await Target.of("ws://gateway.invalid/ws")


async def test_a_gateway_that_accepts_passes_even_if_data_comes_before_the_answer() -> None:
    async def talk(connection: ServerConnection) -> None:
        await connection.send(trade(1))
        assert await acknowledge(connection) == list(TOPICS)

    async with ws_server(talk) as url:
        await probe(await Target.of(url), TOPICS)


async def test_nobody_there_is_one_sentence() -> None:
    with pytest.raises(ConnectFailed, match=r"no connection to ws://127\.0\.0\.1:9/ws: Connection refused"):
        await probe(await Target.of("ws://127.0.0.1:9/ws"), TOPICS)


def answering(*texts: str) -> Talk:
    async def talk(connection: ServerConnection) -> None:
        await connection.recv()
        for text in texts:
            await connection.send(text)
        await connection.close(1000)

    return talk


def closing(code: int, reason: str = "") -> Talk:
    async def talk(connection: ServerConnection) -> None:
        await connection.close(code, reason)

    return talk


REJECTED = {
    "op": "subscribe", "success": True, "args": ["a"],
    "rejected": [{"arg": "kline:BTCUSDT", "reason": "no interval"}, {"arg": "x", "reason": "y"}],
}  # fmt: skip
LIMIT = {"op": "error", "code": "LIMIT_EXCEEDED", "message": "Too many subscriptions"}


@pytest.mark.parametrize(
    ("talk", "error", "words"),
    [
        (answering(json.dumps(REJECTED)), Refused, "kline:BTCUSDT, and 1 more was refused: no interval"),
        (answering(json.dumps(LIMIT)), Refused, r"Too many subscriptions \(LIMIT_EXCEEDED\)"),
        (answering("hello"), NotAGateway, "it sent what is no JSON"),
        (answering("[1]", '{"op":"dance"}'), NotAGateway, "closed the connection instead of answering"),
        (answering('{"op":"subscribe"}'), NotAGateway, "without success and without a reason"),
        (closing(4003, "full"), FullHouse, "is full.*MAX_CLIENTS_TOTAL"),
        (closing(1008, "not you"), NotAGateway, "closed the connection with 1008 not you"),
    ],
)
async def test_every_way_to_say_no_has_its_error(talk: Talk, error: type[Exception], words: str) -> None:
    async with ws_server(talk) as url:
        with pytest.raises(error, match=words):
            await probe(await Target.of(url), TOPICS)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "it answered HTTP 404"),
        (b"220 mail.example.org ESMTP\r\n", "it is no WebSocket server"),
    ],
)
async def test_another_server_is_told_from_a_gateway(answer: bytes, words: str) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(NotAGateway, match=words):
            await probe(await Target.of(f"ws://127.0.0.1:{port}/ws"), TOPICS)
