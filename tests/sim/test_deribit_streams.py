"""What the channels of a simulated Deribit say, seen by an independent WebSocket client."""

from __future__ import annotations

import json
import os
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest
from websockets.asyncio.client import connect

from feedmux.sim.deribit import DeribitSim
from feedmux.sim.deribit_options import DEMO, INSTRUMENTS, DeribitOptions
from support.deribit_client import EVERYTHING, LIVELY, PERPETUAL, STILL, Client, Message, client, running

OPTION = "BTC-28DEC29-80000-C"
WHOLE = msgspec.structs.replace(LIVELY, instruments=INSTRUMENTS)


def captured(name: str) -> Any:
    """The data of a real notification; the test is skipped where there are none."""
    folder = os.environ.get("FEEDMUX_CAPTURES")
    if not folder:
        pytest.skip("FEEDMUX_CAPTURES is not set: no real frames to compare with")
    text = (Path(folder) / "deribit" / name).read_text()
    return json.loads(text.splitlines()[0] if name.endswith("l") else text)["params"]["data"]


def kinds(data: Message) -> dict[str, type]:
    return {key: type(value) for key, value in data.items()}


def book_of(sim: DeribitSim, instrument: str = PERPETUAL) -> dict[str, dict[float, float]]:
    book = sim.floor.exchange.markets[instrument].book
    return {side: {float(p): float(a) for p, a in book.depth(side)} for side in ("bids", "asks")}


def apply(book: dict[str, dict[float, float]], data: Message) -> None:
    for side in ("bids", "asks"):
        for action, price, amount in data[side]:
            if action == "delete":
                del book[side][price]
            else:
                book[side][price] = amount


async def quiet(sim: DeribitSim, peer: Client, name: str) -> None:
    """Let everything that happened be sent."""
    sim.floor.publish()
    stream = sim.floor.streams["", name]
    sim.floor._send(stream, stream.flush(sim.floor.moment()))
    sim.floor._flush()
    await peer.result("public/test")


# -- books -------------------------------------------------------------------------------------


@pytest.mark.parametrize("interval", ["raw", "100ms", "agg2"])
async def test_a_book_is_a_snapshot_and_a_chain_of_changes(interval: str) -> None:
    name = f"book.{PERPETUAL}.{interval}"
    async with running(WHOLE) as sim, client(sim, DEMO) as peer:
        await peer.subscribe(name)
        snapshot = await peer.data(name)
        assert list(snapshot) == ["timestamp", "type", "change_id", "instrument_name", "bids", "asks"]
        assert {entry[0] for side in ("bids", "asks") for entry in snapshot[side]} == {"new"}
        changes = await peer.several(name, 6)
        last = snapshot["change_id"]
        for data in changes:
            assert (data["type"], data["prev_change_id"]) == ("change", last)
            assert data["change_id"] > last + 1, "others count too"
            last = data["change_id"]
        deleted = [e for d in changes for side in ("bids", "asks") for e in d[side] if e[0] == "delete"]
        assert deleted and {amount for _, _, amount in deleted} == {0.0}


async def test_who_keeps_a_book_has_the_venues() -> None:
    name = f"book.{PERPETUAL}.100ms"
    async with running() as sim, client(sim) as peer:
        await peer.subscribe(name)
        book: dict[str, dict[float, float]] = {"bids": {}, "asks": {}}
        for price in (83_100, 83_050.5, 82_990, 83_024.5):
            sim.move(PERPETUAL, price)
        await quiet(sim, peer, name)
        for data in peer.kept(name):
            apply(book, data)
        assert book == book_of(sim)


async def test_a_still_book_says_nothing() -> None:
    name = f"book.{PERPETUAL}.100ms"
    async with running() as sim, client(sim) as peer:
        await peer.subscribe(name, "deribit_price_index.btc_usd")
        await peer.several("deribit_price_index.btc_usd", 2)
        assert [data["type"] for data in peer.kept(name)] == ["snapshot"]


