"""Where Rango's clients connect, and what they show there: paths, tokens, pages, plain HTTP."""

from __future__ import annotations

import asyncio
import json

import pytest

from support.rango_gateway import DEADLINE_S, Scene, token
from support.tokens import Signer, ed25519

SUBSCRIBED = '{"success":{"message":"subscribed","streams":[]}}'
PUBLIC = ["/public", "/public/", "/", "/anything", "/a/b?c", "/public/deeper"]
PRIVATE = ["/private", "/private/"]


@pytest.mark.parametrize("path", PUBLIC)
async def test_nobody_is_asked_for_a_token_but_on_private(scene: Scene, path: str) -> None:
    client = await scene.client(path, greeted=False)
    assert await client.recv() == SUBSCRIBED


@pytest.mark.parametrize("path", PRIVATE)
async def test_private_is_for_those_with_a_token(scene: Scene, signer: Signer, path: str) -> None:
    refusal = await scene.refused(path)
    assert (refusal.status, refusal.code) == (401, "TOKEN_MISSING")
    client = await scene.client(path, jwt=token(signer), greeted=False)
    assert await client.recv() == SUBSCRIBED


@pytest.mark.parametrize("path", [*PUBLIC, *PRIVATE])
async def test_a_token_that_holds_opens_private_streams_on_every_path(
    scene: Scene, signer: Signer, path: str
) -> None:
    client = await scene.client(path, jwt=token(signer, "U7"))
    assert await client.subscribe("order") == ["order"]
    scene.say("private.U7.order", {"id": 1})
    assert await client.recv() == '{"order":{"id":1}}'


@pytest.mark.parametrize("path", [*PUBLIC, *PRIVATE])
async def test_a_token_that_does_not_hold_is_refused_on_every_path(scene: Scene, path: str) -> None:
    """Rango makes its client anonymous everywhere but on /private; it would wait in vain for what is its."""
    refusal = await scene.refused(path, jwt=token(ed25519()))
    assert (refusal.status, refusal.code) == (401, "TOKEN_BAD_SIGNATURE")


@pytest.mark.parametrize(
    ("headers", "is_somebody"),
    [
        ([("Authorization", "Bearer {}")], True),
        ([("authorization", "Bearer {}")], True),
        ([("Authorization", "bearer {}")], True),  # Rango wants a capital (RFC 9110 §11.1 does not)
        ([("JwtUID", "U1"), ("JwtRole", "admin")], False),
    ],
)
async def test_a_client_is_whom_its_token_names_and_nobody_else(
    scene: Scene, signer: Signer, headers: list[tuple[str, str]], is_somebody: bool
) -> None:
    said = [(name, value.format(token(signer))) for name, value in headers]
    client = await scene.client("/public", headers=said)
    assert await client.subscribe("order") == (["order"] if is_somebody else [])


@pytest.mark.parametrize("scheme", ["Basic", "Token"])
async def test_other_schemes_are_refused(scene: Scene, signer: Signer, scheme: str) -> None:
    said = [("Authorization", f"{scheme} {token(signer)}")]
    assert (await scene.refused("/public", headers=said)).code == "TOKEN_WRONG_SCHEME"


@pytest.mark.parametrize("path", ["/public?token={}", "/private?token={}", "/?jwt={}"])
async def test_a_token_in_the_url_opens_nothing(scene: Scene, signer: Signer, path: str) -> None:
    """Rango does not look there; a parameter ``token`` is refused, so that nobody waits in vain."""
    path = path.format(token(signer))
    if "token=" in path:
        assert (await scene.refused(path)).code == "TOKEN_IN_URL"
    else:
        client = await scene.client(path)
        assert await client.subscribe("order") == []


async def test_a_browser_shows_its_token_as_a_sub_protocol(scene: Scene, signer: Signer) -> None:
    jwt = token(signer)
    client = await scene.client("/private", subprotocols=["bearer", jwt])
    assert client.socket.subprotocol == "bearer"
    assert jwt not in str(client.socket.response)
    assert await client.subscribe("order") == ["order"]


async def test_nothing_else_is_negotiated(scene: Scene) -> None:
    client = await scene.client("/public", compression="deflate")
    assert client.socket.response is not None
    assert not {"Sec-WebSocket-Extensions", "Sec-WebSocket-Protocol"} & set(client.socket.response.headers)


@pytest.mark.parametrize("query", ["cid=7", "cid=7&stream=*.trades", "x&y=&=z&stream=*.trades", "STREAM=a.b"])
async def test_unknown_parameters_are_passed_over(scene: Scene, query: str) -> None:
    client = await scene.client(f"/public?{query}", greeted=False)
    named = [f"{scene.market}.trades"] if "stream=" in query else []
    assert json.loads(await client.recv())["success"]["streams"] == named


# Pages


@pytest.mark.parametrize(
    ("origin", "is_allowed"),
    [
        ("", True),
        ("http://127.0.0.1:{}", True),
        ("https://127.0.0.1:{}", True),
        ("http://127.0.0.1", False),
        ("http://localhost:{}", False),
        ("https://evil.example", False),
        ("null", False),
    ],
)
@pytest.mark.parametrize("path", ["/public", "/"])
async def test_pages_of_other_hosts_are_refused(
    scene: Scene, path: str, origin: str, is_allowed: bool
) -> None:
    origin = origin.format(scene.gateway.port)
    if is_allowed:
        await scene.client(path, origin=origin)
    else:
        refusal = await scene.refused(path, origin=origin)
        assert (refusal.status, refusal.code) == (403, "ORIGIN_REFUSED")


async def test_a_page_is_looked_at_before_its_token(scene: Scene, signer: Signer) -> None:
    refusal = await scene.refused("/private", jwt=token(signer), origin="https://evil.example")
    assert refusal.status == 403


# Requests that are none for a WebSocket


@pytest.mark.parametrize("path", ["/public", "/private", "/", "/anything"])
async def test_plain_http_is_told_what_is_spoken_here(scene: Scene, path: str) -> None:
    """426, as RFC 9110 §15.5.22 has it; Rango says 400."""
    status, headers = await plain(scene, f"GET {path}")
    assert status == 426
    assert headers["sec-websocket-version"] == "13"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
async def test_other_methods_are_not_allowed(scene: Scene, method: str) -> None:
    status, _ = await plain(scene, f"{method} /public")
    assert status == 405


async def plain(scene: Scene, request: str) -> tuple[int, dict[str, str]]:
    """Status and headers of an answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", scene.gateway.port)
    writer.write(f"{request} HTTP/1.1\r\nHost: gateway\r\nContent-Length: 0\r\n\r\n".encode())
    async with asyncio.timeout(DEADLINE_S):
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
    writer.close()
    first, *lines = head.strip().split("\r\n")
    fields = (line.partition(": ") for line in lines)
    return int(first.split()[1]), {name.lower(): value for name, _, value in fields}


@pytest.mark.parametrize("path", ["/health", "/ready", "/stats", "/metrics"])
async def test_pages_of_the_gateway_are_no_websockets(scene: Scene, path: str) -> None:
    assert (await scene.refused(path)).status == 200
    assert (await plain(scene, f"GET {path}"))[0] == 200
