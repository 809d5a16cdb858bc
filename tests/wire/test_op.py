from __future__ import annotations

from itertools import product
from typing import Any

import pytest

from feedmux.model.access import Identity
from feedmux.model.options import DEFAULTS, Options
from feedmux.wire import op
from feedmux.wire.op import Auth, Code, Invalid, Ping, Subscribe, Unsubscribe
from feedmux.wire.options import Wish
from support.answers import answered

NOT_JSON = Invalid(Code.INVALID_JSON, "Invalid JSON message")
NO_STREAMS = Invalid(Code.INVALID_ARGS, "No streams specified")


def unknown(shown: str) -> Invalid:
    return Invalid(Code.UNKNOWN_OP, f"Unknown operation: {shown}")


@pytest.mark.parametrize(
    ("payload", "request_"),
    [
        ('{"op":"subscribe","args":["ticker:BTCUSDT"]}', Subscribe(["ticker:BTCUSDT"])),
        ('{"op":"subscribe","args":["a",1,null,["b"]]}', Subscribe(["a", 1, None, ["b"]])),
        ('{"op":"unsubscribe","args":["a"]}', Unsubscribe(["a"])),
        ('{"op":"subscribe","args":["a"],"options":{}}', Subscribe(["a"], Wish(DEFAULTS, None, {}))),
        (
            '{"op":"subscribe","options":{"max_rate":4},"args":["a"]}',
            Subscribe(["a"], Wish(Options(rate=4), None, {"max_rate": 4})),
        ),
        (
            '{"op":"subscribe","args":["a"],"options":{"rate":4}}',
            Invalid(Code.INVALID_ARGS, "Unknown option: rate; did you mean max_rate?"),
        ),
        (
            '{"op":"subscribe","args":["a"],"options":null}',
            Invalid(Code.INVALID_ARGS, 'options: expected an object, e.g. {"max_rate": 4}'),
        ),
        ('{"op":"subscribe","args":["a"],"options":{"max_rate":NaN}}', NOT_JSON),
        ('{"op":"subscribe","args":[],"options":5}', NO_STREAMS),
        ('{"op":"unsubscribe","args":["a"],"options":5}', Unsubscribe(["a"])),
        ('{"op":"ping"}', Ping()),
        ('{"op":"ping","args":5,"more":{}}', Ping()),
        (' {"args":["a"],"op":"subscribe"} ', Subscribe(["a"])),
        ("", NOT_JSON),
        ("ping", NOT_JSON),
        ('{"op":"ping"', NOT_JSON),
        ('{"op":"ping"} x', NOT_JSON),
        ('["op","ping"]', NOT_JSON),
        ('"ping"', NOT_JSON),
        ("null", NOT_JSON),
        ("7", NOT_JSON),
        ('{"op":NaN}', NOT_JSON),
        ('{"op":"\\ud800"}', NOT_JSON),
        ("{}", unknown("None")),
        ('{"op":null}', unknown("None")),
        ('{"op":"Subscribe","args":["a"]}', unknown("Subscribe")),
        ('{"op":5}', unknown("5")),
        ('{"op":["ping"]}', unknown("<list>")),
        ('{"op":{"a":1}}', unknown("<dict>")),
        ('{"op":"' + "x" * 65 + '"}', unknown("x" * 64)),
        ('{"op":"subscribe"}', NO_STREAMS),
        ('{"op":"subscribe","args":[]}', NO_STREAMS),
        ('{"op":"subscribe","args":null}', NO_STREAMS),
        ('{"op":"subscribe","args":"ticker:BTCUSDT"}', NO_STREAMS),
        ('{"op":"unsubscribe","args":{"a":1}}', NO_STREAMS),
        ('{"op":"unsubscribe"}', NO_STREAMS),
    ],
)
def test_a_message_is_read_as_a_request(payload: str, request_: op.Request) -> None:
    assert op.decode(payload.encode()) == request_


NO_TOKEN = Invalid(Code.INVALID_ARGS, 'Expected one token, as in {"op": "auth", "args": ["<token>"]}')


