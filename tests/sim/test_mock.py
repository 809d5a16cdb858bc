"""The mock server, seen by an independent client and by our own link."""

from __future__ import annotations

import asyncio
import math
import re
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, ConnectionClosedError, ConnectionClosedOK, InvalidStatus
from websockets.typing import Subprotocol

from feedmux.model.errors import InvalidMessage, InvalidSetting, Overflow
from feedmux.sim import Disconnect, Expect, MockServer, Say
from feedmux.sim.pattern import Wire
from support.certificates import Authority
from support.loops import on_both_loops
from support.peers import make_link, running
from support.waiting import until


async def reply(socket: ClientConnection) -> Wire:
    async with asyncio.timeout(5):
        return await socket.recv()


# Answers


async def test_without_a_function_it_only_listens() -> None:
    async with MockServer() as server, connect(server.url) as socket:
        await socket.send("hello")
        await server.assert_received("hello")
        assert server.received == ("hello",)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [("text", ["text"]), (b"\x01", [b"\x01"]), ({"a": 1}, ['{"a":1}']), (["x", {"b": 2}], ["x", '{"b":2}'])],
)
async def test_a_function_answers_with_one_message_or_several(answer: Any, expected: list[Wire]) -> None:
    async with MockServer(lambda message: answer) as server, connect(server.url) as socket:
        await socket.send("?")
        assert [await reply(socket) for _ in expected] == expected


async def test_a_coroutine_function_answers_too_and_nothing_is_no_answer() -> None:
    async def answer(message: Wire) -> Wire | None:
        await asyncio.sleep(0)
        return message if message != "quiet" else None

    async with MockServer(answer) as server, connect(server.url) as socket:
        for message in ("quiet", b"\x00binary", "text"):
            await socket.send(message)
        assert [await reply(socket), await reply(socket)] == [b"\x00binary", "text"]
        assert server.received == ("quiet", b"\x00binary", "text")


async def test_what_the_function_raises_ends_the_connection_and_the_test() -> None:
    def broken(message: Wire) -> None:
        raise KeyError(message)

    with pytest.raises(KeyError, match="boom"):
        async with MockServer(broken) as server, connect(server.url) as socket:
            await socket.send("boom")
            with pytest.raises(ConnectionClosedError) as closed:
                await reply(socket)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1011
            with pytest.raises(AssertionError) as caught:
                await server.assert_received("never", 0.0)
            assert caught.value.__notes__ == ["a function of the mock server raised: KeyError('boom')"]


async def test_what_several_functions_raised_comes_together_but_never_hides_the_tests_own_failure() -> None:
    def broken(message: Wire) -> None:
        raise KeyError(message)

    async def provoke(server: MockServer) -> None:
        for _ in range(2):
            async with connect(server.url) as socket:
                await socket.send("boom")
                with pytest.raises(ConnectionClosedError):
                    await reply(socket)

    with pytest.raises(ExceptionGroup) as caught:
        async with MockServer(broken) as server:
            await provoke(server)
    assert len(caught.value.exceptions) == 2
    with pytest.raises(ZeroDivisionError):
        async with MockServer(broken) as server:
            await provoke(server)
            raise ZeroDivisionError


# Scripts


async def test_a_script_runs_for_each_client_and_then_the_function_answers() -> None:
    script = [
        Say("welcome"),
        Expect({"op": "subscribe"}),
        Say({"success": True}),
        Expect("go"),
        Say(b"\x01"),
    ]
    async with MockServer(lambda message: "echo", script=script) as server:
        for _ in range(2):
            async with connect(server.url) as socket:
                assert await reply(socket) == "welcome"
                await socket.send("noise")
                await socket.send('{"op":"subscribe","args":["a"]}')
                assert await reply(socket) == '{"success":true}'
                await socket.send("go")
                assert await reply(socket) == b"\x01"
                await socket.send("later")
                assert await reply(socket) == "echo"
        assert len(server.received) == 8


async def test_a_script_ends_the_connection() -> None:
    script = [Expect("bye"), Disconnect(4001, "as told")]
    async with MockServer(script=script) as server, connect(server.url) as socket:
        await socket.send("bye")
        with pytest.raises(ConnectionClosedError) as caught:
            await reply(socket)
        assert caught.value.rcvd is not None
        assert (caught.value.rcvd.code, caught.value.rcvd.reason) == (4001, "as told")


