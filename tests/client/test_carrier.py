from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import socket
import struct
import weakref
from collections.abc import AsyncIterator, Callable
from typing import NoReturn

import msgspec
import pytest
import uvloop
from picows import WSTransport
from websockets.asyncio.server import ServerConnection, serve

from feedmux.client.carrier import Carrier
from feedmux.client.connection import Connection
from feedmux.client.settings import LinkConfig
from feedmux.core.reconnect import State
from feedmux.model.errors import IllegalEvent, InvalidSetting, Overflow
from feedmux.model.link_errors import LinkLost
from support.peers import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PATIENCE_S,
    PING,
    PONG,
    QUICK,
    TEXT,
    HighDice,
    SystemClock,
    Talk,
    User,
    frame,
    make_link,
    open_descriptors,
    raw_server,
    read_frame,
    read_request,
    running,
    says,
    until,
    upgrade,
)


def url_of(port: int, path: str = "/stream") -> str:
    return f"ws://127.0.0.1:{port}{path}"


@contextlib.asynccontextmanager
async def echo_server(seen: list[ServerConnection] | None = None) -> AsyncIterator[str]:
    """A server that sends back what it gets, by the book."""

    async def echo(connection: ServerConnection) -> None:
        if seen is not None:
            seen.append(connection)
        async for message in connection:
            await connection.send(message)

    async with serve(echo, "127.0.0.1", 0, compression=None) as server:
        yield url_of(next(iter(server.sockets)).getsockname()[1])


def unused_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


# Messages


async def test_messages_come_whole_and_in_order_after_opened() -> None:
    async with raw_server(
        says(frame(TEXT, b"1"), frame(BINARY, b"\x00\xff"), frame(TEXT, b"3" * 300))
    ) as port:
        link, user = make_link(url_of(port))
        async with running(link):
            await user.saw("received", 3)
    assert user.events[:4] == [
        ("opened", None),
        ("received", b"1"),
        ("received", b"\x00\xff"),
        ("received", b"3" * 300),
    ]


async def test_text_is_sent_as_text_and_binary_on_request() -> None:
    got: list[tuple[int, bytes]] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await upgrade(reader, writer)
        got.extend([await read_frame(reader) for _ in range(3)])

    async with raw_server(talk) as port:
        link, user = make_link(url_of(port))

        def speak() -> None:
            link.send(b'{"op":"ping"}')
            link.send("é")
            link.send(b"\x81", binary=True)

        user.on_opened = speak
        async with running(link):
            await until(lambda: len(got) == 3)
    assert got == [(TEXT, b'{"op":"ping"}'), (TEXT, "é".encode()), (BINARY, b"\x81")]


async def test_fragments_become_one_message_with_a_ping_between_them() -> None:
    pongs: list[tuple[int, bytes]] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        parts = [frame(TEXT, b"he", fin=False), frame(PING, b"?"), frame(CONTINUATION, b"l", fin=False)]
        await upgrade(reader, writer, b"".join([*parts, frame(CONTINUATION, b"lo"), frame(TEXT, b"next")]))
        pongs.append(await read_frame(reader))
        await reader.read(-1)

    async with raw_server(talk) as port:
        link, user = make_link(url_of(port))
        async with running(link):
            assert await user.saw("received", 2) == [b"hello", b"next"]
            await until(lambda: pongs == [(PONG, b"?")])
        assert link.statistics()["messages"] == 2


