from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from feedmux.edge.dialogue import Peer
from feedmux.edge.endpoint import Entry, Opening
from feedmux.edge.http import Reply
from feedmux.model.ports import Outlet
from support.clocks import StandingClock
from support.echo import Echo
from support.edge import CONFIG, ROUTES, Edge
from support.frames import PING, PONG, TEXT, masked
from support.loops import on_asyncio, on_both_loops
from support.raw import UPGRADE, Raw
from support.waiting import until

PLAIN = UPGRADE.replace(b"/ws ", b"/echo ")
ODD = PLAIN.replace(b"Connection: Upgrade", b"Connection: a, b, Upgrade")
"""Not ordinary; only the protocol library reads it."""
ROADS = pytest.mark.parametrize("head", [PLAIN, ODD], ids=["quick", "slow"])


class Echoes:
    """An endpoint that says what it is told to, and remembers.

    Args:
        greeting: see :class:`Echo`.
        verdict: what clients are answered; None: they are let in.
    """

    def __init__(self, greeting: bytes = b"", verdict: Reply | Callable[[], Any] | None = None) -> None:
        self.greeting = greeting
        self.verdict = verdict
        self.openings: list[Opening] = []
        self.sessions: list[Echo] = []

    def admit(self, opening: Opening, /) -> Entry | Reply:
        self.openings.append(opening)
        if isinstance(self.verdict, Reply):
            return self.verdict
        if self.verdict is not None:
            self.verdict()
        return Entry(self._make, "chat" if opening.values("sec-websocket-protocol") else None)

    def _make(self, peer: Peer, outlet: Outlet) -> Echo:
        if self.greeting == b"raise at once":
            raise LookupError("no session")
        self.sessions.append(Echo(peer, outlet, self.greeting))
        return self.sessions[-1]


def _raise() -> Reply:
    raise LookupError("no verdict")


async def opened(edge: Edge, head: bytes = PLAIN) -> Raw:
    raw = await edge.connect()
    await raw.send(head)
    assert (await raw.upgrade_answer()).startswith(b"HTTP/1.1 101 ")
    return raw


def test_an_opening_is_parted_at_the_first_question_mark() -> None:
    for target, path, query in (
        ("/a?b=c?d", "/a", "b=c?d"),
        ("/a?", "/a", ""),
        ("/a/", "/a/", ""),
        ("?a", "", "a"),
    ):
        opening = Opening.of(target, [])
        assert (opening.target, opening.path, opening.query) == (target, path, query)


def test_every_value_of_a_header_is_found() -> None:
    opening = Opening.of("/", [("a", "1"), ("b", "2"), ("a", "3")])
    assert (opening.values("a"), opening.values("b"), opening.values("c")) == (["1", "3"], ["2"], [])


@ROADS
@on_both_loops
async def test_each_path_has_its_own_kind_of_session(head: bytes) -> None:
    echoes, others = Echoes(b"welcome"), Echoes(b"you too")
    async with Edge(endpoints={"/echo": echoes}, catch_all=others) as edge:
        with await opened(edge, head) as raw, await edge.client() as client:
            assert (await raw.frame()).payload == b"welcome"
            await raw.send_frame(TEXT, b"a")
            assert (await raw.frame()).payload == b"a"
            await client.ask("ping")
            assert (await client.message())["op"] == "pong"
            with await opened(edge, head.replace(b"/echo", b"/elsewhere?a=b")) as third:
                assert (await third.frame()).payload == b"you too"
            assert edge.count("clients_lifetime") == 3
        await until(lambda: edge.count("sockets") == 0)
    assert [session.ends for session in (*echoes.sessions, *others.sessions)] == [1, 1]
    assert [opening.target for opening in others.openings] == ["/elsewhere?a=b"]


