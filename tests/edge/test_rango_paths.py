from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from feedmux.core.origin import Origins
from feedmux.edge.dialogue import Peer
from feedmux.edge.endpoint import Opening
from feedmux.edge.gate import Identify
from feedmux.edge.http import Reply
from feedmux.edge.rango_paths import rango_paths
from feedmux.model.access import Identity
from feedmux.model.ports import Outlet
from support.echo import Echo
from support.edge import ROUTES, Edge
from support.frames import TEXT, masked
from support.loops import on_asyncio, on_both_loops
from support.named import identify
from support.raw import UPGRADE, Raw

ALICE = b"Authorization: Bearer alice"
BOB = b"Authorization: Bearer bob"
PAGES = {**ROUTES, "/": lambda: Reply(200, {"name": "a gateway"})}
EVERYWHERE = (b"/", b"/?stream=a", b"/ranger/", b"/ws/", b"/health/?stream=a", b"*")


def asked(target: bytes, *lines: bytes) -> bytes:
    """A request for a WebSocket."""
    head = UPGRADE.replace(b"/ws ", target + b" ")
    return head[:-2] + b"".join(line + b"\r\n" for line in lines) + b"\r\n"


def greet(opening: Opening, identity: Identity) -> Callable[[Peer, Outlet], Echo]:
    """Say where a client is, and who."""
    return lambda peer, outlet: Echo(peer, outlet, f"{opening.target} {identity.uid or '-'}".encode())


def edge(*, is_everywhere: bool = True, identify: Identify | None = identify) -> Edge:
    paths = rango_paths(
        greet, origins=Origins(), identify=identify, max_message_bytes=100, is_everywhere=is_everywhere
    )
    return Edge(routes=PAGES, endpoints=paths.endpoints, catch_all=paths.catch_all)


async def greeting(raw: Raw, head: bytes) -> bytes:
    await raw.send(head)
    assert (await raw.upgrade_answer()).startswith(b"HTTP/1.1 101 ")
    return (await raw.frame()).payload


@on_both_loops
async def test_every_path_is_served_with_and_without_a_slash_and_in_whose_name_it_is_asked_for() -> None:
    async with edge() as server:
        for path in (b"/public", b"/public/", *EVERYWHERE):
            for line, uid in ((b"X: y", b"-"), (ALICE, b"alice")):
                with await server.connect() as raw:
                    assert await greeting(raw, asked(path, line)) == b"%b %b" % (path, uid)
        for path in (b"/private", b"/private/", b"/private/?stream=order,trade"):
            with await server.connect() as raw:
                assert await greeting(raw, asked(path, ALICE)) == path + b" alice"


@on_both_loops
async def test_where_all_have_to_say_who_they_are_nobody_is_told_so() -> None:
    async with edge() as server:
        for path in (b"/private", b"/private/", b"/private?stream=order"):
            status, headers, body = await server.http(asked(path))
            assert (status, headers["www-authenticate"]) == (401, "Bearer")
            assert json.loads(body)["code"] == "TOKEN_MISSING"
        assert server.count("refused_by_status") == {"401": 3}


@on_both_loops
async def test_a_token_that_does_not_hold_is_refused_everywhere() -> None:
    async with edge() as server:
        for path in (b"/private", b"/private/", b"/public", b"/public/", *EVERYWHERE):
            status, headers, body = await server.http(asked(path, BOB))
            assert (status, headers["www-authenticate"]) == (401, 'Bearer error="invalid_token"'), path
            assert json.loads(body) == {
                "error": "the token expired 5 s ago; expected one that holds",
                "code": "TOKEN_EXPIRED",
            }


@on_both_loops
async def test_a_page_of_another_host_is_refused_everywhere_and_one_of_this_host_is_not() -> None:
    async with edge() as server:
        for path in (b"/private", b"/private/", b"/public", b"/public/", *EVERYWHERE):
            status, _, body = await server.http(asked(path, ALICE, b"Origin: https://elsewhere.example"))
            assert (status, json.loads(body)["code"]) == (403, "ORIGIN_REFUSED"), path
            with await server.connect() as raw:
                said = await greeting(raw, asked(path, ALICE, b"Origin: http://TEST"))
                assert said == path + b" alice"


@on_both_loops
async def test_a_browser_shows_its_token_beside_a_subprotocol_and_is_answered_in_it() -> None:
    async with edge() as server:
        with await server.connect() as raw:
            said = await greeting(raw, asked(b"/private/", b"Sec-WebSocket-Protocol: bearer, alice"))
            assert said == b"/private/ alice"
            assert b"Sec-WebSocket-Protocol: bearer\r\n" in raw.head + b"\r\n"
        status, _, body = await server.http(asked(b"/", b"Sec-WebSocket-Protocol: bearer, bob"))
        assert (status, json.loads(body)["code"]) == (401, "TOKEN_EXPIRED")


@on_both_loops
async def test_what_has_a_meaning_of_its_own_keeps_it() -> None:
    async with edge() as server:
        assert (await server.http(asked(b"/ready")))[0] == 200
        with await server.connect() as raw:
            await raw.send(asked(b"/ws", BOB))
            await raw.upgrade_answer()
            await raw.ask("ping")
            assert (await raw.message())["op"] == "pong"


@on_both_loops
async def test_what_is_no_websocket_is_told_so_before_anything_else() -> None:
    get = b"GET %b HTTP/1.1\r\nHost: test\r\n\r\n"
    async with edge() as server:
        for path in (b"/private", b"/public/", *EVERYWHERE):
            assert (await server.http(get % path))[0] == 426, path
            assert (await server.http(asked(path).replace(b"Sec-WebSocket-Key", b"X-Key")))[0] == 400, path


@on_asyncio
async def test_paths_without_a_meaning_are_only_served_where_that_is_wished() -> None:
    async with edge(is_everywhere=False) as server:
        for path in EVERYWHERE:
            status = 200 if path.partition(b"?")[0] == b"/" else 404
            assert (await server.http(asked(path, ALICE)))[0] == status, path
        with await server.connect() as raw:
            assert await greeting(raw, asked(b"/public/")) == b"/public/ -"


@on_asyncio
async def test_without_a_key_all_are_anonymous_and_nobody_is_let_in_where_that_will_not_do() -> None:
    async with edge(identify=None) as server:
        with await server.connect() as raw:
            assert await greeting(raw, asked(b"/public", BOB)) == b"/public -"
        status, _, body = await server.http(asked(b"/private", ALICE))
        assert (status, json.loads(body)["code"]) == (401, "TOKENS_NOT_CHECKED")


@pytest.mark.parametrize("path", [b"/private", b"/public/", b"/"])
@on_asyncio
async def test_messages_have_the_bound_that_was_set_and_those_of_others_theirs(path: bytes) -> None:
    async with edge() as server:
        with await server.connect() as raw, await server.client() as other:
            await greeting(raw, asked(path, ALICE))
            await raw.send_frame(TEXT, b"x" * 100)
            assert (await raw.frame()).payload == b"x" * 100
            await other.send(masked(TEXT, b"x" * 101))
            assert (await other.message())["op"] == "error"
            await raw.send_frame(TEXT, b"x" * 101)
            assert (await raw.closed()).close_code == 1009
