from __future__ import annotations

import json

import pytest

from feedmux.wire import rango
from feedmux.wire.rango import Auth, Code, Invalid, Login, Ping, Subscribe, Unsubscribe

NO_EVENT = Invalid("Could not parse Type: Invalid event")
NO_STREAMS = Invalid("No streams provided")
NO_TOKEN = Invalid('token: expected a string, as in {"event":"auth","token":"…"}', Code.INVALID_TOKEN)


def unreadable(reason: str) -> Invalid:
    return Invalid(f"Could not parse message: {reason}")


def no_names(found: str) -> Invalid:
    text = f'streams: expected a list of names like "eurusd.trades"; found {found}'
    return Invalid(text, Code.INVALID_STREAM)


def no_map(kind: str) -> Invalid:
    return unreadable(f"json: cannot unmarshal {kind} into Go value of type map[string]interface {{}}")


@pytest.mark.parametrize(
    ("payload", "request_"),
    [
        (b"ping", Ping()),
        (b" ping\r\n", Ping()),
        (b"\xc2\xa0ping\xe2\x80\x83", Ping()),
        (b"", None),
        (b" \t\n\r\v\f", None),
        (b"\xe2\x80\xa8", None),
        (b'{"event":"subscribe","streams":["eurusd.trades","order"]}', Subscribe(("eurusd.trades", "order"))),
        (b'{"event":"subscribe","streams":["a.b","a.b",""],"id":7}', Subscribe(("a.b", "a.b", ""))),
        (b'{"event":"subscribe","streams":[]}', Subscribe(())),
        (b'\n{"streams":["a.b"],\n"event":"unsubscribe"}\n', Unsubscribe(("a.b",))),
        (b'{"event":"unsubscribe","streams":[]}', Unsubscribe(())),
        (b'{"event":"subscribe","streams":"a.b"}', Subscribe(())),
        (b'{"event":"subscribe","streams":7}', Subscribe(())),
        (b'{"event":"subscribe","streams":{"a.b":1}}', Subscribe(())),
        (b'{"event":"unsubscribe","streams":true}', Unsubscribe(())),
        (b'{"event":"subscribe","streams":null}', no_names("null")),
        (b'{"event":"subscribe","streams":[1]}', no_names("a number in place 1")),
        (b'{"event":"subscribe","streams":["a",null]}', no_names("null in place 2")),
        (b'{"event":"unsubscribe","streams":["a",["b"]]}', no_names("a list in place 2")),
        (b'{"event":"unsubscribe","streams":[{}]}', no_names("an object in place 1")),
        (b'{"event":"subscribe","streams":[true]}', no_names("a boolean in place 1")),
        (b'{"event":"subscribe"}', NO_STREAMS),
        (b'{"event":"unsubscribe","stream":["a.b"]}', NO_STREAMS),
        (b"{}", NO_EVENT),
        (b"null", NO_EVENT),
        (b'{"event":"Subscribe","streams":[]}', NO_EVENT),
        (b'{"event":"ping"}', NO_EVENT),
        (b'{"event":null,"streams":[1]}', NO_EVENT),
        (b'{"event":["subscribe"]}', NO_EVENT),
        (b'{"event":{}}', NO_EVENT),
        (b'{"event":7}', NO_EVENT),
        (b'{"op":"subscribe","args":["ticker:BTCUSDT"]}', NO_EVENT),
        (b'{"event":"auth","token":"x.y.z"}', Auth("x.y.z")),
        (b'{"event":"auth","token":""}', Auth("")),
        (b'{"event":"auth"}', NO_TOKEN),
        (b'{"event":"auth","token":7}', NO_TOKEN),
        (b"pings", unreadable("invalid character 'p' looking for beginning of value")),
        (b'"ping"', no_map("string")),
        (b"[1]", no_map("array")),
        (b"7", no_map("number")),
        (b"7.5", no_map("number")),
        (b"false", no_map("bool")),
        (b"[1e999]", no_map("array")),
        (b"{", unreadable("unexpected end of JSON input")),
        (b'{"event":"x",}', unreadable("invalid character '}' looking for beginning of object key string")),
        (b"{'event':1}", unreadable("invalid character '\\'' looking for beginning of object key string")),
        (b'{"event":"subscribe"} x', unreadable("invalid character 'x' after top-level value")),
        (b'{"event":NaN}', unreadable("invalid character 'N' looking for beginning of value")),
        (b"\xef\xbb\xbf{}", unreadable("invalid character 'ï' looking for beginning of value")),
        (b"\xff", unreadable("invalid character 'ÿ' looking for beginning of value")),
        (b'{"a":1e999}', unreadable("json: cannot unmarshal number 1e999 into Go value of type float64")),
        (b'{"a":' + b"9" * 5000 + b"}",
         unreadable(f"json: cannot unmarshal number {'9' * 64} into Go value of type float64")),
        (b"[" * 100_000 + b"]" * 100_000, unreadable("exceeded max depth")),
    ],
)  # fmt: skip
def test_a_message_is_read_as_a_request(payload: bytes, request_: rango.Request | None) -> None:
    assert rango.decode(payload) == request_


