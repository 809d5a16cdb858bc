"""Plain HTTP on the same port: the few answers that are not WebSockets.

Every answer closes its connection: probes and people ask once, and an idle keep-alive connection
would be one more thing to bound.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from typing import Final, NamedTuple

MAX_HEAD_BYTES: Final = 16_384
"""Request line and headers together; more gets 431."""

METHODS: Final = (b"GET", b"HEAD")


class Reply(NamedTuple):
    """What a path answers: JSON, or a text of its own type."""

    status: int
    body: Mapping[str, object] | bytes
    headers: tuple[tuple[str, str], ...] = ()
    content_type: str = "application/json"


Route = Callable[[], Reply]


class Everywhere(Mapping[str, Route]):
    """The routes of a server on which every path answers alike.

    Args:
        route: what all of them answer.
    """

    def __init__(self, route: Route) -> None:
        self._route = route

    def __getitem__(self, path: str) -> Route:
        return self._route

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


NOT_FOUND: Final = Reply(404, {"error": "Not found"})
METHOD_NOT_ALLOWED: Final = Reply(
    405, {"error": "Only GET and HEAD are served here"}, (("Allow", "GET, HEAD"),)
)
HEAD_TOO_LARGE: Final = Reply(431, {"error": "The request head is too large"})
FAILED: Final = Reply(500, {"error": "The server could not answer this request"})
TIMEOUT: Final = Reply(408, {"error": "The request head did not come in time"})
GOING_AWAY: Final = Reply(503, {"error": "The server is going away"}, (("Retry-After", "1"),))
VERSION: Final = ("Sec-WebSocket-Version", "13")
"""Goes with every handshake that is refused (RFC 6455 §4.4)."""

BAD_REQUEST: Final = Reply(400, {"error": "This is not an HTTP request"})
NOT_TLS: Final = Reply(400, {"error": "This port speaks TLS; use https:// or wss://"})


def encode(reply: Reply, *, head: bool = False) -> bytes:
    """The bytes of an answer.

    Args:
        reply: status, JSON body and further headers.
        head: True leaves the body out, as HEAD wants it, but not its length.
    """
    body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
    status = HTTPStatus(reply.status)
    lines = [
        f"HTTP/1.1 {status.value} {status.phrase}",
        f"Content-Type: {reply.content_type}",
        f"Content-Length: {len(body)}",
        "Cache-Control: no-store",
        "Connection: close",
        *(f"{name}: {value}" for name, value in reply.headers),
    ]
    top = ("\r\n".join(lines) + "\r\n\r\n").encode()
    return top if head else top + body
