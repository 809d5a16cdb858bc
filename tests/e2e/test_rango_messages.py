"""What Rango's clients say and are told, to the letter; and what ended Rango, and does not end this."""

from __future__ import annotations

import json

import pytest

from support.rango_gateway import RangoClient, Scene, token
from support.rawsocket import BINARY, TEXT
from support.tokens import Signer

A, B = "eurusd.trades", "eurusd.ob-inc"
EMPTY = '{"success":{"message":"subscribed","streams":[]}}'


def told(message: str, *streams: str) -> str:
    """The answer that lists all streams."""
    return json.dumps({"success": {"message": message, "streams": streams}}, separators=(",", ":"))


# Connecting


@pytest.mark.parametrize(
    ("query", "streams"),
    [
        ("", []),
        ("?", []),
        ("?stream=", []),
        (f"?stream={A}", [A]),
        (f"?stream={A}&stream=global.tickers", [A, "global.tickers"]),
        (f"?stream={A},global.tickers&stream={A}", [A, "global.tickers"]),
        (f"?stream=order,{A}", [A]),
    ],
)
async def test_the_first_message_lists_what_the_url_names(
    scene: Scene, query: str, streams: list[str]
) -> None:
    client = await scene.client(f"/public{query}", greeted=False)
    assert await client.recv() == told("subscribed", *streams)


# Requests and answers


@pytest.mark.parametrize("text", ["ping", " ping\n", "\tping\r\n", b"ping"])
async def test_ping_is_answered_with_pong(scene: Scene, text: str | bytes) -> None:
    client = await scene.client()
    assert await client.ask(text) == "pong"


async def test_streams_are_listed_whole_after_every_request(scene: Scene, signer: Signer) -> None:
    client = await scene.client(jwt=token(signer, role="admin"))

    async def ask(event: str, *streams: str) -> str:
        return await client.ask({"event": event, "streams": streams})

    assert await ask("subscribe", A) == told("subscribed", A)
    assert await ask("subscribe", "order", "global.tickers") == told(
        "subscribed", A, "global.tickers", "order"
    )
    assert await ask("subscribe", "admin.x.y", A, "trade") == told(
        "subscribed", A, "global.tickers", "admin.x.y", "order", "trade"
    )
    assert await ask("unsubscribe", A, "order", "none.such") == told(
        "unsubscribed", "global.tickers", "admin.x.y", "trade"
    )
    assert await ask("unsubscribe") == told("unsubscribed", "global.tickers", "admin.x.y", "trade")
    assert await ask("unsubscribe", "trade", "admin.x.y", "global.tickers") == told("unsubscribed")


NO_MAP = "into Go value of type map[string]interface {}"
ERRORS = [
    ('{"event":"subscribe"}', "No streams provided"),
    ('{"event":"unsubscribe"}', "No streams provided"),
    ("{}", "Could not parse Type: Invalid event"),
    ('{"event":"dance"}', "Could not parse Type: Invalid event"),
    ('{"event":1,"streams":[]}', "Could not parse Type: Invalid event"),
    ('{"event":"Subscribe","streams":[]}', "Could not parse Type: Invalid event"),
    ("x", "Could not parse message: invalid character 'x' looking for beginning of value"),
    ("pings", "Could not parse message: invalid character 'p' looking for beginning of value"),
    ('{"event":', "Could not parse message: unexpected end of JSON input"),
    ("[1]", f"Could not parse message: json: cannot unmarshal array {NO_MAP}"),
    ('"ping"', f"Could not parse message: json: cannot unmarshal string {NO_MAP}"),
    ("null", "Could not parse Type: Invalid event"),
]


@pytest.mark.parametrize(("said", "error"), ERRORS)
async def test_what_cannot_be_read_is_told_in_rangos_words(scene: Scene, said: str, error: str) -> None:
    client = await scene.client()
    assert json.loads(await client.ask(said)) == {"error": error}
    assert await client.ask("ping") == "pong"


@pytest.mark.parametrize("streams", ['"a.b"', "7", "true", '{"a":"b"}', "[]"])
@pytest.mark.parametrize("event", ["subscribe", "unsubscribe"])
async def test_streams_that_are_no_list_count_as_an_empty_one(scene: Scene, event: str, streams: str) -> None:
    client = await scene.client(f"/?stream={A}")
    assert await client.ask(f'{{"event":"{event}","streams":{streams},"more":1}}') == told(event + "d", A)


@pytest.mark.parametrize("text", ["", " ", "\n", "\r\n\t "])
async def test_nothing_is_answered_with_nothing(scene: Scene, text: str) -> None:
    client = await scene.client()
    await client.send(text)
    assert await client.ask("ping") == "pong"


async def test_a_line_end_inside_a_request_is_a_blank(scene: Scene) -> None:
    client = await scene.client()
    assert await client.ask('\n{"event":\n"subscribe",\n"streams":["a.b"]}\n') == told("subscribed", "a.b")