async def test_a_change_that_is_left_out_breaks_the_chain() -> None:
    name = f"book.{PERPETUAL}.raw"
    async with running(EVERYTHING) as sim, client(sim, DEMO) as peer:
        await peer.subscribe(name)
        first = (await peer.data(name))["change_id"]
        assert sim.skip("book.ETH-PERPETUAL.raw") == 0
        assert sim.skip(name) == 1
        for price in (83_100, 83_200):
            sim.move(PERPETUAL, price)
        later = await peer.data(name)
        assert later["prev_change_id"] > first


async def test_every_third_change_can_be_left_out() -> None:
    name = f"book.{PERPETUAL}.raw"
    async with running(msgspec.structs.replace(STILL, gap_every=3)) as sim, client(sim, DEMO) as peer:
        await peer.subscribe(name, "quote.BTC-PERPETUAL")
        last = (await peer.data(name))["change_id"]
        breaks = []
        for n in range(8):
            sim.move(PERPETUAL, 83_100 + n * 10)
        for data in await peer.several(name, 6):
            breaks.append(data["prev_change_id"] != last)
            last = data["change_id"]
        assert breaks == [False, False, True, False, True, False]


@pytest.mark.parametrize("depth", [1, 10, 20])
async def test_a_window_is_whole_each_time(depth: int) -> None:
    name = f"book.{PERPETUAL}.none.{depth}.100ms"
    async with running(LIVELY) as sim, client(sim) as peer:
        await peer.subscribe(name)
        for data in await peer.several(name, 3):
            assert list(data) == ["timestamp", "change_id", "instrument_name", "bids", "asks"]
            assert len(data["bids"]) == len(data["asks"]) == depth
            assert data["bids"][0][0] < data["asks"][0][0]
            assert data["bids"] == sorted(data["bids"], reverse=True)


# -- the others --------------------------------------------------------------------------------


@pytest.mark.parametrize("interval", ["raw", "100ms", "agg2"])
async def test_a_ticker_is_whole_each_time(interval: str) -> None:
    async with running(LIVELY) as sim, client(sim, DEMO) as peer:
        name = f"ticker.{PERPETUAL}.{interval}"
        await peer.subscribe(name)
        tickers = await peer.several(name, 4)
    assert len({tuple(data) for data in tickers}) == 1
    for data in tickers:
        assert data["best_bid_price"] < data["best_ask_price"]
        assert data["stats"]["low"] <= data["last_price"] <= data["stats"]["high"]
        assert data["min_price"] < data["mark_price"] < data["max_price"]


async def test_an_options_ticker_has_greeks() -> None:
    async with running(WHOLE) as sim, client(sim) as peer:
        await peer.subscribe(f"ticker.{OPTION}.100ms")
        data = await peer.data(f"ticker.{OPTION}.100ms")
    assert set(data["greeks"]) == {"delta", "gamma", "rho", "theta", "vega"}
    assert data["bid_iv"] < data["mark_iv"] < data["ask_iv"]
    assert "current_funding" not in data


async def test_an_incremental_ticker_adds_up_to_the_ticker() -> None:
    name = f"incremental_ticker.{PERPETUAL}"
    async with running() as sim, client(sim) as peer:
        await peer.subscribe(name)
        first = await peer.data(name)
        state = dict(first)
        assert state.pop("type") == "snapshot"
        for price in (83_100, 83_150):
            sim.move(PERPETUAL, price)
            await quiet(sim, peer, name)
            for data in [await peer.data(name)]:
                assert data.pop("type") == "change"
                assert len(data) < len(state)
                state |= data
        now = await peer.result("public/ticker", instrument_name=PERPETUAL)
        assert state | {"timestamp": 0} == now | {"timestamp": 0}


async def test_a_quote_says_when_the_best_is_another() -> None:
    name = f"quote.{PERPETUAL}"
    async with running(LIVELY) as sim, client(sim) as peer:
        await peer.subscribe(name)
        quotes = await peer.several(name, 20)
    bests = [{key: value for key, value in data.items() if key != "timestamp"} for data in quotes]
    assert all(one != other for one, other in pairwise(bests))


