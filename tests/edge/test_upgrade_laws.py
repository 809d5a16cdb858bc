from __future__ import annotations

import logging
from base64 import b64encode
from collections.abc import Callable

from hypothesis import event, given, settings
from hypothesis import strategies as st
from websockets.http11 import Request
from websockets.server import ServerProtocol

from feedmux.edge.endpoint import Opening
from feedmux.edge.upgrade import read
from support.examples import EXAMPLES

SILENT = logging.getLogger("tests.upgrade")
SILENT.setLevel(logging.CRITICAL)


def judged(head: bytes) -> tuple[Opening, list[tuple[str, str]]] | None:
    """What the protocol library makes of a head: the request and the headers of its 101, else None."""
    protocol = ServerProtocol(logger=SILENT)
    protocol.receive_data(head)
    events = protocol.events_received()
    if not events or not isinstance(events[0], Request):
        return None
    response = protocol.accept(events[0])
    if response.status_code != 101:
        return None
    request = events[0]
    asked = [(name.lower(), value) for name, value in request.headers.raw_items()]
    said = [(name, value) for name, value in response.headers.raw_items() if name != "Date"]
    return Opening.of(request.path, asked), sorted(said)


def parted(said: bytes) -> list[tuple[str, str]]:
    first, *lines = said.decode().removesuffix("\r\n\r\n").split("\r\n")
    assert first == "HTTP/1.1 101 Switching Protocols"
    return sorted((name, value) for name, value in (line.split(": ", 1) for line in lines))


CASES: st.SearchStrategy[Callable[[bytes], bytes]] = st.sampled_from(
    [bytes.lower, bytes.upper, bytes.title, bytes]
)
SPACE = st.sampled_from([b"", b" ", b" ", b"\t", b"  \t "])
ANY_KEY = st.one_of(
    st.binary(min_size=14, max_size=18).map(b64encode),
    st.from_regex(rb"[A-Za-z0-9+/=]{20,26}", fullmatch=True),
)
RIGHT: dict[bytes, st.SearchStrategy[bytes]] = {
    b"Host": st.sampled_from([b"test", b"a:1"]),
    b"Upgrade": st.sampled_from([b"websocket", b"WebSocket"]),
    b"Connection": st.sampled_from([b"Upgrade", b"keep-alive, Upgrade", b"upgrade"]),
    b"Sec-WebSocket-Key": st.binary(min_size=16, max_size=16).map(b64encode),
    b"Sec-WebSocket-Version": st.just(b"13"),
}
DOUBTFUL: dict[bytes, st.SearchStrategy[bytes]] = {
    b"Host": st.sampled_from([b"", b"\xe9"]),
    b"Upgrade": st.sampled_from([b"h2c", b"websocket, h2c", b"", b"websocket,"]),
    b"Connection": st.sampled_from([b"close", b"Upgrade,", b",", b"a b", b"a, upgrade", b'"upgrade"']),
    b"Sec-WebSocket-Key": ANY_KEY,
    b"Sec-WebSocket-Version": st.sampled_from([b"8", b"13, 8", b"013", b""]),
}
RARELY = st.integers(0, 9).map(lambda dice: dice == 9)
ODD = st.sampled_from(
    [
        b"Origin: https://example.com",
        b"Origin: a",
        b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits",
        b"Sec-WebSocket-Extensions: ;;",
        b"Sec-WebSocket-Protocol: chat",
        b"Sec-WebSocket-Protocol: ,",
        b"Content-Length: 0",
        b"Content-Length: 3",
        b"Transfer-Encoding: chunked",
        b"Connection: Upgrade",
        b"Upgrade: websocket",
        b"Sec-WebSocket-Version: 13",
        b"Cookie: a=b; c=d",
        b"X-Long: " + b"x" * 5000,
        b" folded",
        b"no colon",
        b"Na me: x",
        b": x",
        b"X: \x00",
        b"X: \xff",
        b"X: a\rb",
        b"X: a\nY: b",
    ]
)


TARGETS = st.one_of(
    st.sampled_from([b"/ws", b"/ws?a", b"/public", b"/private/", b"/private/?stream=a,b&c=d", b"/", b"/?"]),
    st.from_regex(rb"/[!-~]{0,20}", fullmatch=True),
)
FIRST_LINES = st.sampled_from(
    [
        b"GET /ws/ws HTTP/1.1",
        b"GET * HTTP/1.1",
        b"GET http://test/ws HTTP/1.1",
        b"GET ?stream=a HTTP/1.1",
        b"GET  /ws HTTP/1.1",
        b"get /ws HTTP/1.1",
        b"HEAD /ws HTTP/1.1",
        b"GET /ws HTTP/1.0",
        b"GET /ws HTTP/1.1 ",
        b"GET /w\xc3\xa9 HTTP/1.1",
    ]
)


@st.composite
def heads(draw: st.DrawFn) -> bytes:
    """Requests that are ordinary, or nearly so."""
    lines = []
    for name in RIGHT:
        if not draw(RARELY):
            value = draw((DOUBTFUL if draw(RARELY) else RIGHT)[name])
            lines.append(draw(CASES)(name) + b":" + draw(SPACE) + value + draw(SPACE))
    if draw(RARELY):
        lines += draw(st.lists(ODD, max_size=3))
    first = draw(FIRST_LINES) if draw(RARELY) else b"GET " + draw(TARGETS) + b" HTTP/1.1"
    return b"\r\n".join([first, *draw(st.permutations(lines)), b"", b""])


@settings(max_examples=EXAMPLES, deadline=None)
@given(heads())
def test_what_is_read_here_the_protocol_library_reads_and_answers_in_the_same_words(head: bytes) -> None:
    ordinary, other = read(head), judged(head)
    if ordinary is None:
        event("left to the library" + (", which says yes" if other else ""))
        return
    event("answered")
    assert other is not None
    assert (ordinary.opening, parted(ordinary.answer)) == other


@settings(max_examples=EXAMPLES, deadline=None)
@given(heads(), st.data())
def test_a_damaged_head_is_never_read_differently(head: bytes, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(head) - 5))
    damaged = head[:at] + bytes([data.draw(st.integers(0, 255))]) + head[at + 1 :]
    ordinary = read(damaged)
    if ordinary is not None and damaged.endswith(b"\r\n\r\n") and damaged.count(b"\r\n\r\n") == 1:
        assert (ordinary.opening, parted(ordinary.answer)) == judged(damaged)


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.binary(min_size=16, max_size=16))
def test_every_key_that_a_client_may_choose_is_ordinary(raw: bytes) -> None:
    head = (
        b"GET /ws HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: %b\r\nSec-WebSocket-Version: 13\r\n\r\n" % b64encode(raw)
    )
    ordinary = read(head)
    assert ordinary is not None
    assert (ordinary.opening, parted(ordinary.answer)) == judged(head)
