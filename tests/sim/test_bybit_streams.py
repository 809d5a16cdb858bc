"""What a simulated Bybit sends, seen by an independent WebSocket client and beside real frames."""

from __future__ import annotations

import json
import os
from decimal import ROUND_DOWN, Decimal
from pathlib import Path

import pytest

from feedmux.sim.candle import INTERVALS
from feedmux.sim.options import SimOptions
from support.bybit_client import Message, client, running


@pytest.mark.parametrize(("market", "symbol"), [("linear", "BTCUSDT"), ("inverse", "ETHUSD")])
async def test_a_merged_ticker_keeps_the_laws_of_real_ones(market: str, symbol: str) -> None:
    topic, state, cross = f"tickers.{symbol}", dict[str, str](), 0
    async with running(SimOptions(rate=2000)) as sim, client(sim, market) as peer:
        await peer.send("subscribe", topic)
        for message in await peer.data(topic, 300):
            data = message["data"]
            assert list(message) == ["topic", "type", "data", "cs", "ts"]
            assert cross == 0 or 1000 <= message["cs"] - cross < 10_000
            cross = message["cs"]
            for side in ("bid1", "ask1"):
                assert (f"{side}Price" in data) == (f"{side}Size" in data)
            state |= data
            assert all(isinstance(value, str) for value in state.values())
            interest, mark = Decimal(state["openInterest"]), Decimal(state["markPrice"])
            worth = interest * mark if market == "linear" else interest / mark
            assert state["openInterestValue"] == str(worth.quantize(Decimal("0.01")))
            last, previous = Decimal(state["lastPrice"]), Decimal(state["prevPrice24h"])
            change = ((last - previous) / previous).quantize(Decimal("0.000001"), ROUND_DOWN)
            assert Decimal(state["price24hPcnt"]) == change


async def test_spot_tickers_are_whole_and_have_no_bid_or_ask() -> None:
    async with running() as sim, client(sim, "spot") as peer:
        await peer.send("subscribe", "tickers.BTCUSDT")
        for message in await peer.data("tickers.BTCUSDT", 5):
            assert list(message) == ["topic", "ts", "type", "cs", "data"]
            assert message["type"] == "snapshot"
            assert list(message["data"]) == [
                "symbol", "lastPrice", "highPrice24h", "lowPrice24h", "prevPrice24h",
                "volume24h", "turnover24h", "price24hPcnt", "usdIndexPrice",
            ]  # fmt: skip


@pytest.mark.parametrize("market", ["linear", "spot"])
async def test_candles_of_every_interval_are_pushed(market: str) -> None:
    topics = [f"kline.{interval}.BTCUSDT" for interval in INTERVALS]
    async with running() as sim, client(sim, market) as peer:
        for topic in topics:
            await peer.send("subscribe", topic)
            message = await peer.until(lambda m, topic=topic: m.get("topic") == topic)  # type: ignore[misc]
            assert list(message) == ["topic", "data", "ts", "type"]
            (candle,) = message["data"]
            assert candle["interval"] == topic.split(".")[1]
            assert candle["start"] <= candle["timestamp"] <= candle["end"]
            assert [type(candle[key]) for key in ("start", "end", "timestamp")] == [int, int, int]
            assert [type(candle[key]) for key in ("open", "close", "volume", "turnover")] == [str] * 4
            assert candle["confirm"] is False


async def test_a_candle_is_confirmed_once_at_its_end_and_the_next_one_follows_without_a_hole() -> None:
    options = SimOptions(rate=100, kline_rate=100, candle_speed=600)
    async with running(options) as sim, client(sim) as peer:
        await peer.send("subscribe", "kline.1.BTCUSDT")
        pushes = [m["data"][0] for m in await peer.data("kline.1.BTCUSDT", 40)]
    starts = sorted({candle["start"] for candle in pushes})
    assert len(starts) >= 3
    assert starts == list(range(starts[0], starts[-1] + 1, 60_000))
    for start in starts[:-1]:
        life = [candle for candle in pushes if candle["start"] == start]
        assert [candle["confirm"] for candle in life] == [False] * (len(life) - 1) + [True]
        assert life[-1]["timestamp"] == life[-1]["end"] == start + 59_999
        assert Decimal(life[-1]["low"]) <= Decimal(life[-1]["close"]) <= Decimal(life[-1]["high"])


