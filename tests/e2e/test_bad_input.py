"""Every row of the tables of bad input in docs/protocol.md, tried on real processes.

A trial is found by its row's first cell; what it saw must be the first code of the second cell.
"""

from __future__ import annotations

import asyncio
import json
import re
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import pytest_asyncio

from feedmux.app.config import InvalidConfiguration, load, notices, parse_pairs
from feedmux.app.settings import Settings, fields
from support.documents import ROOT, table
from support.processes import Client, Gateway, Message, Stage, Venue, stage
from support.rawsocket import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    TEXT,
    UPGRADE,
    frame,
    http_status,
    raw_socket,
)
from support.tokens import ed25519
from support.waiting import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")
PROTOCOL = ROOT / "docs" / "protocol.md"
ASK_PING = b'{"op":"ping"}'
TICKER = "ticker:BTCUSDT"
SIGNER = ed25519()
NOWHERE = "ws://127.0.0.1:9/v5/public/linear"


class Scene(NamedTuple):
    """What all trials share; a trial that needs other settings starts its own."""

    stage: Stage
    venue: Venue
    gateway: Gateway


Trial = Callable[[Scene], Awaitable[str]]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene() -> AsyncIterator[Scene]:
    async with stage() as set_up:
        venue = await set_up.venue("--kline-rate", "20", "--trade-rate", "20")
        yield Scene(set_up, venue, await set_up.gateway(venue.url))


def rows(heading: str, trials: Iterable[str]) -> list[Any]:
    """The rows of a table as parameters.

    Raises:
        AssertionError: a row has no trial, or a trial no row.
    """
    found = {row[0]: row[1] for row in table(PROTOCOL, heading)}
    assert set(found) == set(trials), set(found) ^ set(trials)
    codes = {said: re.findall(r"`([^`]+)`", happens)[0] for said, happens in found.items()}
    return [pytest.param(said, code, id=said) for said, code in codes.items()]


# What a client may send


def outcome(answer: Any) -> str:
    """An answer in one word: its error, what it rejected, its operation."""
    if isinstance(answer, int):
        return str(answer)
    if answer["op"] == "error":
        return str(answer["code"])
    if answer["op"] == "pong":
        return "pong"
    return "rejected" if answer.get("rejected") else "args"


def sending(*variants: bytes) -> Trial:
    """Each variant on a connection of its own, and an ordinary request after it if it stays open."""

    async def trial(scene: Scene) -> str:
        outcomes = set()
        for variant in variants:
            async with raw_socket(scene.gateway.port) as sock:
                sock.send(variant)
                outcomes.add(outcome(answer := await sock.message()))
                if isinstance(answer, dict):
                    sock.send(frame(TEXT, ASK_PING))
                    assert outcome(await sock.message()) == "pong", "the connection stays"
        assert len(outcomes) == 1, outcomes
        return outcomes.pop()

    return trial


def saying(*messages: object) -> Trial:
    """The same for text messages; what is not bytes is sent as JSON."""
    return sending(*(frame(TEXT, m if isinstance(m, bytes) else json.dumps(m).encode()) for m in messages))


def naming(*args: object) -> Trial:
    """Each arg in a request with a good one, which must stand."""

    async def trial(scene: Scene) -> str:
        client = await scene.stage.client(scene.gateway)
        answer = await client.ask({"op": "subscribe", "args": [*args, TICKER]})
        assert answer["args"] == [TICKER]
        assert [one["arg"] for one in answer["rejected"]] == [shown(arg) for arg in args]
        assert all(one["reason"] for one in answer["rejected"])
        await client.close()
        return outcome(answer)

    return trial


def shown(arg: object) -> object:
    """How an answer names an arg: as it was given, unless it is a list or an object."""
    return f"<{type(arg).__name__}>" if isinstance(arg, list | dict) else arg


