from __future__ import annotations

import json
from collections.abc import Callable
from types import MappingProxyType
from typing import Any

import pytest

from feedmux.core import jsonrpc
from feedmux.core.jsonrpc import Batch, Call, JsonRpc, Notification, Response, batch, read
from feedmux.model.errors import InvalidMessage
from feedmux.model.ports import Correlator
from feedmux.model.rpc import Reply, RpcError

NO = {"code": 13004, "message": "invalid_credentials"}
REFUSED = RpcError(13004, "invalid_credentials")

RESPONSES: list[tuple[Any, Reply]] = [
    ({"jsonrpc": "2.0", "id": 7, "result": "ok"}, Reply(7, "ok")),
    ({"id": 7, "result": "ok"}, Reply(7, "ok")),
    ({"jsonrpc": "1.0", "id": 7, "result": "ok"}, Reply(7, "ok")),
    ({"id": 7, "result": None}, Reply(7)),
    ({"id": 7, "result": False}, Reply(7, False)),
    ({"id": "7", "result": "ok"}, Reply("7", "ok")),
    ({"id": 7.0, "result": "ok"}, Reply(7, "ok")),
    ({"id": None, "error": NO}, Reply(None, error=REFUSED)),
    ({"id": 7, "error": NO}, Reply(7, error=REFUSED)),
    # extra members: Deribit's times, and Binance's status
    (
        {"usIn": 1, "usOut": 2, "usDiff": 1, "testnet": True, "id": 7, "jsonrpc": "2.0", "result": []},
        Reply(7, []),
    ),
    ({"id": 7, "status": 200, "result": {}, "rateLimits": []}, Reply(7, {})),
    ({"id": 7, "method": "subscribe", "result": {}}, Reply(7, {})),
    # a request without id, answered without id
    ({"jsonrpc": "2.0", "result": {"version": "1.2.26"}, "usIn": 1}, Reply(None, {"version": "1.2.26"})),
    ({"jsonrpc": "2.0", "error": NO}, Reply(None, error=REFUSED)),
    # JSON-RPC 1.0 sends both members
    ({"id": 7, "result": "ok", "error": None}, Reply(7, "ok")),
    ({"id": 7, "result": None, "error": NO}, Reply(7, error=REFUSED)),
    ({"id": 7, "result": None, "error": None}, Reply(7)),
]

CALLS: list[tuple[Any, Call | Notification]] = [
    ({"jsonrpc": "2.0", "id": 7, "method": "sum", "params": [1, 2]}, Call(7, "sum", [1, 2])),
    ({"id": "a", "method": "sum", "params": {"x": 1}}, Call("a", "sum", {"x": 1})),
    ({"id": 7, "method": "ping"}, Call(7, "ping")),
    ({"jsonrpc": "2.0", "id": None, "method": "ping"}, Call(None, "ping")),
    ({"id": None, "method": "ping", "params": []}, Notification("ping", [])),
    ({"jsonrpc": "2.0", "method": "ping"}, Notification("ping")),
    ({"method": "ping"}, Notification("ping")),
    (
        {"params": {"type": "test_request"}, "method": "heartbeat", "jsonrpc": "2.0"},
        Notification("heartbeat", {"type": "test_request"}),
    ),
    ({"jsonrpc": "2.0", "method": "ping", "result": 1}, Notification("ping")),
]

DATA: list[Any] = [
    None,
    True,
    7,
    7.5,
    "pong",
    {},
    [],
    [1, 2, 3],
    [{"T": "t", "S": "AAPL", "i": 7}],
    [[{"id": 7, "result": 1}]],
    {"id": 7, "price": "1.5", "side": "buy"},
    {"topic": "tickers.BTCUSDT", "data": {"id": 7, "result": 1}},
    {"result": 1},
    {"error": NO},
    {"jsonrpc": "2.0"},
    {"jsonrpc": "2.0", "id": 7},
    {"id": 7, "result": "ok", "error": NO},
    {"jsonrpc": "2.0", "result": "ok", "error": NO},
    {"id": True, "result": "ok"},
    {"id": 1.5, "result": "ok"},
    {"id": float("inf"), "result": "ok"},
    {"id": [7], "result": "ok"},
    {"id": {}, "method": "ping"},
    {"id": 7, "method": 5},
    {"id": 7, "method": ""},
    {"id": 7, "method": None, "params": {}},
    {"id": 7, "method": "sum", "params": "1, 2"},
    {"method": "sum", "params": 5},
]


@pytest.mark.parametrize(("message", "reply"), RESPONSES)
def test_an_object_with_an_id_and_a_result_or_an_error_is_a_response(message: Any, reply: Reply) -> None:
    assert read(message) == reply
    assert JsonRpc().reply(message) == reply