@on_both_loops
async def test_both_roads_show_the_same_request() -> None:
    echoes = Echoes()
    more = b"Origin: https://a.example\r\nAuthorization:  Bearer x \r\n\r\n"
    async with Edge(endpoints={"/echo": echoes}) as edge:
        for head in (PLAIN, ODD):
            with await opened(edge, head.replace(b"/echo", b"/echo?stream=a,b")[:-2] + more):
                pass
    quick, slow = echoes.openings
    assert (quick.target, quick.path, quick.query) == ("/echo?stream=a,b", "/echo", "stream=a,b")
    assert dict(slow.headers) == dict(quick.headers) | {"connection": "a, b, Upgrade"}
    assert quick.values("authorization") == ["Bearer x"]


@ROADS
@on_both_loops
async def test_who_is_refused_gets_the_endpoints_answer_and_is_counted(head: bytes) -> None:
    echoes = Echoes(verdict=Reply(403, {"error": "not you"}, (("X-Why", "because"),)))
    async with Edge(endpoints={"/echo": echoes}) as edge:
        status, headers, body = await edge.http(head + masked(TEXT, b"too early"))
        assert (status, body) == (403, b'{"error": "not you"}')
        assert (headers["x-why"], headers["sec-websocket-version"]) == ("because", "13")
        echoes.verdict = Reply(401, {})
        assert (await edge.http(head))[0] == 401
        echoes.verdict = None
        with await opened(edge, head):
            assert edge.count("refused_by_status") == {"401": 1, "403": 1}
            assert edge.count("clients_lifetime") == 1
            await until(lambda: edge.count("half_open") == 0)