async def an_interval(scene: Scene) -> str:
    client = await scene.stage.client(scene.gateway)
    answer = await client.subscribe("kline:BTCUSDT", "kline:99x:BTCUSDT", "kline::BTCUSDT", TICKER)
    assert len(answer["rejected"]) == 3
    assert all("1m, 3m, 5m" in one["reason"] for one in answer["rejected"])
    return outcome(answer)


async def a_market(scene: Scene) -> str:
    client = await scene.stage.client(scene.gateway)
    answer = await client.subscribe("ticker:BTCUSDT@kraken", TICKER)
    assert "bybit.linear" in answer["rejected"][0]["reason"]
    return outcome(answer)


async def an_unknown_symbol(scene: Scene) -> str:
    client = await scene.stage.client(scene.gateway)
    answer = await client.subscribe("ticker:NOPEUSDT", TICKER)
    assert "handler not found" in answer["rejected"][0]["reason"]
    asked = await scene.venue.requests()
    again = await client.subscribe("ticker:NOPEUSDT")
    assert again["rejected"] == answer["rejected"]
    assert await scene.venue.requests() == asked, "the refusal is remembered"
    return outcome(answer)


async def a_spelling(scene: Scene) -> str:
    before = await scene.venue.requests()
    seen = await naming("trade:btcusdt", "trade:BTC_USDT", "trade:BTCUSDé", "trade:X")(scene)
    after = await scene.venue.requests()
    assert after["subscribe"] - before["subscribe"] <= 1, "the good one only"
    return seen


async def twice(scene: Scene) -> str:
    client = await scene.stage.client(scene.gateway)
    answer = await client.subscribe(TICKER, TICKER)
    assert answer["args"] == [TICKER, TICKER]
    given_back = await client.ask({"op": "unsubscribe", "args": [TICKER]})
    assert given_back["args"] == [TICKER]
    return outcome(answer)


def wishing(*options: object) -> Trial:
    """Options that cannot be read: the answer says what was expected, and nothing is subscribed."""

    async def trial(scene: Scene) -> str:
        client = await scene.stage.client(scene.gateway)
        requests = await scene.venue.requests()
        outcomes = set()
        for wrong in options:
            answer = await client.ask({"op": "subscribe", "args": ["ticker:ETHUSDT"], "options": wrong})
            outcomes.add(outcome(answer))
            assert 10 < len(answer["message"]) < 200
        assert await scene.venue.requests() == requests
        await client.close()
        assert len(outcomes) == 1, outcomes
        return outcomes.pop()

    return trial


async def a_rate_for_trades(scene: Scene) -> str:
    client = await scene.stage.client(scene.gateway)
    asked = {"op": "subscribe", "args": ["trade:BTCUSDT", TICKER], "options": {"max_rate": 1}}
    answer = await client.ask(asked)
    assert answer["args"] == [TICKER]
    assert '"conflate": true' in answer["rejected"][0]["reason"]
    return outcome(answer)


async def a_seventeenth_set(scene: Scene) -> str:
    clients = [await scene.stage.client(scene.gateway) for _ in range(17)]
    for number, client in enumerate(clients):
        fields = {"fields": ["symbol", f"f{number}"]}
        answer = await client.ask({"op": "subscribe", "args": [TICKER], "options": fields})
        assert answer["args"] == [TICKER]
        assert ("notes" in answer) == (number == 16)
    data = [(await c.wait(lambda m: m.get("type") == "update"))["data"] for c in (clients[0], clients[16])]
    assert data[0] == {"symbol": "BTCUSDT"}
    assert len(data[1]) > 10
    for client in clients:
        await client.close()
    return "notes"


