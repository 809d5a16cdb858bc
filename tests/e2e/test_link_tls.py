"""A link over TLS whose server shows what it should not, or whose TLS breaks: it says so, and comes back."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable

import msgspec
import pytest

from feedmux.client.link import connect
from feedmux.model.link_errors import Cause, ConnectFailed
from support.certificates import ServerCertificates
from support.link_scene import CONFIG, HOST, Scene, is_whole, leaving_nothing, scene
from support.peers import Talk, raw_server
from support.rpc_server import rpc_server

REASONS = {
    "expired": "the server's certificate is not trusted: certificate has expired",
    "self_signed": "the server's certificate is not trusted: self-signed certificate",
    "of_nobody": "the server's certificate is not trusted: unable to get local issuer certificate",
    "of_another_name": "the server's certificate is not trusted: IP address mismatch",
}
"""Which certificate it is, and what is said of it."""


@pytest.mark.parametrize("name", REASONS)
async def test_a_certificate_that_is_wrong_on_the_way_back_is_said_and_tried_again(name: str) -> None:
    shown = ServerCertificates()
    async with scene(server_tls=shown.context, client_tls=shown.trusting()) as set_up:
        shown.show(getattr(shown, name))
        set_up.proxy.cut()
        await set_up.failed(3, REASONS[name])
        assert set_up.carried["opens"] == 1
        shown.show(shown.good)
        await is_whole(set_up)


@pytest.mark.parametrize("name", REASONS)
async def test_a_certificate_that_is_wrong_from_the_start_is_an_error_with_a_cause(name: str) -> None:
    shown = ServerCertificates()
    shown.show(getattr(shown, name))
    async with leaving_nothing(), rpc_server(ssl=shown.context) as server:
        url = server.url.replace("localhost", HOST)
        with pytest.raises(ConnectFailed, match=REASONS[name]) as caught:
            await connect(url, config=CONFIG, ssl=shown.trusting())
        assert caught.value.cause is Cause.TLS
        assert not server.upgrades


async def handshake_cut(set_up: Scene) -> None:
    """A reset in the middle of what the server shows."""
    set_up.proxy.reset_after(700)
    set_up.proxy.cut()


async def handshake_stalled(set_up: Scene) -> None:
    """The server takes connections and does not begin."""
    set_up.proxy.stall()
    set_up.proxy.cut()
    await set_up.failed(1, "no answer within 0.3 s while upgrading to WebSocket")
    set_up.proxy.resume()


async def handshake_dribbled(set_up: Scene) -> None:
    """Every byte of the handshake comes by itself."""
    set_up.proxy.dribble(1)
    set_up.proxy.cut()


async def record_spoilt(set_up: Scene) -> None:
    """Bytes that are no TLS on a connection that was good: what others call 1015."""
    for connection in set_up.server.open:
        os.write(connection.transport.get_extra_info("socket").fileno(), b"no record of TLS begins like this")


async def ended_without_notice(set_up: Scene) -> None:
    """TCP ends, and nobody said that TLS does."""
    for connection in set_up.server.open:
        connection.transport.abort()


async def closed(set_up: Scene) -> None:
    for connection in list(set_up.server.open):
        await connection.close(1012, "said the test")


FAULTS = [handshake_cut, handshake_stalled, handshake_dribbled, record_spoilt, ended_without_notice, closed]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
async def test_after_every_fault_of_tls_the_link_is_whole_again(
    fault: Callable[[Scene], Awaitable[None]],
) -> None:
    shown = ServerCertificates()
    patience_s = 0.3 if fault is handshake_stalled else 2.0
    config = msgspec.structs.replace(CONFIG, connect_timeout_s=patience_s)
    async with scene(config, server_tls=shown.context, client_tls=shown.trusting()) as set_up:
        await fault(set_up)
        await is_whole(set_up)


async def test_a_server_that_speaks_no_tls_is_an_error_with_a_cause() -> None:
    async def talk(reader: object, writer: object) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")  # type: ignore[attr-defined]
        await reader.read(-1)  # type: ignore[attr-defined]

    plain: Talk = talk
    async with leaving_nothing(), raw_server(plain) as port:
        with pytest.raises(ConnectFailed, match="TLS with the server failed: wrong version number") as caught:
            await connect(f"wss://{HOST}:{port}/", config=CONFIG)
        assert caught.value.cause is Cause.TLS
