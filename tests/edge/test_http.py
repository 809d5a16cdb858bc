from __future__ import annotations

from feedmux.edge.http import (
    BAD_REQUEST,
    GOING_AWAY,
    HEAD_TOO_LARGE,
    METHOD_NOT_ALLOWED,
    Everywhere,
    Reply,
    encode,
)
from support.edge import parted


def test_json_is_written_as_pythons_default() -> None:
    status, headers, body = parted(encode(Reply(200, {"ok": True, "text": "—"})))
    assert (status, body) == (200, b'{"ok": true, "text": "\\u2014"}')
    assert headers == {
        "content-type": "application/json",
        "content-length": str(len(body)),
        "cache-control": "no-store",
        "connection": "close",
    }


def test_a_text_of_another_type_is_sent_as_it_is() -> None:
    _, headers, body = parted(encode(Reply(200, b"# HELP\n", content_type="text/plain; version=0.0.4")))
    assert (headers["content-type"], body) == ("text/plain; version=0.0.4", b"# HELP\n")


def test_head_leaves_the_body_out_but_not_its_length() -> None:
    whole, head = encode(Reply(503, {"ok": False})), encode(Reply(503, {"ok": False}), head=True)
    assert whole == head + b'{"ok": false}'
    assert whole.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")


def test_answers_that_need_headers_have_them() -> None:
    assert parted(encode(METHOD_NOT_ALLOWED))[1]["allow"] == "GET, HEAD"
    assert parted(encode(GOING_AWAY))[1]["retry-after"] == "1"
    assert [parted(encode(reply))[0] for reply in (BAD_REQUEST, HEAD_TOO_LARGE)] == [400, 431]


def test_everywhere_is_every_path_and_lists_none() -> None:
    def route() -> Reply:
        return GOING_AWAY

    routes = Everywhere(route)
    for path in ("/", "", "/metrics", "*"):
        assert path in routes
        assert routes[path] is routes.get(path) is route
    assert (list(routes), len(routes)) == ([], 0)