async def test_trades_are_lists_numbered_without_a_hole() -> None:
    name = f"trades.{PERPETUAL}.raw"
    async with running(WHOLE) as sim, client(sim, DEMO) as peer:
        await peer.subscribe(name, "trades.any.any.100ms", "trades.option.BTC.100ms")
        trades = [trade for data in await peer.several(name, 20) for trade in data]
        every = [t for d in await peer.several("trades.any.any.100ms", 3) for t in d]
        options = [t for d in await peer.several("trades.option.BTC.100ms", 2) for t in d]
    seqs = [trade["trade_seq"] for trade in trades]
    assert seqs == list(range(seqs[0], seqs[0] + len(seqs)))
    assert len({trade["trade_id"] for trade in trades}) == len(trades)
    assert len({trade["instrument_name"] for trade in every}) > 1
    assert {trade["instrument_name"].count("-") for trade in options} == {3}
    assert all("iv" in trade for trade in options)


async def test_a_candle_is_final_when_a_later_one_appears() -> None:
    name = f"chart.trades.{PERPETUAL}.1"
    async with running(LIVELY) as sim, client(sim) as peer:
        await peer.subscribe(name)
        candles = await peer.several(name, 12)
    ticks = [data["tick"] for data in candles]
    assert len(set(ticks)) > 1
    assert ticks == sorted(ticks)
    assert {tick % 60_000 for tick in ticks} == {0}
    for data in candles:
        assert list(data) == ["tick", "open", "high", "low", "close", "volume", "cost"]
        assert data["low"] <= min(data["open"], data["close"])
        assert max(data["open"], data["close"]) <= data["high"]
    for tick in set(ticks):
        volumes = [data["volume"] for data in candles if data["tick"] == tick]
        assert volumes == sorted(volumes)


async def test_an_index_a_perpetual_and_the_platform_speak() -> None:
    async with running(LIVELY) as sim, client(sim) as peer:
        names = ["deribit_price_index.btc_usd", f"perpetual.{PERPETUAL}.100ms", "platform_state"]
        await peer.subscribe(*names)
        index, perpetual, state = [await peer.data(name) for name in names]
    assert set(index) == {"timestamp", "price", "index_name"}
    assert set(perpetual) == {"index_price", "interest", "timestamp"}
    assert set(state) == {"locked", "price_index", "reasons"}


async def test_numbers_come_in_both_forms() -> None:
    async with running() as sim, connect(sim.url(), compression=None) as socket:
        await socket.send(
            '{"jsonrpc":"2.0","id":1,"method":"public/get_order_book",'
            '"params":{"instrument_name":"BTC-PERPETUAL","depth":50}}'
        )
        text = str(await socket.recv())
    assert re.search(r"[\[,]\d\.\d+e\d", text)
    assert re.search(r"[\[,]\d+\.\d[,\]]", text)


# -- mute, delist, garbage ---------------------------------------------------------------------


async def test_a_mute_book_is_whole_again_when_it_speaks() -> None:
    name = f"book.{PERPETUAL}.raw"
    async with running() as sim, client(sim, DEMO) as peer:
        await peer.subscribe(name)
        book: dict[str, dict[float, float]] = {"bids": {}, "asks": {}}
        first = await peer.data(name)
        apply(book, first)
        sim.mute([name])
        for price in (83_100, 83_200):
            sim.move(PERPETUAL, price)
        await peer.result("public/test")
        assert peer.kept(name) == []
        sim.unmute()
        later = await peer.data(name)
        assert later["prev_change_id"] == first["change_id"]
        apply(book, later)
        assert book == book_of(sim)


async def test_who_joins_a_mute_channel_gets_the_snapshot_when_it_speaks() -> None:
    name = f"book.{PERPETUAL}.100ms"
    async with running() as sim, client(sim) as peer:
        sim.mute()
        assert await peer.subscribe(name) == [name]
        await peer.result("public/test")
        assert peer.kept(name) == []
        sim.unmute()
        assert (await peer.data(name))["type"] == "snapshot"


async def test_a_delisted_channel_falls_silent_and_is_dropped_until_it_is_listed_again() -> None:
    name = f"quote.{PERPETUAL}"
    async with running() as sim, client(sim) as peer:
        await peer.subscribe(name)
        await peer.data(name)
        sim.delist(name)
        sim.move(PERPETUAL, 83_100)
        assert await peer.subscribe(name) == []
        assert peer.kept(name) == []
        sim.relist(name)
        assert await peer.subscribe(name) == [name]
        assert await peer.data(name)