async def test_binary_messages_and_fragments_are_read_like_text(scene: Scene) -> None:
    client = await scene.client()
    assert await client.ask(b'{"event":"subscribe","streams":["a.b"]}') == told("subscribed", "a.b")
    await client.socket.send(iter(['{"event":"unsub', 'scribe","streams":["a.b"]}']))
    assert await client.recv() == told("unsubscribed")


@pytest.mark.parametrize(
    "name", ["<b>.&", "a.\u2028", 'quote".x', "back\\slash.x", "\ttab.x", "emoji.\U0001f600", "a.\x7f"]
)
async def test_names_are_escaped_as_go_escapes_them(scene: Scene, name: str) -> None:
    client = await scene.client()
    answer = await client.ask({"event": "subscribe", "streams": [name]})
    assert json.loads(answer)["success"]["streams"] == [name]
    assert not any(char in answer for char in "<>&\u2028\u2029\t")


# Roles


async def test_a_role_that_does_not_open_a_prefix_is_told_under_success(scene: Scene, signer: Signer) -> None:
    client = await scene.client(jwt=token(signer, role="member"))
    answer = await client.ask({"event": "subscribe", "streams": ["admin.eurusd.x", A]})
    assert answer == '{"success":{"message":"cannot subscribe to admin.eurusd.x"}}'
    assert await client.recv() == told("subscribed", A)


async def test_private_streams_of_nobody_are_missing_from_the_list(scene: Scene) -> None:
    client = await scene.client()
    assert await client.ask({"event": "subscribe", "streams": ["order", A]}) == told("subscribed", A)


# What ended Rango's process, or the connection without a word


@pytest.mark.parametrize(
    ("streams", "found"),
    [
        ("[1]", "a number in place 1"),
        ('["a.b",null]', "null in place 2"),
        ('[["a.b"]]', "a list in place 1"),
        ("[{}]", "an object in place 1"),
        ("null", "null"),
    ],
)
@pytest.mark.parametrize("event", ["subscribe", "unsubscribe"])
async def test_names_that_are_none_are_an_error_with_a_code(
    scene: Scene, event: str, streams: str, found: str
) -> None:
    client = await scene.client(f"/?stream={A}")
    answer = json.loads(await client.ask(f'{{"event":"{event}","streams":{streams}}}'))
    assert answer["code"] == "INVALID_STREAM"
    assert answer["error"].endswith(f"found {found}")
    assert await client.subscribe() == [A]
    assert scene.gateway.runs


async def test_a_prefixed_stream_can_be_given_back(scene: Scene, signer: Signer) -> None:
    client = await scene.client("/?stream=admin.*.sys,*.sys", jwt=token(signer, role="admin"))
    market = scene.market
    assert await client.ask({"event": "unsubscribe", "streams": [f"admin.{market}.sys"]}) == told(
        "unsubscribed", f"{market}.sys"
    )
    assert await client.ask({"event": "unsubscribe", "streams": [f"admin.{market}.sys"]}) == told(
        "unsubscribed", f"{market}.sys"
    )
    scene.say("admin.*.sys", {"n": 1})
    scene.say("public.*.sys", {"n": 2})
    assert await client.recv() == f'{{"{market}.sys":{{"n":2}}}}'


async def test_a_list_of_more_than_512_bytes_is_taken(scene: Scene) -> None:
    client = await scene.client()
    names = [f"market{n:04}.trades" for n in range(90)]
    await client.send({"event": "subscribe", "streams": names})
    assert len(json.dumps(names)) > 2 * 512
    assert await client.recv() == told("subscribed", *names)


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
async def test_a_message_beyond_the_bound_is_told_why(scene: Scene, opcode: int) -> None:
    client = await scene.client(max_size=None)
    payload = b" " * (65_536 + 1)
    await client.send(payload if opcode == BINARY else payload.decode())
    closed = await client.closed()
    assert closed.code == 1009
    assert closed.reason


async def test_too_many_streams_are_refused_as_a_whole(scene: Scene) -> None:
    client = await scene.client(f"/?stream={A}")
    names = [f"m{n}.x" for n in range(1000)]
    answer = json.loads(await client.ask({"event": "subscribe", "streams": names}))
    assert answer == {"code": "LIMIT_EXCEEDED", "error": "Max 1000 subscriptions allowed"}
    assert await client.subscribe() == [A]


async def test_too_many_messages_are_told_and_not_obeyed(scene: Scene) -> None:
    client: RangoClient = await scene.client()
    for _ in range(400):
        await client.send("ping")
    answers = {await client.recv() for _ in range(400)}
    assert answers == {"pong", '{"code":"RATE_LIMIT_EXCEEDED","error":"Max 100 messages per second"}'}