async def test_linear_trades_have_a_tick_direction_and_a_uuid() -> None:
    async with running() as sim, client(sim) as peer:
        await peer.send("subscribe", "publicTrade.BTCUSDT")
        messages = await peer.data("publicTrade.BTCUSDT", 20)
    trades = [trade for message in messages for trade in message["data"]]
    assert list(messages[0]) == ["topic", "type", "ts", "data"]
    for trade in trades:
        assert list(trade) == ["T", "s", "S", "v", "p", "L", "i", "BT", "RPI", "seq"]
        assert trade["S"] in {"Buy", "Sell"}
        assert trade["L"] in {"PlusTick", "ZeroPlusTick", "MinusTick", "ZeroMinusTick"}
        assert len(trade["i"]) == 36
    assert len({trade["i"] for trade in trades}) == len(trades)
    assert [t["T"] for t in trades] == sorted(t["T"] for t in trades)


async def test_spot_trades_are_numbered_and_have_no_tick_direction() -> None:
    async with running() as sim, client(sim, "spot") as peer:
        await peer.send("subscribe", "publicTrade.BTCUSDT")
        messages = await peer.data("publicTrade.BTCUSDT", 20)
    trades = [trade for message in messages for trade in message["data"]]
    assert list(messages[0]) == ["topic", "ts", "type", "data"]
    assert list(trades[0]) == ["i", "T", "p", "v", "S", "seq", "s", "BT", "RPI"]
    numbers = [int(trade["i"]) for trade in trades]
    assert numbers == sorted(set(numbers))


async def test_one_message_of_a_busy_tape_holds_at_most_1024_trades() -> None:
    async with running(SimOptions(trade_rate=300_000)) as sim, client(sim) as peer:
        await peer.send("subscribe", "publicTrade.BTCUSDT")
        sizes = [len(m["data"]) for m in await peer.data("publicTrade.BTCUSDT", 4)]
    assert max(sizes) == 1024


async def test_hundreds_of_topics_on_one_connection_all_get_their_data() -> None:
    topics = [f"tickers.COIN{n}USDT" for n in range(400)]
    async with running(SimOptions(any_symbol=True, symbols=())) as sim, client(sim) as peer:
        await peer.send("subscribe", *topics)
        seen = [m["topic"] for m in await peer.before_answer()]
        assert seen[:400] == topics
        assert set(seen[400:]) == set(topics)
        await peer.ask("subscribe", "publicTrade.COIN1USDT")
        assert sim.statistics()["connections"] == 1


def captured(name: str) -> list[Message]:
    folder = os.environ.get("FEEDMUX_CAPTURES")
    if not folder:
        pytest.skip("FEEDMUX_CAPTURES is not set: no real frames to compare with")
    lines = (Path(folder) / "bybit" / name).read_text().splitlines()
    return [json.loads(line) for line in lines if line]


async def test_linear_tickers_look_like_captured_ones() -> None:
    real = captured("fastmm_linear_tickers_btc_eth_20260930_excerpt.jsonl")
    snapshot = next(m for m in real if m.get("type") == "snapshot")
    deltas = [m for m in real if m.get("type") == "delta"]
    async with running(SimOptions(rate=2000)) as sim, client(sim) as peer:
        await peer.send("subscribe", "tickers.BTCUSDT", req_id="md0")
        first, *others = await peer.data("tickers.BTCUSDT", 400)
        ack = await peer.ask("unsubscribe", "tickers.BTCUSDT", req_id="md0")
    assert list(first) == list(snapshot) == list(others[0]) == list(deltas[0])
    assert list(first["data"]) == list(snapshot["data"])
    assert list(ack) == list(next(m for m in real if "success" in m))
    changing = {key for m in deltas for key in m["data"]}
    assert changing <= {key for m in others for key in m["data"]}
    for key, value in snapshot["data"].items():
        assert (first["data"][key] == "") == (value == "")


async def test_spot_trades_and_answers_look_like_captured_ones() -> None:
    real = captured("fastmm_testnet_spot_ob50_ob1_trades_20260913.jsonl")
    trades = next(m for m in real if str(m.get("topic")).startswith("publicTrade"))
    ack, pong, refusal = (m for m in real if "success" in m)
    async with running() as sim, client(sim, "spot") as peer:
        assert list(await peer.ask("subscribe", "publicTrade.BTCUSDT", req_id="sub1")) == list(ack)
        (own,) = await peer.data("publicTrade.BTCUSDT", 1)
        own_pong = await peer.ask("ping", req_id="p1")
        own_refusal = await peer.ask("subscribe", "orderbook.50.NOSUCHSYM")
    assert list(own) == list(trades)
    assert list(own["data"][0]) == list(trades["data"][0])
    assert {k: type(v) for k, v in own["data"][0].items()} == {
        k: type(v) for k, v in trades["data"][0].items()
    }
    assert own_pong | {"conn_id": ""} == pong | {"conn_id": ""}
    assert list((own_refusal | {"conn_id": ""}).items()) == list((refusal | {"conn_id": ""}).items())