# What it remembers


async def test_messages_are_waited_for_by_text_pattern_members_and_predicate() -> None:
    async with MockServer() as server, connect(server.url) as socket:
        later = asyncio.create_task(server.assert_received({"op": "subscribe", "args": ["b"]}))
        await socket.send('{"op":"subscribe","args":["a"]}')
        await socket.send('{"op":"subscribe","args":["b"],"req_id":"7"}')
        assert (await later).client == 1
        await server.assert_received('{"op":"subscribe","args":["a"]}')
        await server.assert_received(re.compile('req_id":"7"'))
        await server.assert_received(lambda message: len(message) == 31)
        await server.assert_received({"op": "subscribe"}, times=2)
        with pytest.raises(AssertionError, match="came 2 of 3 times"):
            await server.assert_received({"op": "subscribe"}, 0.0, times=3)


async def test_only_the_latest_messages_are_kept_and_the_others_counted() -> None:
    async with MockServer(keep=3) as server, connect(server.url) as socket:
        for number in range(10):
            await socket.send(str(number))
        await server.assert_received("9")
        assert server.received == ("7", "8", "9")
        assert server.let_go == 7
        assert server.statistics() == {
            "connections": 1, "connections_ever": 1, "refused": 0, "received": 10, "let_go": 7,
        }  # fmt: skip


async def test_it_keeps_a_thousand_unless_told_otherwise() -> None:
    async with MockServer() as server, connect(server.url) as socket:
        for number in range(1001):
            await socket.send(str(number))
        await server.assert_received("1000")
        assert len(server.received) == 1000
        assert server.let_go == 1


async def test_the_upgrade_shows_path_headers_and_subprotocol() -> None:
    async with (
        MockServer(subprotocols=["v2", "v1"]) as server,
        connect(
            server.url + "?token=s3cr3t",
            additional_headers={"X-Api-Key": "s3cr3t"},
            subprotocols=[Subprotocol("v1"), Subprotocol("v2")],
        ) as socket,
    ):
        (client,) = await server.wait_clients()
        assert client.path == "/ws?token=s3cr3t"
        assert client.headers["x-api-key"] == "s3cr3t"
        assert client.subprotocol == socket.subprotocol == "v2"
        (upgrade,) = server.upgrades
        assert (upgrade.path, upgrade.refused) == (client.path, None)
        assert "s3cr3t" not in repr(upgrade) + repr(client)


@pytest.mark.parametrize("offered", [None, [Subprotocol("v9")]])
async def test_who_speaks_no_subprotocol_of_its_is_accepted_without(
    offered: list[Subprotocol] | None,
) -> None:
    async with MockServer(subprotocols=["v1"]) as server, connect(server.url, subprotocols=offered):
        (client,) = await server.wait_clients()
        assert client.subprotocol is None


async def test_clients_are_counted_while_they_are_there() -> None:
    async with MockServer() as server:
        assert await server.wait_clients(0) == ()
        async with connect(server.url), connect(server.url):
            assert [client.number for client in await server.wait_clients(2)] == [1, 2]
            with pytest.raises(AssertionError, match="2 clients are connected after 0 s; expected 3"):
                await server.wait_clients(3, 0.0)
        assert await server.wait_clients(0) == ()
        async with connect(server.url):
            assert [client.number for client in await server.wait_clients(1)] == [3]


# What it does to clients


async def test_a_message_is_injected_to_all_or_to_one() -> None:
    async with MockServer() as server, connect(server.url) as one, connect(server.url) as two:
        _, second = await server.wait_clients(2)
        assert server.inject({"topic": "a"}) == 2
        assert server.inject(b"\x01", client=second) == 1
        assert await reply(one) == '{"topic":"a"}'
        assert [await reply(two), await reply(two)] == ['{"topic":"a"}', b"\x01"]
    assert server.inject("nobody") == 0


@on_both_loops
async def test_who_reads_nothing_does_not_fill_the_memory() -> None:
    async with MockServer() as server, connect(server.url, max_queue=1, close_timeout=0.05):
        await server.wait_clients()
        megabyte = "x" * 1024 * 1024
        with pytest.raises(Overflow, match="client 1"):
            for _ in range(100):
                server.inject(megabyte)


