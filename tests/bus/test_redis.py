"""What a link does when whoever is there is no Redis, or one that misbehaves; a real one has its stories."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import hiredis
import pytest

from feedmux.bus.redis import RedisLink
from feedmux.bus.redis_config import RedisConfig
from feedmux.bus.redis_connection import PING, Call, Listening, Published, RedisConnection, Speech
from support.redis_ear import SOON, RedisEar, open_link, running_link
from support.waiting import until

SECRET = "correct-horse-battery"
HELLO = b"%2\r\n$5\r\nproto\r\n:3\r\n$4\r\nrole\r\n$6\r\nmaster\r\n"
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def served(serve: Serve) -> AsyncIterator[RedisConfig]:
    """Where ``serve`` serves each connection, and hangs up when it returns."""
    tasks: set[asyncio.Task[None]] = set()

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await serve(reader, writer)
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(one, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        yield RedisConfig(
            host="127.0.0.1",
            port=port,
            password=SECRET,
            backoff=SOON,
            connect_timeout_s=5.0,
            close_timeout_s=0.1,
        )
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def trouble_with(said: bytes, wanted: str) -> None:
    """Greet with ``said``: the link says ``wanted``, and tries again."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)
        writer.write(said)
        await writer.drain()
        await reader.read()

    async with served(serve) as config, running_link(config) as (link, ear):
        await until(lambda: wanted in str(link.statistics()["trouble"]), f"{wanted}: {link.statistics()}")
        assert (ear.opens, ear.losses, link.is_open) == (0, [], False)


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "does not speak as Redis does"),
        (b"SSH-2.0-OpenSSH\r\n", "does not speak as Redis does"),
        (b"+OK\r\n", "it did not answer HELLO as Redis does"),
        (b">3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n", "it confirmed what it was not asked for"),
        (b"-ERR unknown command `HELLO`, with args: `3`, `AUTH`, `%b`\r\n" % SECRET.encode(), "RESP3"),
        (b"-LOADING Redis is loading the dataset in memory\r\n", "Redis refused HELLO: LOADING"),
    ],
)
async def test_who_is_no_redis_of_ours_is_named(
    said: bytes, wanted: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    await trouble_with(said, wanted)
    assert SECRET not in caplog.text


async def test_nobody_there() -> None:
    async with served(lambda *_: asyncio.sleep(0)) as config:
        pass
    async with running_link(config) as (link, _):
        await until(lambda: "no connection to redis://127.0.0.1" in str(link.statistics()["trouble"]))


async def test_who_hangs_up_at_once() -> None:
    async with (
        served(lambda *_: asyncio.sleep(0)) as config,
        running_link(config) as (link, _),
    ):
        await until(lambda: "no connection to redis://127.0.0.1" in str(link.statistics()["trouble"]))


async def test_who_says_nothing_is_not_waited_for() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(1000):
            pass

    async with served(serve) as config:
        short = RedisConfig(host=config.host, port=config.port, connect_timeout_s=0.05, backoff=SOON)
        async with running_link(short) as (link, _):
            await until(lambda: "we were not let in within 0.05 s" in str(link.statistics()["trouble"]))


async def test_what_comes_in_pieces_is_put_together() -> None:
    """Redis confirms a subscription and a message of it, byte by byte."""
    said = (
        b"+PONG\r\n>3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n"
        b">3\r\n$7\r\nmessage\r\n$1\r\na\r\n$4\r\n\r\n\r\n\r\n>2\r\n$10\r\ninvalidate\r\n_\r\n"
    )

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"feedmux\r\n")
        writer.write(HELLO)
        await reader.readuntil(b"PING\r\n")
        await reader.readuntil(b"$1\r\na\r\n")
        for number in said:
            writer.write(bytes([number]))
            await writer.drain()
        await reader.read()

    async with served(serve) as config, open_link(config) as (link, ear):
        link.subscribe(b"a")
        await until(lambda: ear.messages)
        assert ear.messages == [(b"a", b"\r\n\r\n")]


async def test_a_long_burst_is_read_whole_and_in_order() -> None:
    """Many short messages and a long one in a single write, which is more than is parsed at once."""
    bodies = [*(b"%05d" % number for number in range(2_000)), b"x" * 100_000, b"last"]
    burst = b"".join(
        b">3\r\n$7\r\nmessage\r\n$1\r\na\r\n$%d\r\n%b\r\n" % (len(body), body) for body in bodies
    )

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"feedmux\r\n")
        writer.write(HELLO)
        asked = b""
        while b"PING" not in asked or b"$1\r\na\r\n" not in asked:  # whichever comes first
            asked += await reader.read(1024)
        writer.write(b"+PONG\r\n>3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n" + burst)
        await reader.read()

    async with served(serve) as config, open_link(config) as (link, ear):
        link.subscribe(b"a")
        await until(lambda: len(ear.messages) >= len(bodies) or ear.losses)
        assert [body for _, body in ear.messages] == bodies
        assert not ear.losses


async def test_answers_to_nothing_end_the_connection() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"feedmux\r\n")
        writer.write(HELLO)
        await reader.readuntil(b"PING\r\n")
        writer.write(b"+PONG\r\n:1\r\n")
        await reader.read()

    async with served(serve) as config, running_link(config) as (_, ear):
        await until(lambda: ear.losses)
        assert "it answered what it was not asked" in str(ear.losses[0])


async def test_a_link_that_is_never_opened_drops_and_marks_nothing_twice() -> None:
    ear = RedisEar()
    link = RedisLink(RedisConfig(), ear)
    for _ in range(3):
        link.publish(b"a", b"x")
    statistics = link.statistics()
    assert (statistics["dropped"], statistics["missed"], statistics["connected"]) == (3, 1, False)
    link.close()
    await link.run()


async def test_who_no_longer_waits_for_an_answer_leaves_no_failure_behind() -> None:
    """Else the loop says, when the connection has ended, that nobody looked at it."""

    class Keeper:
        def pushed(self, channel: bytes, body: bytes) -> None: ...
        def confirmed(self, sent: Published | Listening, reply: object) -> None: ...
        def roomy(self) -> None: ...

    speech = Speech(hiredis.Reader, hiredis.PushNotification, lambda _: PING)
    connection = RedisConnection(Keeper(), RedisConfig(), speech)
    asking = asyncio.ensure_future(connection.ask("PING", PING))
    await until(lambda: connection.sent)
    asking.cancel()
    await asyncio.wait({asking})
    (call,) = connection.sent
    assert isinstance(call, Call)
    assert call.answer.cancelled()
