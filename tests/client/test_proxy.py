"""What a proxy's URL may say, what shows of it, and which part of the way a failure blames."""

from __future__ import annotations

import asyncio
import logging

import msgspec
import pytest

from feedmux.client.link import connect
from feedmux.client.proxy import Proxy
from feedmux.model.errors import InvalidSetting
from feedmux.model.link_errors import Cause, ConnectFailed
from support.peers import QUICK, raw_server

LONG = 256 * "x"


@pytest.mark.parametrize(
    ("url", "text", "whole"),
    [
        ("http://h:3128", "http://h:3128", "http://h:3128"),
        ("HTTP://h", "http://h:80", "http://h:80"),
        ("https://h/", "https://h:443", "https://h:443"),
        ("socks5://h", "socks5://h:1080", "socks5://h:1080"),
        ("socks4://[::1]:", "socks4://[::1]:1080", "socks4://[::1]:1080"),
        ("http://me:s3cret@h:1", "http://h:1", "http://me:s3cret@h:1"),
        ("http://m%C3%A9:@h:1", "http://h:1", "http://m%C3%A9:@h:1"),
        ("http://me@h:1", "http://h:1", "http://me:@h:1"),
        ("socks4://me@h:1", "socks4://h:1", "socks4://me:@h:1"),
        ("socks5://me:s3%40cret@h:1", "socks5://h:1", "socks5://me:s3%40cret@h:1"),
    ],
)
def test_a_proxy_shows_without_its_user_and_has_a_port(url: str, text: str, whole: str) -> None:
    proxy = Proxy(url)
    assert (proxy.text, proxy.url, proxy.who) == (text, whole, f"the proxy {text}")
    assert repr(proxy) == f"<Proxy {text}>"
    assert proxy.is_secure == text.startswith("https")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (5, "a URL of http, https, socks4, socks5 with a host"),
        ("", "a URL"),
        ("h:3128", "a URL"),
        ("ftp://u:s3cret@h", "a URL"),
        ("http://:8080", "a URL"),
        ("http://u:s3cret@a..b:8080", "a URL"),
        ("socks5://h:0", "a URL"),
        ("http://h:99999", "a URL"),
        ("http://u:s3cret@h:1/#part", "a URL"),
        ("http://u:s3cret@h:1/?query", "a URL"),
        ("http://u:s3cr\u00e9t@h:1", "in ASCII"),
        ("http://u:s3 cret@h:1", "a URL"),
        ("http://[::1", "a URL"),
        ("http://u%3Au:s3cret@h:1", "a user without ':'"),
        ("socks4://u:s3cret@h:1", "a user in ASCII and no password, or neither"),
        ("socks4://%C3%A9@h:1", "a user in ASCII"),
        ("socks4://u%00@h:1", "a user in ASCII"),
        ("socks5://u@h:1", "a user and a password of 1 to 255 ASCII characters each, or neither"),
        ("socks5://:s3cret@h:1", "a user and a password"),
        ("socks5://u:s3cr%C3%A9t@h:1", "a user and a password"),
        (f"socks5://u:s3cret{LONG}@h:1", "a user and a password"),
    ],
)
def test_a_proxy_that_cannot_work_is_refused_without_its_password(url: object, expected: str) -> None:
    with pytest.raises(InvalidSetting, match=expected) as caught:
        Proxy(url)
    assert caught.value.name == "proxy"
    assert "s3c" not in str(caught.value)


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("HTTP proxy rejected connection with status 407", "HTTP 407; check its user and password"),
        ("HTTP proxy rejected connection with status 403", "HTTP 403; it does not allow this host or port"),
        ("HTTP proxy rejected connection with status 502", "HTTP 502; it does not reach the server"),
        ("HTTP proxy rejected connection with status 429", "HTTP 429"),
        (
            "Connection not allowed by ruleset",
            "Connection not allowed by ruleset; it does not allow this host or port",
        ),
        ("Host unreachable", "Host unreachable"),
    ],
)
def test_refusals_help(said: str, reason: str) -> None:
    assert Proxy("http://h:1").refusal(said) == f"the proxy http://h:1 did not let us pass: {reason}"


SOCKS5_LETS_US_PASS = b"\x05\x00"
FROM_NOWHERE = b"\x05\x00\x00\x03\x02\xff\xfe\x00\x50"
"""SOCKS5: connected, seen from a host whose name is no text."""


@pytest.mark.parametrize(
    ("scheme", "answers", "cause", "reason"),
    [
        ("socks5", [b""], Cause.PROXY, "{proxy} did not let us pass: Connection closed unexpectedly"),
        ("socks5", [SOCKS5_LETS_US_PASS, FROM_NOWHERE], Cause.PROXY, "{proxy} did not let us pass: 'utf-8'"),
        (
            "socks5",
            [b"HTTP/1.1 400 Bad"],
            Cause.PROXY,
            "{proxy} did not let us pass: Unexpected SOCKS version",
        ),
        (
            "socks4",
            [b"HTTP/1.1 400 Bad"],
            Cause.PROXY,
            "{proxy} did not let us pass: Unexpected reply version",
        ),
        (
            "http",
            [b"SSH-2.0-OpenSSH\r\n\r\n"],
            Cause.PROXY,
            "{proxy} did not let us pass: .* invalid response",
        ),
        ("http", [b"HTTP/1.1 200 OK\r\n\r\n", b""], Cause.PROTOCOL, "the server or {proxy} hung up"),
        ("https", [b"this is no TLS"], Cause.PROXY, "TLS with {proxy} failed"),
        ("http", [], Cause.TIMEOUT, "no answer within 0.3 s while upgrading to WebSocket through {proxy}"),
    ],
)
async def test_what_a_proxy_does_is_not_taken_for_the_servers(
    scheme: str, answers: list[bytes], cause: Cause, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    """An empty answer hangs up; after the last one it is silent."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in answers:
            assert await reader.read(4096)
            if not answer:
                return
            writer.write(answer)
        await asyncio.Event().wait()

    async with raw_server(talk) as port:
        proxy = Proxy(f"{scheme}://127.0.0.1:{port}")
        config = msgspec.structs.replace(QUICK, connect_timeout_s=0.3, proxy=proxy.url)
        with pytest.raises(ConnectFailed, match=reason.format(proxy=proxy.who)) as caught:
            await connect("ws://127.0.0.1:9/", config=config)
    assert caught.value.cause is cause
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


@pytest.mark.parametrize(
    ("proxy", "reason"),
    [
        (
            "http://127.0.0.1:9",
            "connection refused; is the proxy http://127.0.0.1:9 running, and is the port right?",
        ),
        ("socks5://nobody.invalid", "the name of the proxy socks5://nobody.invalid:1080 does not resolve"),
    ],
)
async def test_a_proxy_that_is_not_there_is_blamed_by_name(proxy: str, reason: str) -> None:
    with pytest.raises(ConnectFailed) as caught:
        await connect("ws://127.0.0.1:9/", config=msgspec.structs.replace(QUICK, proxy=proxy))
    assert reason in str(caught.value)
    assert caught.value.cause is Cause.PROXY
