"""A broker checks who is at the other end of TLS, as the system says, or the user."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.asyncio.server import ServerConnection, serve

from support.certificates import Authority
from support.share_scene import BrokerProcess, ShareScene, share_scene
from support.waiting import until


@pytest.fixture(name="scene")
def _scene() -> Iterator[ShareScene]:
    with share_scene() as scene:
        yield scene


@pytest.mark.parametrize("is_trusted", [True, False], ids=["trusted", "untrusted"])
async def test_only_a_server_that_is_trusted_is_spoken_to(
    scene: ShareScene, tmp_path: Path, is_trusted: bool
) -> None:
    authority = Authority(tmp_path)
    seen: list[ServerConnection] = []

    async def greet(connection: ServerConnection) -> None:
        seen.append(connection)
        await connection.send("hello")
        await connection.wait_closed()

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority.files.cert, authority.files.key)

    def story(port: int) -> tuple[str, str]:
        client = scene.client()
        request = client.begin_open(f"wss://127.0.0.1:{port}/")
        if is_trusted:
            *_, ring, _ = client.opened()
            return "opened", ring.message().decode()
        failed, code, reason = client.failed()
        assert failed == request
        return code, reason

    more = {"SSL_CERT_FILE": str(authority.ca_file)} if is_trusted else {}
    broker: BrokerProcess = scene.spawn(settings=more)
    async with serve(greet, "127.0.0.1", 0, ssl=context, compression=None) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        what, said = await asyncio.to_thread(story, port)
        if is_trusted:
            assert (what, said) == ("opened", "hello")
            await until(lambda: seen)
        else:
            assert what == "CONNECT_FAILED"
            assert "the server's certificate is not trusted" in said
            assert seen == []
        broker.dispose()