@pytest.mark.parametrize(("message", "expected"), CALLS)
def test_an_object_with_a_method_is_a_call_or_a_notification(
    message: Any, expected: Call | Notification
) -> None:
    assert read(message) == expected
    assert JsonRpc().reply(message) is None


@pytest.mark.parametrize("message", DATA, ids=repr)
def test_everything_else_is_data_even_with_an_id(message: Any) -> None:
    assert read(message) is None
    assert JsonRpc().reply(message) is None


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (NO | {"data": {"param": "x"}}, RpcError(13004, "invalid_credentials", {"param": "x"})),
        ({"code": -32600.0, "message": "no"}, RpcError(-32600, "no")),
        (None, RpcError(0, "malformed error: it is no object")),
        ("no", RpcError(0, "malformed error: it is no object", "no")),
        ([], RpcError(0, "malformed error: it is no object", [])),
        ({}, RpcError(0, "malformed error: its code is no whole number", {})),
        ({"code": "1", "message": "no"}, RpcError(0, "malformed error: its code is no whole number", ...)),
        ({"code": True, "message": "no"}, RpcError(0, "malformed error: its code is no whole number", ...)),
        ({"code": 1.5, "message": "no"}, RpcError(0, "malformed error: its code is no whole number", ...)),
        ({"code": -2010, "msg": "no"}, RpcError(-2010, "malformed error: its message is no text", ...)),
        ({"code": -2010, "message": {}}, RpcError(-2010, "malformed error: its message is no text", ...)),
    ],
)
def test_an_error_that_is_malformed_says_so_and_is_an_answer_all_the_same(
    error: Any, expected: RpcError
) -> None:
    whole = RpcError(expected.code, expected.message, error if expected.data is ... else expected.data)
    assert read({"id": 7, "error": error}) == Response(7, error=whole)


def test_what_is_sent_looks_as_the_specification_has_it() -> None:
    sent = [
        jsonrpc.request(7, "sum", [1, 2]),
        jsonrpc.request("a", "ping"),
        jsonrpc.notification("update", {"x": 1}),
        jsonrpc.notification("ping"),
        jsonrpc.response(7, None),
        jsonrpc.error_response(None, jsonrpc.PARSE_ERROR, "Parse error"),
        jsonrpc.error_response("a", jsonrpc.INVALID_PARAMS, "Invalid params", {"param": "x"}),
    ]
    assert [json.dumps(message) for message in sent] == [
        '{"jsonrpc": "2.0", "id": 7, "method": "sum", "params": [1, 2]}',
        '{"jsonrpc": "2.0", "id": "a", "method": "ping"}',
        '{"jsonrpc": "2.0", "method": "update", "params": {"x": 1}}',
        '{"jsonrpc": "2.0", "method": "ping"}',
        '{"jsonrpc": "2.0", "id": 7, "result": null}',
        '{"jsonrpc": "2.0", "id": null, "error": {"code": -32700, "message": "Parse error"}}',
        '{"jsonrpc": "2.0", "id": "a", "error": {"code": -32602, "message": "Invalid params", '
        '"data": {"param": "x"}}}',
    ]


@pytest.mark.parametrize("params", [{}, [], (), (1, 2), MappingProxyType({"x": 1}), range(3)])
def test_params_are_any_mapping_or_sequence_and_are_not_copied(params: object) -> None:
    message = jsonrpc.request(7, "sum", params)
    assert message["params"] is params
    assert read(message) == Call(7, "sum", params)