@pytest.mark.parametrize(
    ("how", "code"), [("normal", 1000), ("going_away", 1001), (1012, 1012), (4000, 4000)]
)
async def test_a_disconnect_says_its_code(how: str | int, code: int) -> None:
    async with MockServer() as server, connect(server.url) as socket:
        (client,) = await server.wait_clients()
        assert await server.simulate_disconnect(how, reason="because") == 1
        with pytest.raises(ConnectionClosed) as caught:
            await reply(socket)
        assert isinstance(caught.value, ConnectionClosedOK) == (code in {1000, 1001})
        assert caught.value.rcvd is not None
        assert (caught.value.rcvd.code, caught.value.rcvd.reason) == (code, "because")
        assert (client.close_code, client.close_reason, client.is_open) == (code, "because", False)


@on_both_loops
async def test_a_reset_comes_without_a_close_frame() -> None:
    async with MockServer() as server, connect(server.url) as socket:
        await server.wait_clients()
        assert await server.simulate_disconnect("reset") == 1
        with pytest.raises(ConnectionClosedError) as caught:
            await reply(socket)
        assert caught.value.rcvd is None
        assert isinstance(caught.value.__cause__, ConnectionResetError)
        await server.wait_clients(0)


@on_both_loops
async def test_a_server_that_vanished_says_nothing_and_hears_nothing() -> None:
    async with (
        MockServer(lambda message: message) as server,
        connect(server.url, close_timeout=0.05) as socket,
    ):
        (client,) = await server.wait_clients()
        assert client.is_open
        assert await server.simulate_disconnect("vanish") == 1
        assert not client.is_open
        await socket.send("anybody?")
        pong = await socket.ping()
        assert server.inject("still here") == 0
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await pong
        assert server.received == ()
        assert server.clients == (client,), "the connection stays"


async def test_an_answer_that_was_on_its_way_vanishes_too() -> None:
    go = asyncio.Event()
    gone = asyncio.Event()

    async def answer(message: Wire) -> list[Wire]:
        await go.wait()
        gone.set()
        return [message]

    async with MockServer(answer) as server, connect(server.url, close_timeout=0.05) as socket:
        await socket.send("anybody?")
        await server.assert_received("anybody?")
        await server.simulate_disconnect("vanish")
        go.set()
        await gone.wait()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await socket.recv()


async def test_one_client_of_several_is_disconnected() -> None:
    async with MockServer() as server, connect(server.url) as one, connect(server.url) as two:
        first, second = await server.wait_clients(2)
        assert await server.simulate_disconnect(client=first) == 1
        with pytest.raises(ConnectionClosedOK):
            await reply(one)
        assert await server.wait_clients(1) == (second,)
        server.inject("you are still there")
        assert await reply(two) == "you are still there"


async def test_what_is_no_way_to_disconnect_is_refused() -> None:
    async with MockServer() as server:
        with pytest.raises(InvalidSetting, match="how"):
            await server.simulate_disconnect(1006)


async def test_upgrades_are_refused_with_a_status_for_as_long_or_as_often_as_told() -> None:
    async with MockServer() as server:
        server.refuse(429, times=2, headers={"Retry-After": "7"})
        for _ in range(2):
            with pytest.raises(InvalidStatus) as caught:
                await connect(server.url)
            assert caught.value.response.status_code == 429
            assert caught.value.response.headers["Retry-After"] == "7"
        async with connect(server.url):
            await server.wait_clients()
            server.refuse()
            with pytest.raises(InvalidStatus, match="503"):
                await connect(server.url)
            assert len(server.clients) == 1, "those who are connected stay"
        server.accept()
        async with connect(server.url):
            assert [upgrade.refused for upgrade in server.upgrades] == [429, 429, None, 503, None]
            assert server.statistics()["refused"] == 3
        for status in (101, 200, 299, 600, 599):
            with pytest.raises(InvalidSetting, match="status"):
                server.refuse(status)


# TLS, and its own end