@pytest.mark.parametrize(
    ("name", "read"),
    [
        (b"a\nb", "a b"),
        (b"\\ud83d\\ude00", "\N{GRINNING FACE}"),
        (b"\\ud83d", "\ufffd"),
        (b"\\ude00\\ud83dx", "\ufffd\ufffdx"),
        (b"\xff\xe2\x82.x", "\ufffd\ufffd\ufffd.x"),
        (b"\xed\xa0\x80", "\ufffd\ufffd\ufffd"),
        ("ü☃".encode(), "ü☃"),
        (b"\\u0000", "\x00"),
    ],
)
def test_names_are_read_as_go_reads_them(name: bytes, read: str) -> None:
    assert rango.decode(b'{"event":"subscribe","streams":["%b"]}' % name) == Subscribe((read,))


def test_a_token_is_not_shown() -> None:
    assert "x.y.z" not in f"{Auth('x.y.z')} {Auth('x.y.z')!r}"


@pytest.mark.parametrize(
    ("target", "streams"),
    [
        ("/", ()),
        ("/public", ()),
        ("/public?", ()),
        ("/public?stream=eurusd.trades", ("eurusd.trades",)),
        ("/?stream=a.b&stream=c.d", ("a.b", "c.d")),
        ("/private/?stream=a.b,order&cid=7&stream=c.d", ("a.b", "order", "c.d")),
        ("/?Stream=a.b&streams=c.d&stream[]=e.f", ()),
        ("/?stream", ()),
        ("/?stream=", ("",)),
        ("/?stream=a.b,,a.b", ("a.b", "", "a.b")),
        ("/?stream=a=b&stream=c", ("c",)),
        ("/?stream=a%2Cb+c%20d", ("a%2Cb+c%20d",)),
        ("/?stream=a.b;stream=c.d", ()),
        ("/?stream=a.b?x", ("a.b?x",)),
        ("/?to=x?y&stream=a.b", ("a.b",)),
        ("http://host/public?stream=a.b", ("a.b",)),
        ("/?stream=\udcc3\udcbc\udcff", ("ü\ufffd",)),
        ("/?stream=\ud800ü", ("\ufffdü",)),
    ],
)
def test_the_query_of_a_request_names_streams(target: str, streams: tuple[str, ...]) -> None:
    assert rango.query_streams(target) == streams


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (rango.PONG, "pong"),
        (rango.subscribed([]), '{"success":{"message":"subscribed","streams":[]}}'),
        (
            rango.subscribed(["eurusd.trades", "admin.a.b", "order"]),
            '{"success":{"message":"subscribed","streams":["eurusd.trades","admin.a.b","order"]}}',
        ),
        (
            rango.unsubscribed(["ü<b>"]),
            '{"success":{"message":"unsubscribed","streams":["ü\\u003cb\\u003e"]}}',
        ),
        (
            rango.cannot_subscribe("admin.a&b.c"),
            '{"success":{"message":"cannot subscribe to admin.a\\u0026b.c"}}',
        ),
        (
            rango.error("Could not parse message: invalid character '<' in numeric literal"),
            '{"error":"Could not parse message: invalid character \'\\u003c\' in numeric literal"}',
        ),
        (rango.error("Max 3", Code.LIMIT_EXCEEDED), '{"code":"LIMIT_EXCEEDED","error":"Max 3"}'),
        (
            rango.status("admin.a.b", "stale", "nothing came"),
            '{"system.status":{"reason":"nothing came","state":"stale","stream":"admin.a.b"}}',
        ),
        (rango.status("a.b", "live"), '{"system.status":{"state":"live","stream":"a.b"}}'),
        (rango.refused("a.b", "no"), '{"system.status":{"reason":"no","state":"refused","stream":"a.b"}}'),
        (rango.auth(Login.OK), '{"system.auth":{"state":"ok"}}'),
        (rango.auth(Login.OK, expires_s=float("inf")), '{"system.auth":{"state":"ok"}}'),
        (
            rango.auth(Login.EXPIRING, "soon", code="C", expires_s=1_700_000_000.9),
            '{"system.auth":{"code":"C","expires":1700000000,"reason":"soon","state":"expiring"}}',
        ),
    ],
)
def test_answers_are_compact_and_their_keys_sorted(answer: bytes, text: str) -> None:
    assert answer.decode() == text
    assert answer == rango.PONG or list(json.loads(answer))
