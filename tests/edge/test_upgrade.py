from __future__ import annotations

import pytest

from feedmux.edge.upgrade import read
from support.raw import UPGRADE

YES = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)

ORDINARY = {
    "as usual": UPGRADE,
    "a browser's": UPGRADE[:-2]
    + b"Origin: https://example.com\r\nSec-WebSocket-Extensions: permessage-deflate\r\nCookie: a=b\r\n\r\n",
    "keep-alive too": UPGRADE.replace(b"Connection: Upgrade", b"Connection: keep-alive, Upgrade"),
    "in other cases": UPGRADE.replace(b"Sec-WebSocket", b"SEC-websocket").replace(
        b"websocket\r", b"WebSocket\r"
    ),
    "another path": UPGRADE.replace(b"/ws ", b"/wss "),
    "with a query": UPGRADE.replace(b"/ws ", b"/ws?token=1 "),
    "without spaces": UPGRADE.replace(b": ", b":"),
    "with many spaces": UPGRADE.replace(b": ", b": \t  ").replace(b"13\r", b"13 \t\r"),
}


@pytest.mark.parametrize("head", ORDINARY.values(), ids=list(ORDINARY))
def test_an_ordinary_request_is_answered(head: bytes) -> None:
    ordinary = read(head)
    assert ordinary is not None
    assert ordinary.answer == YES


def test_an_endpoint_is_shown_the_target_and_every_header() -> None:
    head = UPGRADE.replace(b"/ws ", b"/private/?stream=a,b&x=%20? ")
    ordinary = read(head[:-2] + b"ORIGIN: \thttps://A.example \r\n\r\n")
    assert ordinary is not None
    opening = ordinary.opening
    assert opening.target == "/private/?stream=a,b&x=%20?"
    assert (opening.path, opening.query) == ("/private/", "stream=a,b&x=%20?")
    assert opening.headers == (
        ("host", "test"),
        ("upgrade", "websocket"),
        ("connection", "Upgrade"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("sec-websocket-version", "13"),
        ("origin", "https://A.example"),
    )


LEFT = {
    "another method": UPGRADE.replace(b"GET", b"PUT"),
    "another version of HTTP": UPGRADE.replace(b"HTTP/1.1", b"HTTP/1.0"),
    "no upgrade": UPGRADE.replace(b"Upgrade: websocket\r\n", b""),
    "another upgrade": UPGRADE.replace(b"websocket\r", b"h2c\r"),
    "no connection": UPGRADE.replace(b"Connection: Upgrade\r\n", b""),
    "three connection options": UPGRADE.replace(b"Connection: Upgrade", b"Connection: a, b, Upgrade"),
    "another version": UPGRADE.replace(b"Version: 13", b"Version: 8"),
    "no key": UPGRADE.replace(b"Sec-WebSocket-Key", b"X-Key"),
    "a short key": UPGRADE.replace(b"dGhlIHNhbXBsZSBub25jZQ==", b"c2hvcnQ="),
    "a key with bits left over": UPGRADE.replace(b"ZQ==", b"ZR=="),
    "two keys": UPGRADE[:-2] + b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    "two of anything": UPGRADE[:-2] + b"X: 1\r\nX: 1\r\n\r\n",
    "a subprotocol": UPGRADE[:-2] + b"Sec-WebSocket-Protocol: chat\r\n\r\n",
    "a body": UPGRADE[:-2] + b"Content-Length: 5\r\n\r\n",
    "chunks": UPGRADE[:-2] + b"Transfer-Encoding: chunked\r\n\r\n",
    "a folded line": UPGRADE[:-2] + b" folded\r\n\r\n",
    "a line without a name": UPGRADE[:-2] + b": x\r\n\r\n",
    "a space before the colon": UPGRADE[:-2] + b"X : x\r\n\r\n",
    "a byte that is not ASCII": UPGRADE[:-2] + b"X: \xe9\r\n\r\n",
    "a line feed alone": UPGRADE.replace(b"Host: test\r\n", b"Host: test\n"),
    "a carriage return alone": UPGRADE.replace(b"Host: test", b"Host: te\rst"),
    "a null": UPGRADE.replace(b"Host: test", b"Host: te\0st"),
    "more than 4 KB": UPGRADE[:-2] + b"X: %b\r\n\r\n" % (b"x" * 4000),
    "more than 64 headers": UPGRADE[:-2] + b"".join(b"X%d: x\r\n" % n for n in range(60)) + b"\r\n",
    "more behind its end": UPGRADE + b"x",
}


@pytest.mark.parametrize("head", LEFT.values(), ids=list(LEFT))
def test_everything_else_is_left_to_the_protocol_library(head: bytes) -> None:
    assert read(head) is None