async def with_keys(scene: Scene, request: object, **settings: object) -> Message:
    """The answer of a gateway that checks tokens, and has a RabbitMQ that cannot be reached."""
    broker = {"RABBITMQ_HOST": "127.0.0.1", "RABBITMQ_PORT": 9}
    gateway = await scene.stage.gateway(
        scene.venue.url, **({"JWT_PUBLIC_KEY": SIGNER.pem} | broker | settings)
    )
    client = await scene.stage.client(gateway)
    answer = await client.ask(request)
    assert outcome(await client.ask({"op": "ping"})) == "pong", "the connection stays"
    await gateway.running.stop()
    return answer


async def no_token(scene: Scene) -> str:
    for args in (None, [], TICKER, [5], ["a", "b"]):
        answer = await with_keys(scene, {"op": "auth", "args": args})
        assert "one token" in answer["message"]
    return outcome(answer)


async def a_bad_token(scene: Scene) -> str:
    answer = await with_keys(scene, {"op": "auth", "args": ["no.token"]})
    assert answer["cause"] == "TOKEN_MALFORMED"
    return outcome(answer)


async def a_token_too_early(scene: Scene) -> str:
    gateway = await scene.stage.gateway(NOWHERE, JWT_PUBLIC_KEY=SIGNER.pem)
    return await http_status(gateway.port, UPGRADE[:-2] + b"Authorization: Bearer no.token\r\n\r\n")


def naming_streams(*args: str, **options: object) -> Trial:
    """Each arg in a request of nobody, with two good ones, which must stand."""

    async def trial(scene: Scene) -> str:
        good = [TICKER, "stream:eurusd.trades"]
        request = {"op": "subscribe", "args": [*args, *good], "options": options}
        answer = await with_keys(scene, request, SUBSCRIBE_TIMEOUT=1)
        assert answer["args"] == good
        assert [one["arg"] for one in answer["rejected"]] == [*args]
        return outcome(answer)

    return trial


async def not_held(scene: Scene) -> str:
    client = await scene.stage.client(scene.gateway)
    answer = await client.ask({"op": "unsubscribe", "args": [TICKER, 5, "nonsense"]})
    assert (answer["success"], answer["args"]) == (True, [])
    return outcome(answer)


async def a_flood(scene: Scene) -> str:
    async with raw_socket(scene.gateway.port) as sock:
        loop = asyncio.get_running_loop()
        began = loop.time()
        sock.send(frame(TEXT, ASK_PING) * 300)
        seen = [outcome(await sock.message()) for _ in range(300)]
        assert loop.time() - began >= 0.9, "the socket was left unread"
    assert seen[:200] == ["pong"] * 100 + ["RATE_LIMIT_EXCEEDED"] * 100
    assert seen[-1] == "pong", "what was left unread is answered in the next second"
    return seen[199]


async def a_queue(scene: Scene) -> str:
    venue = await scene.stage.venue("--ack-first", "--ack-delay", "60")
    gateway = await scene.stage.gateway(venue.url, SUBSCRIBE_TIMEOUT=60)
    async with raw_socket(gateway.port) as sock:
        for _ in range(17):
            sock.send(frame(TEXT, json.dumps({"op": "subscribe", "args": [TICKER]}).encode()))
        return outcome(await sock.message())


async def no_pongs(scene: Scene) -> str:
    gateway = await scene.stage.gateway(NOWHERE, CLIENT_PING_INTERVAL=0.2, CLIENT_PING_TIMEOUT=0.2)
    async with raw_socket(gateway.port) as sock:
        return await sock.closed()


async def nothing_at_all(scene: Scene) -> str:
    gateway = await scene.stage.gateway(NOWHERE, CLIENT_IDLE_TIMEOUT=1)
    async with raw_socket(gateway.port) as sock:
        return await sock.closed()


async def nothing_read(scene: Scene) -> str:
    venue = await scene.stage.venue("--rate", "400")
    gateway = await scene.stage.gateway(venue.url, FANOUT_CALLBACK_TIMEOUT=0.3)
    args = [f"ticker:{name}USDT" for name in ("BTC", "ETH", "SOL", "XRP", "DOGE")]
    async with raw_socket(gateway.port, receive_buffer_bytes=4096) as sock:
        sock.send(frame(TEXT, json.dumps({"op": "subscribe", "args": args}).encode()))
        await gateway.shows(lambda stats: "4008" in stats["closed_by_code"], "a slow client is closed")
        return await sock.closed()


