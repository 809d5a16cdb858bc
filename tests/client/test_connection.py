"""TLS, as a link meets it. What else a connection does is seen through the link: test_link.py."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
from pathlib import Path

import msgspec
import pytest

from support.peers import (
    QUICK,
    TEXT,
    frame,
    make_link,
    open_descriptors,
    raw_server,
    read_frame,
    running,
    says,
    until,
    upgrade,
)

SHORT = msgspec.structs.replace(QUICK, connect_timeout_s=0.5)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for localhost that nobody trusts by default, with its key."""
    path = tmp_path_factory.mktemp("tls") / "localhost.pem"
    arguments = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost"
    made = subprocess.run(
        ["openssl", *arguments.split(), "-addext", "subjectAltName=DNS:localhost", "-keyout", "-"],
        check=True,
        capture_output=True,
    )
    path.write_bytes(made.stdout)
    return path


@pytest.fixture(scope="module")
def server_tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    return context


@pytest.fixture(scope="module")
def trust(certificate: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(certificate))


async def test_a_trusted_server_is_spoken_to(server_tls: ssl.SSLContext, trust: ssl.SSLContext) -> None:
    got: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await upgrade(reader, writer, frame(TEXT, b"x" * 70_000))
        got.append((await read_frame(reader))[1])
        await reader.read(-1)

    async with raw_server(talk, ssl=server_tls) as port:
        link, user = make_link(f"wss://localhost:{port}/", SHORT, ssl=trust)
        user.on_opened = lambda: link.send("hello")
        async with running(link):
            assert await user.saw("received") == [b"x" * 70_000]
            await until(lambda: got == [b"hello"])


async def test_a_connection_over_tls_is_replaced_too(
    server_tls: ssl.SSLContext, trust: ssl.SSLContext
) -> None:
    async with raw_server(says(), ssl=server_tls) as port:
        link, user = make_link(f"wss://localhost:{port}/", SHORT, ssl=trust)
        user.on_opened = lambda: link.replace("again")
        async with running(link):
            await user.saw("lost", 3)


async def test_a_stranger_is_not_trusted_by_default(server_tls: ssl.SSLContext) -> None:
    async with raw_server(says(), ssl=server_tls) as port:
        link, user = make_link(f"wss://localhost:{port}/", SHORT)
        async with running(link):
            reasons = await user.saw("retrying", 2)
    assert set(reasons) == {"the server's certificate is not trusted: self-signed certificate"}
    assert user.all("opened") == []


async def test_a_certificate_for_another_name_is_not_trusted(
    server_tls: ssl.SSLContext, trust: ssl.SSLContext
) -> None:
    async with raw_server(says(), ssl=server_tls) as port:
        link, user = make_link(f"wss://127.0.0.1:{port}/", SHORT, ssl=trust)
        async with running(link):
            reasons = await user.saw("retrying", 2)
    assert all("certificate is not trusted: IP address mismatch" in str(reason) for reason in reasons)


async def test_a_server_without_tls_says_so(trust: ssl.SSLContext) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await reader.read(-1)

    async with raw_server(talk) as port:
        link, user = make_link(f"wss://localhost:{port}/", SHORT, ssl=trust)
        async with running(link):
            reasons = await user.saw("retrying", 2)
    assert all(str(reason).startswith("TLS with the server failed: ") for reason in reasons), reasons


async def test_a_server_that_stalls_in_the_handshake_is_left(trust: ssl.SSLContext) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(-1)

    async with raw_server(talk) as port:
        before = open_descriptors()
        link, user = make_link(
            f"wss://localhost:{port}/", msgspec.structs.replace(QUICK, connect_timeout_s=0.05), ssl=trust
        )
        async with running(link):
            reasons = await user.saw("retrying", 3)
        await until(lambda: open_descriptors() <= before, "the end of every socket")
    assert set(reasons) == {"no answer within 0.05 s while upgrading to WebSocket"}