@pytest.mark.parametrize("kind", ["non-json", "truncated", "wrong-typed", "duplicated", "reordered"])
async def test_one_frame_of_garbage_comes_when_asked_for(kind: str) -> None:
    name = f"book.{PERPETUAL}.raw"
    async with running() as sim, client(sim, DEMO) as peer:
        await peer.subscribe(name)
        await peer.data(name)
        for price in (83_100, 83_200):
            sim.move(PERPETUAL, price)
        before, last = await peer.several(name, 2)
        assert sim.garbage(kind, "quote.BTC-PERPETUAL") == 0
        assert sim.garbage(kind, name) == 1
        spoilt = str(await peer.socket.recv())
    if kind in {"non-json", "truncated"}:
        with pytest.raises(ValueError, match=r"Expecting|Unterminated"):
            json.loads(spoilt)
        return
    data = json.loads(spoilt)["params"]["data"]
    if kind == "wrong-typed":
        assert data["timestamp"] is None
    else:
        assert data == (last if kind == "duplicated" else before)


async def test_every_fourth_notification_is_garbage_when_so_configured() -> None:
    options = msgspec.structs.replace(LIVELY, garbage_every=4)
    async with running(options) as sim, client(sim) as peer:
        await peer.subscribe(f"quote.{PERPETUAL}")
        unreadable = 0
        while unreadable < 3:
            try:
                json.loads(await peer.socket.recv())
            except ValueError:
                unreadable += 1
        assert await peer.result("public/test")


# -- captures ----------------------------------------------------------------------------------


async def first_of(name: str, options: DeribitOptions = LIVELY) -> Any:
    async with running(options) as sim, client(sim, DEMO) as peer:
        await peer.subscribe(name)
        return await peer.data(name)


@pytest.mark.parametrize(
    ("capture", "name"),
    [
        ("nautilus/ws_quote.json", f"quote.{PERPETUAL}"),
        ("nautilus/ws_chart.json", f"chart.trades.{PERPETUAL}.1"),
        ("nautilus/ws_book_grouped_snapshot.json", f"book.{PERPETUAL}.none.10.100ms"),
    ],
)
async def test_notifications_have_the_fields_of_captured_ones(capture: str, name: str) -> None:
    real = captured(capture)
    assert kinds(await first_of(name)) == kinds(real)


async def test_books_have_the_fields_of_captured_ones() -> None:
    snapshot, change = captured("nautilus/ws_book_snapshot.json"), captured("nautilus/ws_book_delta.json")
    name = f"book.{PERPETUAL}.100ms"
    async with running(LIVELY) as sim, client(sim) as peer:
        await peer.subscribe(name)
        first, second = await peer.several(name, 2)
    assert kinds(first) == {key: kind for key, kind in kinds(snapshot).items() if key != "prev_change_id"}
    assert kinds(second) == kinds(change)


async def test_tickers_have_the_fields_of_captured_ones() -> None:
    real = captured("nautilus/ws_ticker.json")
    own = await first_of(f"ticker.{PERPETUAL}.100ms")
    assert kinds(own) == kinds(real)
    assert kinds(own["stats"]) == kinds(real["stats"])


@pytest.mark.parametrize("capture", ["nautilus/ws_trades.json", "gocryptotrader_wsAllTrades.jsonl"])
async def test_trades_have_the_fields_of_captured_ones(capture: str) -> None:
    (real, *_) = captured(capture)
    (own, *_) = await first_of(f"trades.{PERPETUAL}.100ms")
    assert kinds(own) == {key: kind for key, kind in kinds(real).items() if key != "combo_trade_id"}


async def test_portfolios_have_fields_of_captured_ones() -> None:
    real = captured("nautilus/ws_portfolio.json")
    async with running() as sim, client(sim, DEMO) as peer:
        await peer.result("private/subscribe", channels=["user.portfolio.btc"])
        own = await peer.data("user.portfolio.btc")
    assert kinds(own).items() <= kinds(real).items()