BAD_CODES = (0, 1, 999, 1004, 1005, 1006, 1015, 1016, 2000, 2999, 5000, 65535)
RESERVED = "reserved bits, as of compression, which was not agreed on"
TOO_LONG = "a message is longer than max_message_bytes (1000)"


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        ([frame(TEXT, b"x" * 1001)], TOO_LONG),
        ([frame(TEXT, b"x" * 300_000)], TOO_LONG),
        ([frame(TEXT, b"x" * 600, fin=False), frame(CONTINUATION, b"x" * 401, fin=False)], TOO_LONG),
        ([frame(CONTINUATION, b"x")], "fragments of messages out of order"),
        ([frame(TEXT, b"x", fin=False), frame(TEXT, b"x")], "fragments of messages out of order"),
        ([frame(TEXT, fin=False), frame(BINARY, fin=False)], "fragments of messages out of order"),
        ([frame(TEXT, b"x", fin=False), *[frame(CONTINUATION, b"x", fin=False)] * 2000], TOO_LONG),
        *(([frame(opcode, b"", rsv=rsv)], RESERVED) for opcode in (1, 2, 8, 9, 10) for rsv in (1, 2, 4, 7)),
        ([frame(TEXT, b"x", fin=False), frame(CONTINUATION, b"x", rsv=2)], RESERVED),
        *(([frame(opcode, b"x")], "invalid opcode") for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)),
        *(([frame(opcode, fin=False)], "fragmented control frame") for opcode in (CLOSE, PING, PONG)),
        *(([frame(opcode, b"\x03\xe8" + b"x" * 124)], "payload size > 125") for opcode in (CLOSE, PONG)),
        ([struct.pack("!BBH", 0x81, 126, 5) + b"hello"], "invalid 16-bit payload len"),
        ([struct.pack("!BBQ", 0x81, 127, 5) + b"hello"], "invalid 64-bit payload len"),
        ([struct.pack("!BBQ", 0x81, 127, 2**63)], "invalid 64-bit payload len"),
        ([struct.pack("!BBQ", 0x81, 127, 2**62)], TOO_LONG),
        ([frame(CLOSE, b"\x03")], "the server broke the protocol: "),
        *(([frame(CLOSE, struct.pack("!H", code))], "the server broke the protocol: ") for code in BAD_CODES),
        ([frame(CLOSE, b"\x03\xe8\xff")], "invalid UTF-8 reason"),
        ([b"\0" * 50], "fragments of messages out of order"),
        ([b"HTTP/1.1 200 OK\r\n\r\n"], "the server broke the protocol: "),
        ([b"\x81\x81aaaab"], "masked frame from server"),
        ([frame(PING, b"x" * 126)], "control frame with payload size > 125"),
    ],
    ids=lambda value: ascii(value)[:40],
)
async def test_what_breaks_the_protocol_or_the_bound_ends_the_connection(
    sent: list[bytes], reason: str
) -> None:
    async with raw_server(says(*sent)) as port:
        link, user = make_link(url_of(port), msgspec.structs.replace(QUICK, max_message_bytes=1000))
        async with running(link):
            reasons = await user.saw("lost", 2)
    assert all(reason in str(each) for each in reasons)
    assert user.all("received") == []