@pytest.mark.parametrize(
    ("payload", "request_"),
    [
        ('{"op":"auth","args":["x.y.z"]}', Auth("x.y.z")),
        ('{"op":"auth","args":[""]}', Auth("")),
        ('{"op":"auth"}', NO_TOKEN),
        ('{"op":"auth","args":[]}', NO_TOKEN),
        ('{"op":"auth","args":"x.y.z"}', NO_TOKEN),
        ('{"op":"auth","args":["x","y"]}', NO_TOKEN),
        ('{"op":"auth","args":[5]}', NO_TOKEN),
    ],
)
def test_a_token_is_read_where_there_is_a_key_and_else_nothing_is_called_auth(
    payload: str, request_: op.Request
) -> None:
    assert op.decode(payload.encode(), takes_tokens=True) == request_
    assert op.decode(payload.encode()) == unknown("auth")


def test_a_token_is_not_shown() -> None:
    assert repr(Auth("secret")) == "Auth(token=***)"


@pytest.mark.parametrize(
    ("identity", "answer"),
    [
        (Identity("U1"), b'{"op": "auth", "success": true, "uid": "U1", "message": "Authenticated as U1"}'),
        (
            Identity("U1", "admin", 1_700_000_000.9),
            b'{"op": "auth", "success": true, "uid": "U1", "role": "admin", "expires": 1700000000900,'
            b' "message": "Authenticated as U1"}',
        ),
    ],
)
def test_the_answer_to_a_token_says_whose_it_is_and_how_long(identity: Identity, answer: bytes) -> None:
    assert op.authenticated(identity) == answer


def test_the_answer_to_a_bad_token_is_an_error_that_names_its_cause() -> None:
    assert op.not_authenticated("it expired", "TOKEN_EXPIRED") == (
        b'{"op": "error", "code": "AUTH_FAILED", "message": "it expired", "cause": "TOKEN_EXPIRED"}'
    )


def test_a_message_that_is_not_utf8_is_not_json() -> None:
    assert op.decode(b'{"op":"\xff"}') == NOT_JSON


def test_a_pong_carries_unix_milliseconds() -> None:
    assert op.pong(1_700_000_000_123_999_999) == b'{"op": "pong", "timestamp": 1700000000123}'


@pytest.mark.parametrize(
    ("code", "message", "answer"),
    [
        (Code.RATE_LIMIT_EXCEEDED, "Max 100 messages per second",
         b'{"op": "error", "code": "RATE_LIMIT_EXCEEDED", "message": "Max 100 messages per second"}'),
        (Code.INVALID_JSON, "Invalid JSON message",
         b'{"op": "error", "code": "INVALID_JSON", "message": "Invalid JSON message"}'),
        (Code.UNKNOWN_OP, "Unknown operation: x",
         b'{"op": "error", "code": "UNKNOWN_OP", "message": "Unknown operation: x"}'),
        (Code.INVALID_ARGS, "No streams specified",
         b'{"op": "error", "code": "INVALID_ARGS", "message": "No streams specified"}'),
        (Code.LIMIT_EXCEEDED, "Max 100 subscriptions allowed",
         b'{"op": "error", "code": "LIMIT_EXCEEDED", "message": "Max 100 subscriptions allowed"}'),
        (Code.INTERNAL_ERROR, "é", b'{"op": "error", "code": "INTERNAL_ERROR", "message": "\\u00e9"}'),
    ],
)  # fmt: skip
def test_an_error_names_its_code(code: Code, message: str, answer: bytes) -> None:
    assert op.error(code, message) == answer


