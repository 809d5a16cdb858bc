"""A client that was written for the service that this gateway takes the place of, unchanged."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import websockets

from support import truth
from support.processes import Stage

TICKER = "mudrex.futures.ticker.BTCUSDT"
CANDLES = "mudrex.futures.kline.5.BTCUSDT"
TRADES = "mudrex.futures.trade.BTCUSDT"
ENVELOPE = ["stream", "type", "data", "timestamp", "source"]
"""The keys of every message, in their order; what the gateway adds stands behind them."""
CANDLE = [
    "symbol", "interval", "openTime", "closeTime", "open", "high", "low", "close", "volume", "turnover",
    "confirmed",
]  # fmt: skip
TRADE = ["id", "symbol", "price", "quantity", "side", "time", "isBlockTrade"]


async def follow(url: str, count: int) -> list[dict[str, Any]]:
    """All that such a client knows: connect with the library's defaults, ask, read."""
    messages: list[dict[str, Any]] = []
    async with websockets.connect(url) as ws:
        wish = {"op": "subscribe", "args": ["ticker:BTCUSDT", "tickers.ETHUSDT"]}
        await ws.send(json.dumps(wish))
        async for message in ws:
            messages.append(json.loads(message))
            if len(messages) == count:
                break
    return messages


async def test_a_client_that_knows_only_the_readme_is_served(stage: Stage) -> None:
    venue = await stage.venue()
    gateway = await stage.gateway(venue.url)
    async with asyncio.timeout(15):
        answer, *values = await follow(gateway.url, 30)
    assert list(answer) == ["op", "success", "args", "message", "rejected"]
    assert answer == {
        "op": "subscribe",
        "success": True,
        "args": ["ticker:BTCUSDT", "tickers.ETHUSDT"],
        "message": "Subscribed to 2 streams",
        "rejected": None,
    }
    assert {value["stream"] for value in values} == {TICKER, "mudrex.futures.ticker.ETHUSDT"}
    for value in values:
        assert list(value)[: len(ENVELOPE)] == ENVELOPE
        assert value["source"] == "mudrex"
        assert value["type"] in {"snapshot", "update"}
        assert float(value["data"]["price"]) > 0
        assert set(value["data"]["bid"]) == set(value["data"]["ask"]) == {"price", "size"}


async def test_answers_are_written_as_they_always_were(stage: Stage) -> None:
    venue = await stage.venue()
    gateway = await stage.gateway(venue.url)
    async with websockets.connect(gateway.url) as ws:
        await ws.send('{"op": "subscribe", "args": ["ticker:BTCUSDT", "tickers.*"]}')
        assert await ws.recv() == (
            '{"op": "subscribe", "success": true, "args": ["ticker:BTCUSDT"], "message": '
            '"Subscribed to 1 streams. 1 rejected \\u2014 see \'rejected\' for details.", "rejected": '
            '[{"arg": "tickers.*", "reason": "Wildcards (e.g. tickers.*) are not supported. '
            'Use specific symbols like tickers.BTCUSDT or ticker:ETHUSDT."}]}'
        )
        await ws.send(b'{"op": "unsubscribe", "args": ["ticker:BTCUSDT", "trade:BTCUSDT"]}')
        async with asyncio.timeout(15):
            while "unsubscribe" not in (text := str(await ws.recv())):
                assert '"stream"' in text
        assert text == (
            '{"op": "unsubscribe", "success": true, "args": ["ticker:BTCUSDT"], '
            '"message": "Unsubscribed from 1 streams"}'
        )
        await ws.send('{"op": "ping"}')
        pong = json.loads(await ws.recv())
        assert list(pong) == ["op", "timestamp"]
        assert isinstance(pong["timestamp"], int)


async def test_data_have_the_shapes_that_they_always_had(stage: Stage) -> None:
    venue = await stage.venue("--kline-rate", "10")
    tap = await stage.tap(venue)
    gateway = await stage.gateway(tap.url)
    client = await stage.client(gateway)
    await client.subscribe("ticker:BTCUSDT", "kline:5m:BTCUSDT", "trade:BTCUSDT")
    ticker, candle, trades = [await client.data(stream, count=3) for stream in (TICKER, CANDLES, TRADES)]
    for message in (ticker, candle, trades):
        assert list(message)[: len(ENVELOPE)] == ENVELOPE
        assert isinstance(message["timestamp"], int)
    assert list(ticker["data"]) == ["symbol", *truth.TICKER]
    assert list(ticker["data"]["bid"]) == list(ticker["data"]["ask"]) == ["price", "size"]
    assert list(candle["data"]) == CANDLE
    assert candle["data"]["interval"] == "5m"
    assert candle["data"]["confirmed"] is False
    assert [list(trade) for trade in trades["data"]] == [TRADE] * len(trades["data"])
    assert {trade["side"] for trade in trades["data"]} <= {"buy", "sell"}
    (frames,) = tap.connections()
    stamps = {frame["ts"] for frame in frames if "topic" in frame}
    assert {ticker["timestamp"], candle["timestamp"], trades["timestamp"]} <= stamps
    assert ticker["data"] in truth.shown(frames, "tickers.BTCUSDT")
    assert candle["data"] in truth.shown(frames, "kline.5.BTCUSDT")
    assert trades["data"] in truth.shown(frames, "publicTrade.BTCUSDT")


async def test_a_closed_candle_is_confirmed_once_and_never_taken_back(stage: Stage) -> None:
    venue = await stage.venue("--candle-speed", "120", "--kline-rate", "10")
    gateway = await stage.gateway(venue.url)
    client = await stage.client(gateway)
    await client.subscribe("kline:1m:BTCUSDT")
    closed: list[int] = []
    stream = "mudrex.futures.kline.1.BTCUSDT"

    def closes(message: dict[str, Any]) -> bool:
        if message.get("stream") == stream:
            data = message["data"]
            assert data["openTime"] not in closed, "it was closed"
            if data["confirmed"]:
                closed.append(data["openTime"])
        return len(closed) == 3

    await client.wait(closes)
    assert [later - closed[0] for later in closed] == [0, 60_000, 120_000]


async def test_status_messages_can_be_kept_from_clients_that_do_not_know_them(stage: Stage) -> None:
    venue = await stage.venue()
    gateway = await stage.gateway(venue.url, STATUS_MESSAGES="off")
    client = await stage.client(gateway)
    await client.subscribe("ticker:BTCUSDT")
    first = await client.data(TICKER)
    await venue.do("cut")
    await client.wait(lambda m: m.get("epoch", 0) > first["epoch"])
    await client.data(TICKER, seen=client.seen, count=2)
    assert {message["type"] for message in client.messages[1:]} == {"snapshot", "update"}