@pytest.mark.parametrize(
    ("broken", "more", "reason"),
    [
        (frame(TEXT, b"x" * 1001)[:100], frame(TEXT, b"x" * 1001)[100:], TOO_LONG),
        (frame(CLOSE, struct.pack("!H", 1005)), frame(TEXT, b"x"), "invalid close code"),
        (frame(3, b"x"), frame(TEXT, b"x"), "invalid opcode"),
    ],
    ids=["too long", "illegal close", "no such opcode"],
)
async def test_nothing_more_is_received_from_who_broke_the_protocol(
    broken: bytes, more: bytes, reason: str
) -> None:
    """What came before it is; what goes on arriving after our CLOSE is not, nor does it change the reason."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await upgrade(reader, writer, frame(TEXT, b"good") + broken)
        _, payload = await read_frame(reader)
        writer.write(more + frame(CLOSE, payload[:2]))
        await reader.read(-1)

    async with raw_server(talk) as port:
        config = msgspec.structs.replace(QUICK, max_message_bytes=1000, retry_delay_s=5.0, max_backoff_s=5.0)
        link, user = make_link(url_of(port), config)
        async with running(link):
            (why,) = await user.saw("lost")
    assert reason in str(why)
    assert user.all("received") == [b"good"]


async def test_a_message_of_exactly_the_bound_is_taken() -> None:
    half = frame(TEXT, b"x" * 500, fin=False) + frame(CONTINUATION, b"", fin=False)
    async with raw_server(says(frame(TEXT, b"x" * 1000), half, frame(CONTINUATION, b"x" * 500))) as port:
        link, user = make_link(url_of(port), msgspec.structs.replace(QUICK, max_message_bytes=1000))
        async with running(link):
            assert await user.saw("received", 2) == [b"x" * 1000, b"x" * 1000]


async def test_nothing_is_received_after_the_connection_was_replaced() -> None:
    async with raw_server(says(*(frame(TEXT, b"%d" % i) for i in range(5)))) as port:
        link, user = make_link(url_of(port))
        user.on_received = lambda payload: link.replace("enough")
        async with running(link):
            await user.saw("lost", 2)
    assert set(user.all("received")) == {b"0"}
    assert set(user.all("lost")) <= {"enough", "closed here"}


# Ends


async def test_it_comes_back_and_restores_after_the_server_closed() -> None:
    async def talk(connection: ServerConnection) -> None:
        assert await connection.recv() == "subscribe"
        await connection.send("data")
        await connection.close(1012, "maintenance")

    async with serve(talk, "127.0.0.1", 0) as server:
        link, user = make_link(url_of(next(iter(server.sockets)).getsockname()[1]))
        user.on_opened = lambda: link.send("subscribe")
        async with running(link):
            await user.saw("received", 3)
            await user.saw("lost", 3)
            assert link.close_code == 1012
    closed = "the server closed the connection (1012: maintenance)"
    once = [("opened", None), ("received", b"data"), ("lost", closed), ("retrying", closed)]
    assert user.events[:8] == once * 2


@pytest.mark.parametrize("code", [b"", struct.pack("!H", 1001), struct.pack("!H", 4009)])
async def test_close_is_answered_with_its_own_code(code: bytes) -> None:
    answers: list[tuple[int, bytes]] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await upgrade(reader, writer, frame(CLOSE, code + (b"bye" if code else b"")))
        answers.append(await read_frame(reader))
        assert await reader.read() == b"", "it hangs up after its answer"

    async with raw_server(talk) as port:
        link, user = make_link(url_of(port))
        async with running(link):
            await user.saw("lost")
            await until(lambda: bool(answers))
    assert answers[0] == (CLOSE, code)


async def reset_in_a_frame(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await upgrade(reader, writer, frame(TEXT, b"x" * 100)[:50])
    await writer.drain()
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


async def hang_up_in_a_frame(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await upgrade(reader, writer, frame(TEXT, b"x" * 100)[:50])
    writer.close()


@pytest.mark.parametrize("talk", [reset_in_a_frame, hang_up_in_a_frame])
async def test_an_end_within_a_frame_is_a_loss(talk: Talk) -> None:
    async with raw_server(talk) as port:
        link, user = make_link(url_of(port))
        async with running(link):
            reasons = await user.saw("lost", 3)
    assert set(reasons) == {"the connection broke without a CLOSE"}
    assert user.all("received") == []
    assert len(user.all("opened")) == len(user.all("lost"))


# Attempts that fail


def answers_http(status: bytes, *headers: bytes) -> Talk:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"\r\n".join([b"HTTP/1.1 " + status, *headers, b"", b""]))
        await reader.read(-1)

    return talk


async def never_answers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(-1)


async def hangs_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_request(reader)


async def speaks_garbage(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")
    await reader.read(-1)


async def speaks_without_end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"x" * 4096)
        await writer.drain()


async def signs_wrongly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_request(reader)
    writer.write(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: bm90IHRoZSByaWdodCBvbmU=\r\n\r\n"
    )
    await reader.read(-1)


@pytest.mark.parametrize(
    ("talk", "reason"),
    [
        (answers_http(b"401 Unauthorized"), "HTTP 401 Unauthorized; check the credentials"),
        (answers_http(b"404 Not Found"), "HTTP 404 Not Found; check the path of the URL"),
        (answers_http(b"429 Too Many Requests"), "HTTP 429 Too Many Requests; too many connections"),
        (answers_http(b"503 Service Unavailable"), "HTTP 503 Service Unavailable"),
        (answers_http(b"520 Web Server Error"), "HTTP/1.1 520"),
        (
            answers_http(b"302 Found", b"Location: wss://me:pass@other/x?token=1"),
            "points to wss://***@other/x?***, and redirects are not followed",
        ),
        (answers_http(b"200 OK"), "HTTP 200 OK"),
        (never_answers, "no answer within 0.05 s while upgrading to WebSocket"),
        (hangs_up, "the server hung up before it answered the upgrade"),
        (speaks_garbage, "the server does not speak WebSocket as it should"),
        (speaks_without_end, "the server does not speak WebSocket as it should"),
        (signs_wrongly, "invalid sec-websocket-accept"),
    ],
)
async def test_a_failed_attempt_says_why_and_is_repeated(talk: Talk, reason: str) -> None:
    patience_s = 0.05 if talk is never_answers else 2.0
    async with raw_server(talk) as port:
        link, user = make_link(url_of(port), msgspec.structs.replace(QUICK, connect_timeout_s=patience_s))
        async with running(link):
            reasons = await user.saw("retrying", 3)
    reasons = [each for each in reasons if "while connecting" not in str(each)]  # on a busy machine
    assert reasons and all(reason in str(each) for each in reasons), reasons
    assert user.all("opened") == user.all("lost") == []


async def test_a_redirect_is_not_followed() -> None:
    visits: list[bytes] = []

    async def trap(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        visits.append(await read_request(reader))

    async with raw_server(trap) as elsewhere:
        location = f"Location: {url_of(elsewhere)}".encode()
        async with raw_server(answers_http(b"301 Moved Permanently", location)) as port:
            link, user = make_link(url_of(port))
            async with running(link):
                await user.saw("retrying", 3)
    assert visits == []


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("ws://127.0.0.1:{port}/", "connection refused; is the server running, and is the port right?"),
        ("ws://nobody.invalid:{port}/", "the name 'nobody.invalid' does not resolve"),
    ],
)
async def test_a_server_that_is_not_there_is_tried_again(url: str, reason: str) -> None:
    link, user = make_link(url.format(port=unused_port()))
    async with running(link):
        reasons = await user.saw("retrying", 3)
    assert all(reason in str(each) for each in reasons), reasons


# Backoff


def with_high_dice(url: str, **changes: float) -> tuple[Carrier, User]:
    user = User()
    config = msgspec.structs.replace(QUICK, **changes)
    user.link = Carrier(url, user, config=config, clock=SystemClock(), dice=HighDice())
    return user.link, user


async def test_waits_grow_while_connections_open_and_prove_nothing() -> None:
    async with raw_server(says(frame(CLOSE))) as port:
        link, user = with_high_dice(url_of(port))
        async with running(link):
            await user.saw("retrying", 5)
    assert user.waits[:5] == [0.001, 0.002, 0.004, 0.004, 0.004]


async def test_proof_starts_the_backoff_anew() -> None:
    async with raw_server(says(frame(TEXT, b"data"), frame(CLOSE))) as port:
        link, user = with_high_dice(url_of(port))
        user.on_received = lambda payload: link.prove()
        async with running(link):
            await user.saw("retrying", 4)
    assert set(user.waits) == {0.001}


async def test_the_state_is_the_machines() -> None:
    async with echo_server() as url:
        link, user = make_link(url)
        assert link.state is State.IDLE
        user.on_received = lambda payload: link.prove()
        async with running(link):
            await user.saw("opened")
            assert str(link.state) == "open"
            link.send("x")
            await user.saw("received")
            assert str(link.state) == "proven"
            link.prove()
            assert str(link.state) == "proven"
        assert str(link.state) == "closed"
        link.prove()
        assert str(link.state) == "closed"


# Signs of life

LIVELY = msgspec.structs.replace(QUICK, ping_interval_s=0.01, ping_timeout_s=0.03)
MUTE = "no answer to the ping within 0.03 s"


async def test_a_server_that_answers_no_ping_is_replaced_though_it_sends_data() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await upgrade(reader, writer)
        while True:
            writer.write(frame(TEXT, b"tick") + frame(PONG, b"unasked"))
            await writer.drain()
            await asyncio.sleep(0.002)

    async with raw_server(talk) as port:
        link, user = make_link(url_of(port), LIVELY)
        async with running(link):
            await user.saw("opened", 3)
    assert user.all("lost")[:2] == [MUTE, MUTE]
    assert b"tick" in user.all("received")


async def test_a_server_that_answers_pings_is_kept() -> None:
    async with echo_server() as url:
        link, user = make_link(url, LIVELY)
        async with running(link):
            await user.saw("opened")
            for _ in range(5):
                last = link.statistics()["round_trip_s"]
                await until(lambda last=last: link.statistics()["round_trip_s"] != last)  # type: ignore[misc]
    assert user.all("lost") == ["closed here"]


async def test_the_users_ping_is_sent_and_its_pong_counts() -> None:
    async with echo_server() as url:
        link, user = make_link(url, LIVELY)
        user.on_ping = lambda: b'{"op":"ping"}'
        user.on_received = lambda payload: link.pong()
        async with running(link):
            await user.saw("received", 6)
    assert set(user.all("received")) == {b'{"op":"ping"}'}
    assert user.all("lost") == ["closed here"]


async def test_a_users_ping_without_pong_replaces_the_connection() -> None:
    async with echo_server() as url:
        link, user = make_link(url, LIVELY)
        user.on_ping = lambda: b'{"op":"ping"}'
        async with running(link):
            await user.saw("opened", 2)
    assert user.all("lost")[0] == MUTE


async def test_a_user_that_knows_better_replaces_the_connection() -> None:
    seen: list[ServerConnection] = []
    async with echo_server(seen) as url:
        link, user = make_link(url)
        async with running(link):
            link.replace("nothing to replace yet")
            await user.saw("opened")
            link.replace("all topics are late")
            link.replace("too late to say something else")
            assert user.all("lost") == [], "it follows in a later turn"
            with pytest.raises(LinkLost):
                link.send("x")
            await user.saw("opened", 2)
            assert user.all("lost") == user.all("retrying") == ["all topics are late"]
            await until(lambda: seen[0].close_code == 1001)


# Sending


async def test_nothing_is_sent_while_no_connection_is_open() -> None:
    link, user = make_link(url_of(unused_port()))
    with pytest.raises(LinkLost, match="none is open, the link is idle"):
        link.send("x")
    async with running(link):
        await user.saw("retrying")
        with pytest.raises(LinkLost, match="connection refused"):
            link.send("x")


def stop_reading(writer: asyncio.StreamWriter) -> None:
    transport = writer.transport
    assert isinstance(transport, asyncio.Transport)
    transport.pause_reading()


async def does_not_read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await upgrade(reader, writer)
    stop_reading(writer)
    await asyncio.get_running_loop().create_future()


async def test_what_waits_to_be_sent_is_bounded() -> None:
    async with raw_server(does_not_read) as port:
        link, user = make_link(url_of(port), msgspec.structs.replace(QUICK, max_write_buffer_bytes=50_000))
        async with running(link):
            await user.saw("opened")
            with pytest.raises(Overflow, match=r"write buffer to ws://127\.0\.0\.1") as caught:
                for _ in range(10_000):
                    link.send(b"x" * 10_000)
            assert caught.value.bound == "50000 bytes"
            waiting = link.statistics()["waiting_bytes"]
            assert isinstance(waiting, int)
            assert 30_000 < waiting <= 50_000
            assert str(link.state) == "open"
    assert user.all("lost") == ["closed here"]


async def test_pings_of_a_server_that_does_not_read_fill_no_memory() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await upgrade(reader, writer)
        stop_reading(writer)
        while True:
            writer.write(frame(PING, b"x" * 125) * 500)
            await writer.drain()

    async with raw_server(talk) as port:
        link, user = make_link(url_of(port), msgspec.structs.replace(QUICK, max_write_buffer_bytes=10_000))
        async with running(link):
            assert await user.saw("lost") == ["the server stopped reading: over 10000 bytes wait"]
            await user.saw("opened", 2)


# Closing


async def run_and_close(link: Carrier, when: Callable[[], bool]) -> None:
    task = asyncio.create_task(link.run())
    await until(when)
    link.close()
    async with asyncio.timeout(PATIENCE_S):
        await task
    link.close()
    assert str(link.state) == "closed"


async def test_close_says_goodbye_and_waits_for_the_answer() -> None:
    seen: list[ServerConnection] = []
    async with echo_server(seen) as url:
        link, user = make_link(url)
        await run_and_close(link, lambda: bool(user.events))
        assert user.events == [("opened", None), ("lost", "closed here")]
        await until(lambda: seen[0].close_code == 1000)


async def test_close_does_not_wait_for_a_server_that_ignores_it() -> None:
    async with raw_server(does_not_read) as port:
        link, user = make_link(url_of(port), msgspec.structs.replace(QUICK, close_timeout_s=0.02))
        await run_and_close(link, lambda: bool(user.events))
    assert user.events == [("opened", None), ("lost", "closed here")]


async def test_close_ends_an_attempt_under_way() -> None:
    asked = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        asked.set()
        assert await reader.read() == b""
        gone.set()

    gone = asyncio.Event()
    async with raw_server(talk) as port:
        link, user = make_link(url_of(port), msgspec.structs.replace(QUICK, connect_timeout_s=60.0))
        await run_and_close(link, asked.is_set)
        async with asyncio.timeout(PATIENCE_S):
            await gone.wait()
    assert user.events == []


async def test_close_ends_a_wait() -> None:
    link, user = with_high_dice(url_of(unused_port()), retry_delay_s=60.0, max_backoff_s=60.0)
    await run_and_close(link, lambda: link.state is State.WAITING)
    assert user.waits == [60.0]


async def test_a_link_closed_before_it_ran_never_connects() -> None:
    link, user = make_link(url_of(unused_port()))
    link.close()
    await link.run()
    assert user.events == []


@pytest.mark.parametrize(
    ("event", "told"),
    [
        ("opened", ["opened", "lost"]),
        ("received", ["opened", "received", "lost"]),
        ("lost", ["opened", "received", "lost"]),
        ("retrying", ["opened", "received", "lost", "retrying"]),
    ],
)
async def test_a_user_may_close_in_every_callback(event: str, told: list[str]) -> None:
    async with raw_server(says(frame(TEXT, b"x"), frame(CLOSE))) as port:
        link, user = make_link(url_of(port))
        setattr(user, f"on_{event}", lambda *_: link.close())
        async with asyncio.timeout(PATIENCE_S):
            await link.run()
    assert [name for name, _ in user.events] == told


async def test_a_link_runs_once() -> None:
    async with echo_server() as url:
        link, user = make_link(url)
        async with running(link):
            await user.saw("opened")
            with pytest.raises(IllegalEvent):
                await link.run()
            assert str(link.state) == "open"


def attempt_begun(user: User, requests: list[bytes]) -> bool:
    return user.link.state is State.CONNECTING


def request_sent(user: User, requests: list[bytes]) -> bool:
    return bool(requests)


def connection_open(user: User, requests: list[bytes]) -> bool:
    return bool(user.all("opened"))


def waiting(user: User, requests: list[bytes]) -> bool:
    return user.link.state is State.WAITING


@pytest.mark.parametrize(
    ("answer", "moment", "told"),
    [
        (None, attempt_begun, []),
        (None, request_sent, []),
        (b"", connection_open, ["opened", "lost"]),
        (frame(CLOSE), waiting, ["opened", "lost", "retrying"]),
    ],
)
async def test_cancellation_leaves_nothing_behind(
    answer: bytes | None, moment: Callable[[User, list[bytes]], bool], told: list[str]
) -> None:
    requests: list[bytes] = []
    told_in_time: list[str] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests.append(
            await read_request(reader) if answer is None else await upgrade(reader, writer, answer)
        )
        await reader.read(-1)

    async def own(user: User) -> None:
        try:
            await user.link.run()
        finally:
            told_in_time.extend(name for name, _ in user.events)

    async def cancelled_link(port: int) -> weakref.ref[Carrier]:
        link, user = with_high_dice(url_of(port), retry_delay_s=60.0, max_backoff_s=60.0)
        task = asyncio.create_task(own(user))
        await until(lambda: moment(user, requests))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            async with asyncio.timeout(PATIENCE_S):
                await task
        assert str(link.state) == "closed"
        return weakref.ref(link)

    async with raw_server(talk) as port:
        before, tasks = open_descriptors(), asyncio.all_tasks()
        trace = await cancelled_link(port)
        assert told_in_time == told
        await until(lambda: open_descriptors() <= before and asyncio.all_tasks() == tasks)
    await until(lambda: gc.collect() >= 0 and trace() is None, "the end of every timer and callback")


async def test_two_hundred_reconnects_leave_nothing_behind() -> None:
    opens = 0

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal opens
        opens += 1
        if opens % 4 == 0:
            await hangs_up(reader, writer)
        elif opens % 4 == 1:
            await reset_in_a_frame(reader, writer)
        elif opens % 4 == 2:
            await says(frame(TEXT, b"x"), frame(3))(reader, writer)
        else:
            await says(frame(TEXT, b"x"), frame(CLOSE))(reader, writer)

    async with raw_server(talk) as port:
        before, tasks = open_descriptors(), asyncio.all_tasks()
        link, user = make_link(url_of(port), msgspec.structs.replace(QUICK, retry_delay_s=1e-6))
        user.on_received = lambda payload: link.prove()
        async with running(link):
            await user.saw("retrying", 200)
        await until(lambda: asyncio.all_tasks() == tasks, "the end of every task")
        await until(lambda: open_descriptors() <= before, "the end of every socket")
    assert len(user.all("opened")) == len(user.all("lost"))
    kinds = Connection | WSTransport

    def nothing_is_left() -> bool:
        gc.collect()
        return not any(isinstance(each, kinds) for each in gc.get_objects())

    await until(nothing_is_left, "the end of every timer and callback")


# A user that fails


def broken() -> NoReturn:
    raise LookupError("a mistake")


async def test_a_user_that_raises_is_logged_and_counted_and_keeps_the_link(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(payload: bytes) -> None:
        raise KeyError(payload)

    async with raw_server(says(*(frame(TEXT, b"%d" % i) for i in range(5)))) as port:
        link, user = make_link(url_of(port))
        user.on_received = fail
        async with running(link):
            await user.saw("received", 5)
    assert user.all("lost") == ["closed here"]
    assert link.statistics()["user_errors"] == 5
    blames = [record for record in caplog.records if record.exc_info]
    assert [record.getMessage().rpartition(" ")[2] for record in blames] == ["1", "2", "4"]
    assert "KeyError: b'0'" in caplog.text


async def test_a_connection_that_could_not_be_restored_is_replaced() -> None:
    async with echo_server() as url:
        link, user = make_link(url)
        user.on_opened = broken
        async with running(link):
            assert (await user.saw("lost", 2))[0] == "its user failed to restore it"


@pytest.mark.parametrize("event", ["lost", "retrying"])
async def test_a_user_that_raises_elsewhere_stops_nothing(event: str) -> None:
    async with raw_server(says(frame(CLOSE))) as port:
        link, user = make_link(url_of(port))
        setattr(user, f"on_{event}", broken)
        async with running(link):
            await user.saw("opened", 3)


async def test_a_user_whose_ping_raises_gets_a_ping_frame_instead() -> None:
    async with echo_server() as url:
        link, user = make_link(url, LIVELY)
        user.on_ping = broken
        async with running(link):
            await until(lambda: link.statistics()["round_trip_s"] is not None)
    assert user.all("lost") == ["closed here"]


# What shows


async def test_credentials_show_nowhere(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(1)
    requests: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await read_request(reader)
        requests.append(request)
        if len(requests) < 3:
            writer.write(b"HTTP/1.1 302 Found\r\nLocation: wss://x/s3cret-query/s3cret-header\r\n\r\n")
        else:
            writer.write(b"HTTP/1.1 s3cret-word s3cret-query s3cret-header\r\n\r\n")

    config = msgspec.structs.replace(QUICK, headers=(("X-Api-Key", "Key s3cret-header"),))
    async with raw_server(talk) as port:
        url = f"ws://me:s3cret-word@127.0.0.1:{port}/v5?auth=s3cret-query"
        link, user = make_link(url, config)
        async with running(link):
            await user.saw("retrying", 4)
    assert b"Authorization: Basic bWU6czNjcmV0LXdvcmQ=\r\n" in requests[0]
    assert b"X-Api-Key: Key s3cret-header\r\n" in requests[0]
    assert b"GET /v5?auth=s3cret-query HTTP/1.1" in requests[0]
    assert f"Host: 127.0.0.1:{port}\r\n".encode() in requests[0]
    shown = [caplog.text, repr(link), repr(link.statistics()), repr(config), repr(user.events)]
    assert "***" in repr(user.events)
    assert not any("s3cret" in text or "bWU6" in text for text in shown)
    assert repr(link) == f"<Carrier ws://127.0.0.1:{port}/v5?*** closed>"


async def test_it_warns_once_per_change_and_not_per_attempt(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="feedmux")
    port = unused_port()
    link, user = make_link(url_of(port))
    user.on_received = lambda payload: link.prove()
    async with running(link):
        await user.saw("retrying", 5)
        async with serve(lambda each: each.send("x"), "127.0.0.1", port):
            await user.saw("received")
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert "is down: connection refused" in warnings[0]
    assert warnings[1] == f"link to {url_of(port)} is back"  # it was refused five times before


async def test_statistics_count_from_the_start() -> None:
    async with raw_server(says(frame(TEXT, b"x"), frame(TEXT, b"y"), frame(CLOSE))) as port:
        link, user = make_link(url_of(port))
        user.on_retrying = lambda: link.close() if len(user.waits) == 3 else None
        await link.run()
    assert link.statistics() == {
        "url": url_of(port),
        "state": "closed",
        "attempts": 3,
        "opens": 3,
        "failures_in_a_row": 3,
        "circuit": "closed",
        "messages": 6,
        "user_errors": 0,
        "waiting_bytes": 0,
        "pings": 0,
        "pongs": 0,
        "round_trip_s": None,
        "last_reason": "the server closed the connection (no code)",
    }


def test_tls_settings_without_tls_are_refused() -> None:
    import ssl

    with pytest.raises(InvalidSetting, match="use wss://"):
        make_link("ws://127.0.0.1:1/", ssl=ssl.create_default_context())


# The other event loop


async def a_whole_story() -> User:
    opened = 0

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal opened
        opened += 1
        if opened == 1:
            await never_answers(reader, writer)
        await says(frame(TEXT, b"a", fin=False), frame(CONTINUATION, b"b"), frame(CLOSE))(reader, writer)

    async with raw_server(talk) as port:
        before = open_descriptors()
        link, user = make_link(url_of(port), LinkConfig(connect_timeout_s=0.25, retry_delay_s=0.001))
        async with running(link):
            await user.saw("lost", 2)
        await until(lambda: open_descriptors() <= before)
    return user


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_it_does_the_same_on_both_event_loops(run: Callable[..., User]) -> None:
    events = run(a_whole_story()).events
    closed = "the server closed the connection (no code)"
    assert ("retrying", "no answer within 0.25 s while upgrading to WebSocket") in events
    others = [event for event in events if event[0] != "retrying"]
    assert others[:3] == [("opened", None), ("received", b"ab"), ("lost", closed)]
