"""What one client may do to the gateway, and what it is told when it does more."""

from __future__ import annotations

from functools import partial

import pytest

from support.processes import Message, Stage
from support.streams import judge, values
from support.waiting import eventually

BTC = "mudrex.futures.ticker.BTCUSDT"
ETH = "mudrex.futures.ticker.ETHUSDT"


def error(code: str, message: str) -> Message:
    return {"op": "error", "code": code, "message": message}


NOT_JSON = error("INVALID_JSON", "Invalid JSON message")
NO_ARGS = error("INVALID_ARGS", "No streams specified")


async def test_a_full_house_turns_the_next_client_away_until_one_leaves(stage: Stage) -> None:
    venue = await stage.venue()
    gateway = await stage.gateway(venue.url, MAX_CLIENTS_TOTAL=2)
    first, second = await stage.client(gateway), await stage.client(gateway)
    await first.subscribe("ticker:BTCUSDT")
    third = await stage.client(gateway)
    assert await third.end() == (4003, "Connection limit reached")
    stats = await gateway.stats()
    assert stats["connections"]["active_connections"] == 2
    assert stats["connections"]["max_limit"] == 2
    assert stats["closed_by_code"] == {"4003": 1}
    await second.close()
    await gateway.shows(lambda body: body["connections"]["active_connections"] == 1, "one has left")
    fourth = await stage.client(gateway)
    assert (await fourth.subscribe("ticker:BTCUSDT"))["success"]
    await first.data(BTC, seen=first.seen)
    judge(first.messages, BTC)


async def test_a_request_over_the_subscription_limit_is_refused_as_a_whole(stage: Stage) -> None:
    venue = await stage.venue()
    gateway = await stage.gateway(venue.url, MAX_SUBSCRIPTIONS_PER_CLIENT=3)
    client = await stage.client(gateway)
    assert (await client.subscribe("ticker:BTCUSDT", "ticker:ETHUSDT"))["success"]
    over = error("LIMIT_EXCEEDED", "Max 3 subscriptions allowed")
    assert await client.subscribe("ticker:SOLUSDT", "ticker:XRPUSDT") == over
    assert await venue.topics() == ["tickers.BTCUSDT", "tickers.ETHUSDT"]
    assert (await client.subscribe("ticker:SOLUSDT"))["success"]
    assert await client.subscribe("ticker:XRPUSDT") == over
    await client.unsubscribe("ticker:ETHUSDT")
    assert (await client.subscribe("ticker:XRPUSDT"))["success"]
    other = await stage.client(gateway)
    assert (await other.subscribe("ticker:DOGEUSDT", "ticker:BTCUSDT", "ticker:ETHUSDT"))["success"]


async def test_too_many_messages_are_dropped_with_an_error_and_the_socket_stays(stage: Stage) -> None:
    venue = await stage.venue()
    gateway = await stage.gateway(venue.url, MAX_MESSAGE_RATE_PER_CLIENT=5)
    client = await stage.client(gateway)
    await client.subscribe("ticker:BTCUSDT")
    for _ in range(30):
        await client.send({"op": "ping"})
    await client.wait(lambda m: m.get("op") == "error")
    await client.data(BTC, seen=client.seen, count=12)
    answers = [message for message in client.messages if message.get("op") in {"pong", "error"}]
    assert len(answers) == 30
    over = [message for message in answers if message["op"] == "error"]
    assert over[0] == error("RATE_LIMIT_EXCEEDED", "Max 5 messages per second")
    assert len(over) >= 10
    ping = partial(client.ask, {"op": "ping"})
    await eventually(ping, lambda answer: answer["op"] == "pong", "the next second has room again")
    assert client.closed is None
    judge(client.messages, BTC)


async def test_only_a_client_without_streams_is_idle(stage: Stage) -> None:
    venue = await stage.venue()
    gateway = await stage.gateway(
        venue.url, CLIENT_IDLE_TIMEOUT=1, CLIENT_PING_INTERVAL=0.5, CLIENT_PING_TIMEOUT=1
    )
    listener, idle, leaver = [await stage.client(gateway) for _ in range(3)]
    await listener.subscribe("ticker:BTCUSDT")
    await leaver.subscribe("ticker:ETHUSDT")
    start = await listener.data(BTC)
    assert await idle.end() == (4000, "Idle timeout")
    assert idle.messages == []
    await leaver.data(ETH, count=15)
    assert leaver.closed is None
    await leaver.unsubscribe("ticker:ETHUSDT")
    assert await leaver.end() == (4000, "Idle timeout")
    await listener.wait(lambda m: m.get("timestamp", 0) > start["timestamp"] + 3000)
    assert listener.closed is None
    assert (await gateway.stats())["closed_by_code"] == {"4000": 2}
    judge(listener.messages, BTC)


@pytest.mark.parametrize("binary", [False, True])
async def test_what_is_no_request_is_answered_with_a_code_and_a_sentence(stage: Stage, binary: bool) -> None:
    venue = await stage.venue()
    gateway = await stage.gateway(venue.url)
    client = await stage.client(gateway)
    expected: dict[str, Message] = {
        "hello": NOT_JSON,
        "": NOT_JSON,
        '{"op":"ping"': NOT_JSON,
        "[1]": NOT_JSON,
        "null": NOT_JSON,
        "[" * 5000: NOT_JSON,
        '{"op":"subscribe"}': NO_ARGS,
        '{"op":"subscribe","args":[]}': NO_ARGS,
        '{"op":"subscribe","args":"ticker:BTCUSDT"}': NO_ARGS,
        '{"op":"unsubscribe","args":{}}': NO_ARGS,
        '{"op":"order"}': error("UNKNOWN_OP", "Unknown operation: order"),
        "{}": error("UNKNOWN_OP", "Unknown operation: None"),
    }
    for text, wanted in expected.items():
        seen = client.seen
        await client.send(text.encode() if binary else text)
        assert await client.wait(lambda m: m.get("op") == "error", seen=seen) == wanted
    request = '{"op":"subscribe","args":["ticker:BTCUSDT"]}'
    await client.send(request.encode() if binary else request)
    await client.data(BTC)
    assert len(values(client.messages, BTC)) >= 1


async def test_a_message_that_is_too_long_ends_its_connection_and_no_other(stage: Stage) -> None:
    venue = await stage.venue()
    gateway = await stage.gateway(venue.url, CLIENT_MAX_MESSAGE_BYTES=1024)
    client, other = await stage.client(gateway), await stage.client(gateway)
    await other.subscribe("ticker:BTCUSDT")
    await client.send("x" * 1025)
    code, _ = await client.end()
    assert code == 1009
    await other.data(BTC, seen=other.seen)


async def test_a_client_that_answers_no_ping_is_closed(stage: Stage) -> None:
    venue = await stage.venue()
    gateway = await stage.gateway(
        venue.url, CLIENT_PING_INTERVAL=0.3, CLIENT_PING_TIMEOUT=0.5, CLOSE_TIMEOUT=0.3
    )
    alive = await stage.client(gateway)
    await alive.subscribe("ticker:BTCUSDT")
    dead = await stage.deaf(gateway, "ticker:BTCUSDT")
    await dead.read_until_end()
    assert dead.closed == (1011, "keepalive ping timeout")
    assert len(values(dead.messages, BTC)) >= 2
    await alive.data(BTC, seen=alive.seen, count=10)
    assert alive.closed is None