@ROADS
@on_both_loops
async def test_an_endpoint_that_raises_is_a_500_and_its_traceback_is_logged_once(
    head: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.clear()
    async with Edge(catch_all=Echoes(verdict=_raise)) as edge:
        for path in (b"/echo", b"/a", b"/b"):
            status, _, body = await edge.http(head.replace(b"/echo", path))
            assert (status, body) == (500, b'{"error": "The server could not answer this request"}')
        await until(lambda: edge.count("sockets") == 0)
        assert (edge.count("failed_requests"), edge.count("half_open")) == (3, 0)
    assert [record.levelno for record in caplog.records if record.exc_info].count(logging.ERROR) == 1
    assert "LookupError: no verdict" in caplog.text


@on_both_loops
async def test_a_request_that_is_none_is_not_shown_to_an_endpoint() -> None:
    echoes = Echoes()
    async with Edge(endpoints={"/echo": echoes}) as edge:
        for head, status in (
            (b"GET /echo HTTP/1.1\r\nHost: test\r\n\r\n", 426),
            (PLAIN.replace(b"Version: 13", b"Version: 8"), 400),
            (PLAIN.replace(b"GET", b"HEAD"), 405),
            (PLAIN.replace(b"/echo", b"/echo/"), 404),
        ):
            assert (await edge.http(head))[0] == status
    assert echoes.openings == []


@on_both_loops
async def test_routes_are_kept_by_the_catch_all_and_not_by_an_endpoint_of_their_path() -> None:
    echoes = Echoes()
    routes = {**ROUTES, "/echo": lambda: Reply(200, {"a": "page"})}
    async with Edge(routes=routes, endpoints={"/echo": echoes}, catch_all=Echoes()) as edge:
        assert (await edge.http(PLAIN.replace(b"/echo", b"/ready")))[::2] == (200, b'{"ok": true}')
        with await opened(edge):
            assert len(echoes.openings) == 1


@ROADS
@on_both_loops
async def test_a_house_that_is_draining_asks_no_endpoint(head: bytes) -> None:
    echoes, others = Echoes(), Echoes()
    async with Edge(endpoints={"/echo": echoes}, catch_all=others) as edge:
        ending = asyncio.create_task(edge.server.drain(grace_s=0.1, spread_s=0.1))
        await until(lambda: edge.server.draining)
        for path in (b"/echo", b"/ws", b"/elsewhere"):
            assert (await edge.http(head.replace(b"/echo", path)))[0] == 503
        assert (await edge.http(b"GET /ready HTTP/1.1\r\n\r\n"))[0] == 200
        await ending
    assert echoes.openings == others.openings == []


@on_both_loops
async def test_a_subprotocol_is_answered_where_an_endpoint_speaks_it() -> None:
    async with Edge(endpoints={"/echo": Echoes()}) as edge:
        offer = b"Sec-WebSocket-Protocol: other, chat\r\n\r\n"
        with await opened(edge, PLAIN[:-2] + offer) as raw:
            assert raw.head.count(b"Sec-WebSocket-Protocol: chat") == 1
        with await opened(edge, UPGRADE[:-2] + offer) as raw:
            assert b"Sec-WebSocket-Protocol" not in raw.head


@on_both_loops
async def test_a_session_may_close_its_connection_at_any_time() -> None:
    echoes = Echoes()
    async with Edge(endpoints={"/echo": echoes}) as edge:
        with await opened(edge) as raw:
            await raw.send(masked(TEXT, b"a") + masked(TEXT, b"leave") + masked(TEXT, b"b"))
            assert (await raw.frame()).payload == b"a"
            close = await raw.frame()
            assert (close.close_code, close.payload[2:]) == (4321, b"as you wish")
        echoes.greeting = b"leave"
        with await opened(edge) as raw:
            await raw.send_frame(TEXT, b"a")
            close = await raw.frame()
            assert (close.close_code, close.payload[2:]) == (4500, b"not today")
        await until(lambda: edge.count("sockets") == 0)
        assert (edge.count("clients"), edge.count("closed_by_code")) == (0, {"4321": 1, "4500": 1})
    assert [session.ends for session in echoes.sessions] == [1, 1]


@pytest.mark.parametrize("greeting", [b"raise", b"raise at once"])
@on_both_loops
async def test_a_session_that_cannot_begin_is_closed_and_leaves_its_place_to_others(
    greeting: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.clear()
    echoes = Echoes(greeting)
    async with Edge(msgspec.structs.replace(CONFIG, max_clients=1), endpoints={"/echo": echoes}) as edge:
        for _ in range(2):
            with await opened(edge) as raw:
                close = await raw.frame()
                assert (close.close_code, close.payload[2:]) == (1011, b"The server cannot serve this client")
        await until(lambda: edge.count("sockets") == 0)
        assert (edge.count("clients"), edge.count("half_open")) == (0, 0)
        with await edge.client() as client:
            await client.ask("ping")
            assert (await client.message())["op"] == "pong"
    assert all(session.ends == 1 for session in echoes.sessions)
    assert "LookupError: no" in caplog.text


@on_both_loops
async def test_a_session_says_itself_that_a_message_could_not_be_answered() -> None:
    async with Edge(endpoints={"/echo": Echoes()}) as edge:
        with await opened(edge) as raw:
            for text, answer in ((b"raise", b"sorry"), (b"a", b"a")):
                await raw.send_frame(TEXT, text)
                assert (await raw.frame()).payload == answer


@on_asyncio
async def test_who_is_never_idle_is_not_closed_for_saying_nothing() -> None:
    clock = StandingClock()
    config = msgspec.structs.replace(CONFIG, idle_timeout_s=40.0, ping_interval_s=10.0, pong_timeout_s=30.0)
    async with Edge(config, endpoints={"/echo": Echoes()}, clock=clock) as edge:
        with await opened(edge) as silent, await edge.client() as idle:
            closed = asyncio.create_task(idle.closed())
            began = clock.now
            while not closed.done() or clock.now < began + 500.0:
                for frame in silent.read_nowait():
                    assert frame.opcode == PING, frame
                    await silent.send_frame(PONG)
                await asyncio.sleep(0.002)
                clock.now += 1.0
            assert (await closed).close_code == 4000
            await silent.send_frame(TEXT, b"a")
            while (frame := await silent.frame()).opcode == PING:
                pass
            assert frame.payload == b"a"