@on_both_loops
async def test_with_a_context_it_speaks_tls(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(authority.files.cert, authority.files.key)
    async with (
        MockServer(lambda message: message, tls=context) as server,
        connect(server.url, ssl=authority.trusting()) as socket,
    ):
        assert server.url.startswith("wss://127.0.0.1:")
        await socket.send("secure")
        assert await reply(socket) == "secure"
        await server.simulate_disconnect("reset")
        with pytest.raises(ConnectionClosedError):
            await reply(socket)


@on_both_loops
async def test_the_end_of_the_block_closes_every_connection() -> None:
    async with MockServer() as server:
        socket = await connect(server.url)
        gone = await connect(server.url)
        _, second = await server.wait_clients(2)
        await server.simulate_disconnect("vanish", client=second)
    with pytest.raises(ConnectionClosedOK) as caught:
        await reply(socket)
    assert caught.value.rcvd is not None
    assert caught.value.rcvd.code == 1001
    with pytest.raises(ConnectionClosedError):
        await reply(gone)
    with pytest.raises(ConnectionRefusedError):
        await connect(server.url)


async def test_an_address_that_is_none_of_ours_is_refused() -> None:
    with pytest.raises(InvalidSetting, match=r"host: '192\.0\.2\.1'"):
        async with MockServer(host="192.0.2.1"):
            pass


# With our own link


@pytest.fixture
async def server() -> AsyncIterator[MockServer]:
    async with MockServer(script=[Expect("subscribe"), Say("data")]) as running_server:
        yield running_server


@pytest.mark.parametrize("how", ["normal", "going_away", 4000, "reset"])
async def test_our_link_comes_back_and_restores(server: MockServer, how: str | int) -> None:
    link, user = make_link(server.url)
    user.on_opened = lambda: link.send("subscribe")
    async with running(link):
        await user.saw("received", 1)
        await server.simulate_disconnect(how)
        assert await user.saw("received", 2) == [b"data", b"data"]
        await server.assert_received("subscribe", times=2)


async def test_our_link_is_refused_and_told_why(server: MockServer) -> None:
    server.refuse(503, times=1)
    link, user = make_link(server.url)
    async with running(link):
        await user.saw("opened")
        await until(lambda: len(server.upgrades) == 2)
    assert user.all("retrying") == ["the server answered HTTP 503 Service Unavailable"]


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("answer", [5, "echo", []]),
        ("script", [5, "Say", None, [5], ["hello"], [Say]]),
        ("tls", [True, "cert.pem"]),
        ("subprotocols", [None, "json", [5], [""]]),
        ("host", [None, "", 5]),
        ("keep", [0, "5", True, 10**9]),
        ("max_message_bytes", [0, -1, 1.5, "5", True]),
    ],
)
def test_what_no_server_can_be_made_of_is_refused_by_name(name: str, values: list[Any]) -> None:
    for value in values:
        with pytest.raises(InvalidSetting) as caught:
            MockServer(**{name: value})
        assert caught.value.name == name


@pytest.mark.parametrize("host", ["no such host", "a..b", "x" * 64, "300.1.1.1"])
async def test_an_address_that_is_none_is_refused(host: str) -> None:
    with pytest.raises(InvalidSetting, match=r"host: .* expected an address to listen on"):
        async with MockServer(host=host):
            pass


async def test_what_it_cannot_do_is_refused_by_name() -> None:
    async with MockServer() as server:
        wrong: list[tuple[str, Callable[[], object]]] = [
            ("status", lambda: server.refuse("503")),  # type: ignore[arg-type]
            ("status", lambda: server.refuse(True)),
            ("status", lambda: server.refuse(299)),
            ("status", lambda: server.refuse(599)),
            ("times", lambda: server.refuse(503, times=0)),
            ("times", lambda: server.refuse(503, times="1")),  # type: ignore[arg-type]
            ("headers", lambda: server.refuse(503, headers=5)),  # type: ignore[arg-type]
            ("headers", lambda: server.refuse(503, headers={"Retry-After": 5})),  # type: ignore[dict-item]
        ]
        for name, act in wrong:
            with pytest.raises(InvalidSetting) as caught:
                act()
            assert caught.value.name == name
        for count, timeout_s in ((-1, 1.0), ("1", 1.0), (1, math.nan), (1, "1")):
            with pytest.raises(InvalidSetting):
                await server.wait_clients(count, timeout_s)  # type: ignore[arg-type]
        with pytest.raises(InvalidMessage, match="expected a text, bytes, or a mapping"):
            server.inject(object())  # type: ignore[arg-type]
