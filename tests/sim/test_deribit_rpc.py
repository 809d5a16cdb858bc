"""Requests, answers and notifications as JSON."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import pytest

from feedmux.sim.deribit_rpc import (
    MESSAGES,
    NO_ID,
    Denied,
    Stamp,
    Unreadable,
    answer,
    heartbeat,
    notification,
    read,
)

STAMP = Stamp(1_000_000, 1_000_042, testnet=True)
AFTER = {"usIn": 1_000_000, "usOut": 1_000_042, "usDiff": 42, "testnet": True}


@pytest.mark.parametrize(
    "text",
    [
        '{"jsonrpc":"2.0","id":7,"method":"public/test","params":{"a":1}}',
        '{"params":{"a":1},"method":"public/test","id":7,"jsonrpc":"2.0"}',
        b'{"id":7,"method":"/public/test","params":{"a":1}}',
    ],
)
def test_members_come_in_any_order(text: str | bytes) -> None:
    request = read(text)
    assert (request.method, request.params, request.ident) == ("public/test", {"a": 1}, 7)


@pytest.mark.parametrize(("ident", "expected"), [('"id":"x",', "x"), ('"id":-5,', -5), ("", NO_ID)])
def test_an_id_is_a_number_a_text_or_missing(ident: str, expected: Any) -> None:
    request = read(f'{{{ident}"method":"public/test"}}')
    assert request.ident == expected
    assert request.params == {}


@pytest.mark.parametrize(
    ("text", "ident", "error"),
    [
        ("hello", NO_ID, {"code": 11050, "data": "invalid json", "message": "bad_request"}),
        ("", NO_ID, {"code": 11050, "data": "invalid json", "message": "bad_request"}),
        (b"\xff", NO_ID, {"code": 11050, "data": "invalid json", "message": "bad_request"}),
        ("[" * 100_000, NO_ID, {"code": 11050, "data": "invalid json", "message": "bad_request"}),
        ("9" * 5000, NO_ID, {"code": 11050, "data": "invalid json", "message": "bad_request"}),
        (
            '[{"id":1,"method":"public/test"}]',
            NO_ID,
            {"code": 11050, "data": "batch requests are not supported"},
        ),
        ('"text"', NO_ID, {"code": 11050, "data": "an object was expected"}),
        ('{"id":true,"method":"public/test"}', NO_ID, {"code": 11050, "data": "invalid id"}),
        ('{"id":1.5,"method":"public/test"}', NO_ID, {"code": 11050, "data": "invalid id"}),
        ('{"id":99999999999999999999,"method":"x"}', NO_ID, {"code": 11050, "data": "invalid id"}),
        ('{"id":3}', 3, {"code": 11050, "data": "no method"}),
        ('{"id":3,"method":5}', 3, {"code": 11050, "data": "no method"}),
        ('{"id":3,"method":"public/test","params":[1]}', 3, {"code": -32602}),
    ],
)
def test_what_is_no_request_is_refused(text: str | bytes, ident: Any, error: dict[str, Any]) -> None:
    with pytest.raises(Unreadable) as caught:
        read(text)
    assert caught.value.ident == ident
    view = caught.value.denied.view()
    assert {key: view[key] for key in error} == error


def test_an_answer_repeats_the_id_and_says_when() -> None:
    message = json.loads(answer(7, ["x"], STAMP))
    assert list(message.items()) == [("jsonrpc", "2.0"), ("id", 7), ("result", ["x"]), *AFTER.items()]


def test_an_answer_to_a_request_without_an_id_has_none() -> None:
    assert json.loads(answer(NO_ID, "ok", STAMP)) == {"jsonrpc": "2.0", "result": "ok"} | AFTER


def test_an_error_stands_where_the_result_would() -> None:
    message = json.loads(answer("a", Denied(-32602, {"reason": "invalid value", "param": "kind"}), STAMP))
    assert message["error"] == {
        "code": -32602,
        "data": {"reason": "invalid value", "param": "kind"},
        "message": "Invalid params",
    }
    assert "result" not in message


def test_members_can_be_shuffled() -> None:
    dice, orders = Random(1), set()
    for _ in range(50):
        message = json.loads(answer(7, "ok", STAMP, dice))
        assert message == {"jsonrpc": "2.0", "id": 7, "result": "ok"} | AFTER
        orders.add(tuple(message))
    assert len(orders) > 10


def test_notifications_have_no_id() -> None:
    assert json.loads(notification("quote.X", b'{"a":1}')) == {
        "jsonrpc": "2.0",
        "method": "subscription",
        "params": {"channel": "quote.X", "data": {"a": 1}},
    }
    assert (
        heartbeat("test_request")
        == b'{"params":{"type":"test_request"},"method":"heartbeat","jsonrpc":"2.0"}'
    )


@pytest.mark.parametrize("code", MESSAGES)
def test_every_error_has_its_name(code: int) -> None:
    assert Denied(code).view() == {"code": code, "message": MESSAGES[code]}
    assert MESSAGES[code] in str(Denied(code))