@pytest.mark.parametrize(
    ("accepted", "rejected", "pending", "answer"),
    [
        (["a", "b"], [], [],
         b'{"op": "subscribe", "success": true, "args": ["a", "b"],'
         b' "message": "Subscribed to 2 streams", "rejected": null}'),
        (["a"], [("b", "no"), (5, "not a string")], [],
         b'{"op": "subscribe", "success": true, "args": ["a"],'
         b' "message": "Subscribed to 1 streams. 2 rejected \\u2014 see \'rejected\' for details.",'
         b' "rejected": [{"arg": "b", "reason": "no"}, {"arg": 5, "reason": "not a string"}]}'),
        ([], [("b", "no")], [],
         b'{"op": "subscribe", "success": false, "args": [],'
         b' "message": "Subscribed to 0 streams. 1 rejected \\u2014 see \'rejected\' for details.",'
         b' "rejected": [{"arg": "b", "reason": "no"}]}'),
        (["a", "b"], [], ["b"],
         b'{"op": "subscribe", "success": true, "args": ["a", "b"],'
         b' "message": "Subscribed to 2 streams", "rejected": null, "pending": ["b"]}'),
        ([], [(None, "no"), (True, "no"), (1.5, "no"), (["b"], "no"), ({"b": 1}, "no")], [],
         b'{"op": "subscribe", "success": false, "args": [],'
         b' "message": "Subscribed to 0 streams. 5 rejected \\u2014 see \'rejected\' for details.",'
         b' "rejected": [{"arg": null, "reason": "no"}, {"arg": true, "reason": "no"},'
         b' {"arg": 1.5, "reason": "no"}, {"arg": "<list>", "reason": "no"},'
         b' {"arg": "<dict>", "reason": "no"}]}'),
    ],
    ids=["all", "some", "none", "pending", "not strings"],
)  # fmt: skip
def test_the_answer_to_a_subscribe_tells_the_fate_of_every_arg(
    accepted: list[str], rejected: list[tuple[Any, str]], pending: list[str], answer: bytes
) -> None:
    assert op.subscribed(accepted, rejected, pending) == answer


@pytest.mark.parametrize(
    ("pending", "served", "notes", "end"),
    [
        ([], {}, (), b'"rejected": null, "options": {}}'),
        (
            ["a"],
            {"max_rate": 0.5, "fields": ["p", "q"]},
            ("one", "two"),
            b'"rejected": null, "pending": ["a"],'
            b' "options": {"max_rate": 0.5, "fields": ["p", "q"]}, "notes": ["one", "two"]}',
        ),
    ],
)
def test_the_answer_to_options_tells_how_they_are_served(
    pending: list[str], served: dict[str, Any], notes: tuple[str, ...], end: bytes
) -> None:
    answer = op.subscribed(["a"], [], pending, served, notes)
    assert answer.startswith(b'{"op": "subscribe", "success": true, "args": ["a"], "message": ')
    assert answer.endswith(end)


def test_the_answer_to_an_unsubscribe_names_what_was_subscribed() -> None:
    assert op.unsubscribed(["a", "b"]) == (
        b'{"op": "unsubscribe", "success": true, "args": ["a", "b"],'
        b' "message": "Unsubscribed from 2 streams"}'
    )
    assert op.unsubscribed([]) == (
        b'{"op": "unsubscribe", "success": true, "args": [], "message": "Unsubscribed from 0 streams"}'
    )


@pytest.mark.parametrize(
    "text",
    [
        '{"op":%s}',
        '{"op":"subscribe","args":[%s]}',
        '{"op":"subscribe","args":[1],"options":%s}',
        '{"op":"subscribe","args":[1],"options":{"fields":[%s]}}',
    ],
    ids=["op", "arg", "options", "field"],
)
def test_a_message_nested_ever_so_deeply_gets_an_answer(text: str) -> None:
    for depth, (left, right) in product([*range(900, 1010, 3), 5_000, 200_000], ("[]", ('{"a":', "}"))):
        nested = left * depth + "1" + right * depth
        assert answered((text % nested).encode())["op"] in {"error", "subscribe"}, depth


@pytest.mark.parametrize("digits", [19, 20, 300, 310, 4301, 100_000])
def test_a_number_ever_so_long_gets_an_answer(digits: int) -> None:
    rate = '{"op":"subscribe","args":[1],"options":{"max_rate":%s}}'
    for text in ('{"op":%s}', '{"op":"subscribe","args":[%s]}', rate):
        assert answered((text % ("9" * digits)).encode())["op"] in {"error", "subscribe"}