async def too_many(scene: Scene) -> str:
    gateway = await scene.stage.gateway(NOWHERE, MAX_CLIENTS_TOTAL=1)
    async with raw_socket(gateway.port), raw_socket(gateway.port) as second:
        return await second.closed()


def asking(*variants: bytes) -> Trial:
    """HTTP requests as they are."""

    async def trial(scene: Scene) -> str:
        statuses = {await http_status(scene.gateway.port, variant) for variant in variants}
        assert len(statuses) == 1, statuses
        return statuses.pop()

    return trial


async def an_endless_head(scene: Scene) -> str:
    gateway = await scene.stage.gateway(NOWHERE, HANDSHAKE_TIMEOUT=0.2)
    return await http_status(gateway.port, b"GET /ready HTTP/1.1\r\nHost")


async def while_ending(scene: Scene) -> str:
    gateway = await scene.stage.gateway(NOWHERE, DRAIN_GRACE=3600)
    gateway.running.signal(15)
    await eventually(partial(gateway.get, "/ready"), lambda answer: answer.status == 503, "it is ending")
    return await http_status(gateway.port, UPGRADE)


MIB = 1024 * 1024
CLIENT_TRIALS: dict[str, Trial] = {
    "a binary message": sending(frame(BINARY, ASK_PING)),
    "a message in fragments, control frames between them": sending(
        frame(TEXT, ASK_PING[:5], last=False) + frame(PING, b"x") + frame(CONTINUATION, ASK_PING[5:])
    ),
    "keys that nobody asked for": saying({"op": "ping", "args": [1], "id": 7}),
    "a text message that is not UTF-8": saying(b"\xff\xfe", b'{"op":"\xc3"}'),
    "a binary message that is not UTF-8": sending(frame(BINARY, b"\xff\xfe")),
    "an empty message, or no JSON": saying(b"", b"hello", b'{"op":', b'{"op":NaN}', b'{"op":"\\ud800"}'),
    "JSON that is no object": saying([1], "ping", 5, None),
    "JSON nested a hundred thousand deep": saying(b"[" * 100_000, b'{"op":' * 100_000),
    "an unknown op": saying({"op": "dance"}, {"op": "PING"}),
    "an op of another type, or none": saying({"op": 5}, {"op": ["ping"]}, {"op": None}, {}),
    "args missing, empty or not a list": saying(
        {"op": "subscribe"}, {"op": "subscribe", "args": []}, {"op": "unsubscribe", "args": TICKER}
    ),
    "an arg that is no string": naming(5, None, ["ticker:BTCUSDT"], {"arg": TICKER}),
    "an arg longer than 128 characters": naming("ticker:" + "B" * 122),
    "a wildcard, or an empty symbol": naming("tickers.*", "ticker:*", "ticker: ", "ticker:"),
    "an unknown kind, or too many parts": naming("book:BTCUSDT", "Ticker:BTCUSDT", "ticker:1:2:3", "BTCUSDT"),
    "a candle without an interval, or with an unknown one": an_interval,
    "a market that is not served": a_market,
    "a symbol in lower case or with foreign characters": a_spelling,
    "a symbol that the venue does not have": an_unknown_symbol,
    "the same arg twice": twice,
    "a thousand args": saying({"op": "subscribe", "args": [f"ticker:X{n}USDT" for n in range(1000)]}),
    "options that are no object": wishing(None, [], 4, "max_rate", [{"max_rate": 4}]),
    "an unknown option": wishing({"maxrate": 4}, {"max_rate": 4, "": 1}, {"x" * 100_000: 1}),
    "an option of another type": wishing(
        {"max_rate": "4"}, {"max_rate": True}, {"conflate": 1}, {"snapshot": None}, {"fields": "price"}
    ),
    "a rate below 0.1 or above 1000": wishing(
        {"max_rate": 0}, {"max_rate": -1}, {"max_rate": 0.09}, {"max_rate": 1001}, {"max_rate": 10**40}
    ),
    "a rate that is no number of JSON": saying(
        *(b'{"op":"subscribe","args":["x"],"options":{"max_rate":%b}}' % n for n in (b"NaN", b"1e999"))
    ),
    "no fields, more than 64, one twice, or a name longer than 64 characters": wishing(
        {"fields": []},
        {"fields": [f"f{n}" for n in range(65)]},
        {"fields": ["f"] * 100_000},
        {"fields": ["price", "bid", "price"]},
        {"fields": ["p" * 65]},
        {"fields": [""]},
        {"fields": ["price", 5]},
        {"fields": [["price"]]},
    ),
    'a rate for trades without `"conflate": true`': a_rate_for_trades,
    "a 17th set of fields of one stream": a_seventeenth_set,
    "options of an unsubscribe": saying({"op": "unsubscribe", "args": [TICKER], "options": {"max_rate": -1}}),
    "an `auth` with anything but one string": no_token,
    "an `auth` with a token that does not hold": a_bad_token,
    "an `auth` where there is no key": saying({"op": "auth", "args": ["x.y.z"]}, {"op": "auth"}),
    "a stream of RabbitMQ where there is none": naming("stream:eurusd.trades", "stream:order@rabbitmq"),
    "a private stream, or a prefix, without a token that opens it": naming_streams(
        "stream:order", "stream:admin.eurusd.sys"
    ),
    "a stream with a wildcard, no name or one above 256 characters, or `@` another place": naming_streams(
        "stream:eurusd.*",
        "stream:",
        "stream:@rabbitmq",
        "stream:" + "x" * 257,
        "stream:eurusd.trades@bybit.linear",
    ),
    "a rate for an object": naming_streams("stream:eurusd.ob-inc", max_rate=1, conflate=True),
    "an unsubscribe of what is not held": not_held,
    "more than 100 messages in a second": a_flood,
    "a 17th request while 16 wait for the venue": a_queue,
    "a message above 1 MiB, whole or in fragments": sending(
        frame(TEXT, b"x" * (MIB + 1)),
        frame(TEXT, b"x" * MIB, last=False) + frame(CONTINUATION, b"x"),
    ),
    "a reserved bit (a compressed frame, say)": sending(
        *(frame(TEXT, ASK_PING, reserved=bit) for bit in (0x40, 0x20, 0x10))
    ),
    "an unknown opcode": sending(frame(0x3, b""), frame(0xB, b"")),
    "a frame without a mask": sending(frame(TEXT, ASK_PING, masked=False)),
    "a ping of more than 125 bytes, or in fragments": sending(
        frame(PING, b"x" * 126), frame(PING, b"", last=False)
    ),
    "a continuation of nothing": sending(frame(CONTINUATION, ASK_PING)),
    "a new message before the last one ended": sending(
        frame(TEXT, ASK_PING, last=False) + frame(TEXT, ASK_PING)
    ),
    "a close frame with an illegal code, or half of one": sending(
        frame(CLOSE, struct.pack("!H", 1005)), frame(CLOSE, struct.pack("!H", 999)), frame(CLOSE, b"\x03")
    ),
    "no pongs": no_pongs,
    "nothing at all, and no streams": nothing_at_all,
    "streams wanted, and nothing read": nothing_read,
    "one client too many": too_many,
    "no HTTP at all": asking(b"\x16\x03\x01\x00\xa5\x01\r\n\r\n", b"GET / HTTP/1.1\r\nno header\r\n\r\n"),
    "an HTTP method other than GET and HEAD": asking(
        b"POST / HTTP/1.1\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    ),
    "an HTTP GET with a body": asking(b"GET /ready HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello"),
    "a request head above 16 KiB": asking(b"GET / HTTP/1.1\r\nX: " + b"a" * 20_000),
    "a request head that does not end": an_endless_head,
    "another path": asking(b"GET /wss HTTP/1.1\r\nHost: g\r\n\r\n", UPGRADE.replace(b"/ws", b"/ws/")),
    "`/ws` without an upgrade": asking(b"GET /ws HTTP/1.1\r\nHost: g\r\n\r\n"),
    "`/ws` with another WebSocket version, or no key": asking(
        UPGRADE.replace(b"Version: 13", b"Version: 12"), UPGRADE.replace(b"Sec-WebSocket-Key", b"X-Key")
    ),
    "`/ws` with a token that does not hold": a_token_too_early,
    "a new WebSocket while the server is ending": while_ending,
}


@pytest.mark.parametrize(("said", "code"), rows("What a client may send wrongly", CLIENT_TRIALS))
async def test_a_client_that_errs_gets_what_the_table_says(said: str, code: str, scene: Scene) -> None:
    assert await CLIENT_TRIALS[said](scene) == code


# What a venue may send

STREAMS = {
    "tickers.BTCUSDT": (TICKER, "mudrex.futures.ticker.BTCUSDT"),
    "publicTrade.BTCUSDT": ("trade:BTCUSDT", "mudrex.futures.trade.BTCUSDT"),
    "kline.60.BTCUSDT": ("kline:1h:BTCUSDT", "mudrex.futures.kline.60.BTCUSDT"),
}


def spoiling(
    kind: str, topic: str = "tickers.BTCUSDT", proof: Callable[[list[Message]], bool] = bool
) -> Trial:
    """One bad frame of a topic; ``proof`` looks at all values."""

    async def trial(scene: Scene) -> str:
        arg, stream = STREAMS[topic]
        client = await scene.stage.client(scene.gateway)
        await client.subscribe(arg)
        await client.wait(lambda m: values_of(client, stream, 0)[3:] != [])
        repeated, seen = await repeats(scene), len(client.messages)
        await scene.venue.do("garbage", kind=kind, topic=topic)
        await client.wait(lambda m: news(client, stream, seen) or values_of(client, stream, seen)[10:] != [])
        if found := news(client, stream, seen):
            first = found[0]
            await client.close()
            return str(first["data"]["state"] if first["type"] == "status" else first["type"])
        values = values_of(client, stream, seen)
        assert [m["seq"] for m in values] == list(range(values[0]["seq"], values[0]["seq"] + len(values)))
        dropped = await repeats(scene) > repeated
        assert dropped or proof(values_of(client, stream, 0))
        await client.close()
        return "nothing" if dropped else "update"

    return trial


def values_of(client: Client, stream: str, seen: int) -> list[Message]:
    """The values of a stream from message number ``seen`` on."""
    return [
        m for m in client.messages[seen:] if m.get("stream") == stream and m["type"] in ("snapshot", "update")
    ]


def news(client: Client, stream: str, seen: int) -> list[Message]:
    """The gaps and statuses of a stream from message number ``seen`` on."""
    return [m for m in client.messages[seen:] if m.get("stream") == stream and m["type"] in ("gap", "status")]


async def repeats(scene: Scene) -> int:
    """How many values the feed has dropped."""
    return int((await scene.gateway.stats())["feeds"][0]["repeated"])


def comes_twice(values: list[Message]) -> bool:
    return any(a["data"] == b["data"] and a["timestamp"] == b["timestamp"] for a, b in pairwise(values))


def goes_back(values: list[Message]) -> bool:
    return any(b["timestamp"] < a["timestamp"] for a, b in pairwise(values))


async def followed(
    scene: Scene, *options: str, args: Iterable[str] = (TICKER,), **settings: object
) -> tuple[Venue, Client]:
    """A venue and a gateway of their own, and a client that has a value of each stream."""
    venue = await scene.stage.venue(*options)
    gateway = await scene.stage.gateway(venue.url, **settings)
    client = await scene.stage.client(gateway)
    answer = await client.subscribe(*args)
    assert answer["args"] == list(args)
    await client.wait(lambda m: m.get("type") == "update")
    return venue, client


async def first_status(client: Client, *then: str) -> str:
    """The first status that comes; ``then`` must follow."""
    first = await client.wait(lambda m: m.get("type") == "status")
    for state in then:
        await client.status(state)
    return str(first["data"]["state"])


async def an_end(scene: Scene) -> str:
    venue, client = await followed(scene)
    await venue.do("cut")
    return await first_status(client, "live")


async def silence_of_all(scene: Scene) -> str:
    venue, client = await followed(scene, TICKER_SILENCE=1)
    await venue.do("mute")
    return await first_status(client, "reconnecting")


async def silence_of_one(scene: Scene) -> str:
    venue, client = await followed(scene, args=(TICKER, "ticker:ETHUSDT"), TICKER_SILENCE=1)
    await venue.do("mute", topics=["tickers.BTCUSDT"])
    state = await first_status(client)
    await venue.do("unmute")
    await client.status("live")
    return state


async def no_pongs_upstream(scene: Scene) -> str:
    _, client = await followed(scene, "--no-pong", BYBIT_PING_INTERVAL=0.3, BYBIT_PING_TIMEOUT=0.3)
    return await first_status(client, "live")


async def a_refused_batch(scene: Scene) -> str:
    venue = await scene.stage.venue()
    client = await scene.stage.client(await scene.stage.gateway(venue.url))
    good = ["ticker:ETHUSDT", "trade:SOLUSDT"]
    answer = await client.subscribe(good[0], "ticker:NOPEUSDT", good[1])
    assert answer["args"] == good
    return outcome(answer)


async def a_vanished_topic(scene: Scene) -> str:
    venue, client = await followed(scene, args=(TICKER, "ticker:ETHUSDT"))
    await venue.do("delist", topic="tickers.BTCUSDT")
    await venue.do("cut")
    state = await first_status(client, "refused", "live")
    again = await client.ask({"op": "unsubscribe", "args": [TICKER, "ticker:ETHUSDT"]})
    assert again["args"] == ["ticker:ETHUSDT"], "the other subscription has ended"
    return state


VENUE_TRIALS: dict[str, Trial] = {
    "no JSON": spoiling("non-json"),
    "half a ticker message": spoiling("truncated"),
    "a ticker with wrong types": spoiling("wrong-typed"),
    "ticker messages out of order": spoiling("reordered"),
    "a ticker message twice": spoiling("duplicated", proof=comes_twice),
    "half a trade message": spoiling("truncated", "publicTrade.BTCUSDT"),
    "trades with wrong types": spoiling("wrong-typed", "publicTrade.BTCUSDT"),
    "a trade message twice in a row": spoiling("duplicated", "publicTrade.BTCUSDT"),
    "trade messages out of order": spoiling("reordered", "publicTrade.BTCUSDT", goes_back),
    "half a candle": spoiling("truncated", "kline.60.BTCUSDT"),
    "a candle with wrong types": spoiling("wrong-typed", "kline.60.BTCUSDT"),
    "a candle twice": spoiling("duplicated", "kline.60.BTCUSDT", comes_twice),
    "candles out of order": spoiling("reordered", "kline.60.BTCUSDT"),
    "the end of the connection": an_end,
    "silence of everything": silence_of_all,
    "silence of one stream": silence_of_one,
    "no pongs": no_pongs_upstream,
    "a refusal of a whole batch for one bad topic": a_refused_batch,
    "a topic that vanished while the connection was away": a_vanished_topic,
}


@pytest.mark.parametrize(("said", "code"), rows("What a venue may send wrongly", VENUE_TRIALS))
async def test_a_venue_that_errs_is_told_as_the_table_says(said: str, code: str, scene: Scene) -> None:
    assert await VENUE_TRIALS[said](scene) == code


# What settings may say


class Desk(NamedTuple):
    """Where settings are written: an empty working directory and a clean environment."""

    folder: Path
    setenv: Callable[[str, str], None]


def judged(desk: Desk, words: Iterable[str], *flags: str, config: str | None = None) -> str:
    """Load; ``words`` must stand in the refusal."""
    try:
        settings = load(pairs=parse_pairs(flags), config=desk.folder / config if config else None)
    except InvalidConfiguration as refusal:
        assert all(word in str(refusal) for word in words), refusal
        return "refused"
    if notices(settings):
        assert all(word in notices(settings)[0] for word in words)
        return "noted"
    assert settings == Settings()
    return "ignored"


def in_file(desk: Desk, name: str, text: str) -> None:
    (desk.folder / name).write_text(text)


def in_the_environment(text: str) -> Callable[[Desk], str]:
    """NAME=VALUE in the environment and in ``.env``."""

    def trial(desk: Desk) -> str:
        in_file(desk, ".env", text + "\n")
        desk.setenv(*text.split("=", 1))
        return judged(desk, [])

    return trial


def on_the_command_line(*flags: str, words: Iterable[str] = ()) -> Callable[[Desk], str]:
    return lambda desk: judged(desk, words, *flags)


def unknown_in_toml(desk: Desk) -> str:
    in_file(desk, "feedmux.toml", "prot = 1\n")
    return judged(desk, ["feedmux.toml", "did you mean port"])


def bad_files(desk: Desk) -> str:
    in_file(desk, "bad.toml", "port = = 1\n")
    outcomes = {judged(desk, [name], config=name) for name in ("bad.toml", "missing.toml")}
    return outcomes.pop() if len(outcomes) == 1 else str(outcomes)


SETTINGS_TRIALS: dict[str, Callable[[Desk], str]] = {
    "a value of another type": on_the_command_line("port=x", "debug=perhaps", words=["port", "debug"]),
    "a number out of its range": on_the_command_line("port=70000", words=["0 to 65535"]),
    "an unknown name on the command line": on_the_command_line(
        "prot=1", words=["--set prot", "did you mean port"]
    ),
    "an unknown name in the TOML file": unknown_in_toml,
    "an unknown name in the environment or in `.env`": in_the_environment("PROT=1"),
    "an empty value in the environment or in `.env`": in_the_environment("PORT="),
    "a TOML file that is none, or that `--config` names in vain": bad_files,
    "a market that does not exist": on_the_command_line("venues=kraken", words=["bybit.spot"]),
    "a longest reconnect delay below the first": on_the_command_line(
        "bybit_reconnect_delay_max=0.5", words=["BYBIT_RECONNECT_DELAY_INITIAL"]
    ),
    "a URL with another scheme": on_the_command_line("bybit_ws_url=http://h/x", words=["wss://"]),
    "a setting that does nothing": on_the_command_line("log_format=plain", words=["LOG_FORMAT"]),
}


@pytest.mark.parametrize(("said", "code"), rows("What settings may say wrongly", SETTINGS_TRIALS))
async def test_settings_that_err_do_what_the_table_says(
    said: str, code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in fields():
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.chdir(tmp_path)
    assert SETTINGS_TRIALS[said](Desk(tmp_path, monkeypatch.setenv)) == code


async def test_a_start_with_wrong_settings_ends_with_2_and_a_line_for_each(scene: Scene) -> None:
    running = await scene.stage.run("serve", "--set", "port=x", "--set", "debug=perhaps")
    assert await running.end() == 2
    assert len(running.output) == 2, running.text