REFUSALS: list[tuple[Callable[[], object], str]] = [
    (
        lambda: jsonrpc.request(7, "sum", 5),
        "params of 'sum': a value of type int cannot be sent; expected a mapping or a sequence",
    ),
    (
        lambda: jsonrpc.notification("sum", b"[1]"),
        "params of 'sum': a value of type bytes cannot be sent; expected a mapping or a sequence",
    ),
    (
        lambda: jsonrpc.request(7, ""),
        "method: an empty text cannot be sent; expected a text that is not empty",
    ),
    (
        lambda: jsonrpc.notification(["sum"]),  # type: ignore[arg-type]
        "method: a value of type list cannot be sent; expected a text that is not empty",
    ),
    (
        lambda: jsonrpc.request(True, "sum"),
        "id: a value of type bool cannot be sent; expected a whole number or a text",
    ),
    (
        lambda: jsonrpc.request(None, "sum"),  # type: ignore[arg-type]
        "id: a value of type NoneType cannot be sent; expected a whole number or a text",
    ),
    (
        lambda: jsonrpc.response(1.5, "ok"),  # type: ignore[arg-type]
        "id: a value of type float cannot be sent; expected a whole number or a text",
    ),
    (
        lambda: jsonrpc.error_response({}, 1, "no"),  # type: ignore[arg-type]
        "id: a value of type dict cannot be sent; expected a whole number or a text",
    ),
    (
        lambda: jsonrpc.error_response(7, "1", "no"),  # type: ignore[arg-type]
        "code of an error: a value of type str cannot be sent; expected a whole number",
    ),
    (
        lambda: jsonrpc.error_response(7, 1, None),  # type: ignore[arg-type]
        "message of an error: a value of type NoneType cannot be sent; expected a text",
    ),
    (lambda: batch([]), "batch: an empty array cannot be sent; expected at least one message"),
    (
        lambda: batch({"id": 7}),  # type: ignore[arg-type]
        "batch: a value of type dict cannot be sent; expected a sequence of messages",
    ),
    (
        lambda: batch([jsonrpc.request(7, "a"), 5]),
        "member 1 of a batch: a value of type int cannot be sent; expected a message",
    ),
    (
        lambda: batch([jsonrpc.request(7, "a"), jsonrpc.request(7, "b")]),
        "member 1 of a batch: an id twice cannot be sent; expected ids that differ",
    ),
]


@pytest.mark.parametrize(("build", "text"), REFUSALS, ids=[text for _, text in REFUSALS])
def test_what_has_no_form_is_refused_by_name(build: Callable[[], object], text: str) -> None:
    with pytest.raises(InvalidMessage) as caught:
        build()
    assert str(caught.value) == text


def test_an_error_never_shows_the_params_because_they_may_hold_a_secret() -> None:
    with pytest.raises(InvalidMessage) as caught:
        jsonrpc.request(7, "public/auth", "client_secret=hunter2")
    assert "hunter2" not in f"{caught.value!s} {caught.value!r}"


def test_the_batch_of_the_specification_reads_as_it_says() -> None:
    """The example of section 7: calls, a notification, and one member that is no message."""
    asked = read(
        [
            {"jsonrpc": "2.0", "method": "sum", "params": [1, 2, 4], "id": "1"},
            {"jsonrpc": "2.0", "method": "notify_hello", "params": [7]},
            {"jsonrpc": "2.0", "method": "subtract", "params": [42, 23], "id": "2"},
            {"foo": "boo"},
            {"jsonrpc": "2.0", "method": "foo.get", "params": {"name": "myself"}, "id": "5"},
            {"jsonrpc": "2.0", "method": "get_data", "id": "9"},
        ]
    )
    assert asked == Batch(
        (
            Call("1", "sum", [1, 2, 4]),
            Notification("notify_hello", [7]),
            Call("2", "subtract", [42, 23]),
            None,
            Call("5", "foo.get", {"name": "myself"}),
            Call("9", "get_data"),
        )
    )
    answered = read(
        [
            {"jsonrpc": "2.0", "result": ["hello", 5], "id": "9"},
            {"jsonrpc": "2.0", "result": 7, "id": "1"},
            {"jsonrpc": "2.0", "error": {"code": -32600, "message": "Invalid Request"}, "id": None},
            {"jsonrpc": "2.0", "error": {"code": -32601, "message": "Method not found"}, "id": "5"},
        ]
    )
    assert isinstance(answered, Batch)
    assert {reply.request_id: reply.result for reply in answered.replies} == {
        "9": ["hello", 5],
        "1": 7,
        None: None,
        "5": None,
    }
    assert answered.missing(["1", "2", "5", "9"]) == ["2"]


def test_an_array_with_one_message_is_a_batch_and_an_array_of_arrays_is_data() -> None:
    assert read([5, {"id": 7, "result": 1}, []]) == Batch((None, Reply(7, 1), None))
    assert read([[{"id": 7, "result": 1}]]) is None


def test_an_id_that_is_a_text_answers_no_call_whose_id_is_a_number() -> None:
    answered = read([{"id": "7", "result": 1}])
    assert isinstance(answered, Batch)
    assert answered.missing([7]) == [7]


def test_it_correlates_requests_and_their_replies() -> None:
    correlator: Correlator = JsonRpc()
    asked = correlator.request(7, "public/test", {})
    assert asked == {"jsonrpc": "2.0", "id": 7, "method": "public/test", "params": {}}
    assert correlator.request(8, "public/test", None) == jsonrpc.request(8, "public/test")
    assert correlator.reply({"jsonrpc": "2.0", "id": 7, "result": {}}) == Reply(7, {})
    assert correlator.reply([{"id": 7, "result": {}}]) is None
