"""A simulated Alpaca, a gateway and clients in processes of their own: what is shown, what is waited for."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from websockets.asyncio.client import connect

from feedmux.sim.alpaca_options import DEMO
from support import alpaca_truth as truth
from support.alpaca_client import Client as Rival
from support.processes import AlpacaVenue, Client, Gateway, Stage
from support.streams import is_slice, judge, states, values
from support.tap import Tap
from support.waiting import eventually

SYMBOL = "AAPL"
TICKER, TRADES = f"mudrex.alpaca.ticker.{SYMBOL}", f"mudrex.alpaca.trade.{SYMBOL}"
CANDLES = f"mudrex.alpaca.kline.1.{SYMBOL}"
STREAMS = (TICKER, TRADES, CANDLES)
ARGS = (f"ticker:{SYMBOL}", f"trade:{SYMBOL}", f"kline:1m:{SYMBOL}")
WHOLE = {name: [SYMBOL] for name in ("quotes", "trades", "bars", "updatedBars")}
LIVELY = ("--rate", "40", "--quote-rate", "40", "--candle-speed", "240")
NOWHERE = "ws://127.0.0.1:9/v5/public/linear"
QUICK = {
    "VENUES": "alpaca",
    "APCA_API_KEY_ID": DEMO.key,
    "APCA_API_SECRET_KEY": DEMO.secret,
    "ALPACA_RECONNECT_DELAY_INITIAL": 0.1,
    "ALPACA_RECONNECT_DELAY_MAX": 0.4,
    "ALPACA_PING_INTERVAL": 0.3,
    "ALPACA_PING_TIMEOUT": 2,
}


async def gateway_on(stage: Stage, url: str, *options: str, **settings: object) -> Gateway:
    """A gateway that serves the Alpaca at this address."""
    return await stage.gateway(NOWHERE, *options, **(QUICK | {"ALPACA_WS_URL": url} | settings))


class Scene:
    """An Alpaca behind a tap, a gateway, and a client that reads every kind of stream."""

    def __init__(self, venue: AlpacaVenue, tap: Tap, gateway: Gateway, client: Client) -> None:
        self.venue, self.tap, self.gateway, self.client = venue, tap, gateway, client

    @classmethod
    async def set(cls, stage: Stage, *options: str) -> Scene:
        venue = await stage.alpaca(*LIVELY, *options)
        tap = await stage.tap(venue)
        gateway = await gateway_on(stage, tap.url)
        scene = cls(venue, tap, gateway, await stage.client(gateway))
        answer = await scene.client.subscribe(*ARGS)
        assert answer["args"] == list(ARGS)
        await scene.flows(0)
        return scene

    async def flows(self, seen: int) -> None:
        """Wait for some values of each stream."""
        for stream in STREAMS:
            await self.client.data(stream, seen=seen, count=2)

    async def breaks(self, seen: int) -> None:
        """Wait until the client was told of a break and of its end, and values flow again."""
        for state in ("reconnecting", "live"):
            for stream in STREAMS:
                await self.client.status(state, stream, seen=seen)
        await self.flows(self.client.seen)
        await self.venue.has(**WHOLE)

    def check(self, connections: int) -> None:
        """Judge all that was shown against what the venue said on each of its connections."""
        said = self.tap.payloads()
        for stream, shape in ((TICKER, "q"), (TRADES, "tcx"), (CANDLES, "bu")):
            runs = judge(self.client.messages, stream)
            assert len(runs) == connections
            whole = [self.expected(stream, truth.read(payloads, shape, SYMBOL)) for payloads in said]
            for run in runs:
                shown = [message["data"] for message in run.values]
                assert any(is_slice(shown, one) for one in whole), stream

    @staticmethod
    def expected(stream: str, frames: list[list[Any]]) -> list[Any]:
        """What should be shown of a stream, given what the venue said of it frame by frame."""
        if stream == TRADES:
            return [truth.trades(objects) for objects in frames]
        if stream == CANDLES:
            return list(truth.candles(frames))
        return [truth.ticker(one) for objects in frames for one in objects]


@asynccontextmanager
async def rival(venue: AlpacaVenue) -> AsyncIterator[Rival]:
    """Somebody else's connection of the same account, let in."""
    async with connect(venue.url, max_queue=None) as socket:
        client = Rival(socket)
        assert await client.log_in() == [{"T": "success", "msg": "authenticated"}]
        yield client


async def health(gateway: Gateway) -> Any:
    return (await gateway.get("/health")).body


async def everything_said(gateway: Gateway) -> str:
    """All that a gateway logged, and answers to plain HTTP."""
    pages = [str((await gateway.get(path)).body) for path in ("/", "/health", "/stats", "/metrics")]
    return "\n".join([gateway.running.text, *pages])


async def test_what_is_shown_is_what_was_said_before_and_after_every_cut(stage: Stage) -> None:
    scene = await Scene.set(stage)
    for clean in (False, True):
        seen = scene.client.seen
        await scene.venue.do("cut", clean=clean)
        await scene.breaks(seen)
    seen = scene.client.seen
    scene.tap.reset_after(777)
    await scene.breaks(seen)
    scene.check(connections=4)
    ids = [int(one["id"]) for message in values(scene.client.messages, TRADES) for one in message["data"]]
    assert min(ids) > 2**32
    assert len(set(ids)) == len(ids)


async def test_a_bar_is_closed_when_it_comes_and_corrected_by_another_one(stage: Stage) -> None:
    scene = await Scene.set(stage)
    corrected = await scene.client.wait(
        lambda m: m.get("stream") == CANDLES and m["type"] == "update" and m["data"].get("corrected")
    )
    minute = corrected["data"]["openTime"]
    shown = [m["data"] for m in values(scene.client.messages, CANDLES) if m["data"]["openTime"] == minute]
    assert [(one["confirmed"], one.get("corrected", False)) for one in shown] == [(True, False), (True, True)]
    assert int(shown[1]["volume"]) > int(shown[0]["volume"])


async def test_a_trade_that_is_corrected_or_cancelled_is_told_in_its_stream(stage: Stage) -> None:
    venue = await stage.alpaca("--rate", "0", "--quote-rate", "0")
    gateway = await gateway_on(stage, venue.url)
    client = await stage.client(gateway)
    await client.subscribe(f"trade:{SYMBOL}")
    await venue.do("publish", symbol=SYMBOL, price=231.25, size=300, id=2**53 + 1)
    deal = (await client.data(TRADES))["data"]
    assert [(one["id"], one["price"], one["quantity"]) for one in deal] == [(str(2**53 + 1), "231.25", "300")]
    seen = client.seen
    await venue.do("correct", symbol=SYMBOL, price=231.5, size=200)
    (correction,) = (await client.data(TRADES, seen=seen))["data"]
    assert correction["corrected"]["id"] == str(2**53 + 1)
    assert (correction["correction"]["price"], correction["correction"]["quantity"]) == ("231.5", "200")
    seen = client.seen
    await venue.do("cancel", symbol=SYMBOL, action="E")
    (cancel,) = (await client.data(TRADES, seen=seen))["data"]
    assert cancel["action"] == "E"
    assert cancel["cancelled"]["id"] == correction["correction"]["id"]
    assert not {"id", "price", "quantity"} & (set(correction) | set(cancel))


async def test_symbols_with_dots_are_named_as_alpaca_names_them(stage: Stage) -> None:
    venue = await stage.alpaca("--symbols", "BRK.B,F")
    gateway = await gateway_on(stage, venue.url)
    client = await stage.client(gateway)
    answer = await client.subscribe("ticker:BRK.B", "tickers.F", "ticker:aapl", "kline:1h:F")
    assert answer["args"] == ["ticker:BRK.B", "tickers.F"]
    assert {one["arg"]: one["reason"] for one in answer["rejected"]} == {
        "ticker:aapl": "'aapl' is no Alpaca symbol: symbols are upper-case, as in AAPL",
        "kline:1h:F": "Unknown interval: 1h. Valid intervals: 1m",
    }
    for symbol in ("BRK.B", "F"):
        assert (await client.data(f"mudrex.alpaca.ticker.{symbol}"))["data"]["symbol"] == symbol


async def test_who_comes_late_gets_the_present_state_of_every_stream(stage: Stage) -> None:
    scene = await Scene.set(stage)
    late = await stage.client(scene.gateway)
    await late.subscribe(*ARGS)
    for stream in (TICKER, CANDLES):
        snapshot = await late.data(stream)
        assert snapshot["type"] == "snapshot"
        assert snapshot["data"] in [message["data"] for message in values(scene.client.messages, stream)]
    assert (await late.data(TRADES))["type"] == "update"
    await scene.venue.has(**WHOLE)
    assert len(await scene.venue.sessions()) == 1, "one connection for all"


async def test_what_nobody_reads_is_given_back(stage: Stage) -> None:
    venue = await stage.alpaca(*LIVELY, "--omit-empty", "--late", "1")
    gateway = await gateway_on(stage, venue.url, UNSUBSCRIBE_LINGER=0)
    client = await stage.client(gateway)
    await client.subscribe(*ARGS)
    await venue.has(**WHOLE)
    await client.unsubscribe(f"trade:{SYMBOL}", f"kline:1m:{SYMBOL}")
    await venue.has(quotes=[SYMBOL])
    seen = client.seen
    await client.data(TICKER, seen=seen, count=3)
    assert not [m for m in client.messages[seen:] if m.get("stream") in {TRADES, CANDLES}]


async def test_a_connection_that_somebody_else_has_is_waited_for(stage: Stage) -> None:
    venue = await stage.alpaca(*LIVELY)
    async with rival(venue):
        gateway = await gateway_on(stage, venue.url, SUBSCRIBE_TIMEOUT=0.5)
        client = await stage.client(gateway)
        answer = await client.subscribe(*ARGS)
        assert answer["pending"] == list(ARGS)
        told = await eventually(
            lambda: health(gateway), lambda body: any("406" in one for one in body["reasons"])
        )
        assert told["venues"]["alpaca"]["state"] == "disconnected"
        (reason,) = told["reasons"]
        assert "connection limit exceeded (406): another connection of the account is open" in reason
        await gateway.running.line("alpaca refused a greeting: connection limit exceeded")
        requests = (await venue.report())["feeds"]["iex"]["requests"]
        assert "subscribe" not in requests, "nothing is asked for before we are in"
    for stream in STREAMS:
        await client.data(stream)
    assert (await health(gateway))["reasons"] == []
    judge(client.messages, TICKER)


async def test_our_own_connection_that_is_not_gone_yet_is_waited_for(stage: Stage) -> None:
    scene = await Scene.set(stage, "--linger", "1")
    seen = scene.client.seen
    await scene.venue.do("cut")
    await scene.breaks(seen)
    scene.check(connections=2)
    assert "connection limit exceeded (406)" in scene.gateway.running.text


async def test_who_is_shown_the_door_after_the_login_comes_back(stage: Stage) -> None:
    venue = await stage.alpaca(*LIVELY, "--limit-after-auth")
    async with rival(venue):
        gateway = await gateway_on(stage, venue.url, SUBSCRIBE_TIMEOUT=0.5)
        client = await stage.client(gateway)
        await client.subscribe(f"ticker:{SYMBOL}")
        await gateway.shows(
            lambda stats: stats["upstream"]["clients"]["alpaca"]["reconnect_count"] >= 3, "three attempts"
        )
    await client.data(TICKER, count=3)


async def test_a_wrong_secret_is_named_and_never_shown(stage: Stage) -> None:
    wrong = "not-the-simulated-secret"
    venue = await stage.alpaca(*LIVELY)
    gateway = await gateway_on(
        stage, venue.url, APCA_API_SECRET_KEY=wrong, SUBSCRIBE_TIMEOUT=0.5, LOG_LEVEL="DEBUG"
    )
    client = await stage.client(gateway)
    assert (await client.subscribe(*ARGS))["pending"] == list(ARGS)
    told = await eventually(
        lambda: health(gateway), lambda body: any("402" in one for one in body["reasons"])
    )
    (reason,) = told["reasons"]
    words = (
        "auth failed (402): it does not know this key and secret; see APCA_API_KEY_ID and APCA_API_SECRET_KEY"
    )
    assert reason.endswith(words)
    assert reason.startswith("alpaca: no connection for ")
    await gateway.running.line("alpaca refused a greeting: auth failed")
    said = await everything_said(gateway) + json.dumps(client.messages)
    for secret in (wrong, DEMO.key, DEMO.secret):
        assert secret not in said


async def test_a_feed_that_the_plan_does_not_have_is_named(stage: Stage) -> None:
    venue = await stage.alpaca("--entitled", "iex")
    url = venue.url.replace("/iex", "/{feed}")
    gateway = await gateway_on(stage, url, ALPACA_FEED="sip", SUBSCRIBE_TIMEOUT=0.5)
    told = await eventually(
        lambda: health(gateway), lambda body: any("409" in one for one in body["reasons"])
    )
    assert "insufficient subscription (409): the account's plan does not have this feed" in told["reasons"][0]


async def test_over_the_symbol_limit_what_fits_lives_and_the_rest_is_rejected(stage: Stage) -> None:
    venue = await stage.alpaca(*LIVELY, "--symbol-limit", "2", "--symbols", "AAPL,AMD,IBM,SPY")
    gateway = await gateway_on(stage, venue.url)
    client = await stage.client(gateway)
    wanted = [f"ticker:{symbol}" for symbol in ("AAPL", "AMD", "IBM", "SPY")]
    answer = await client.subscribe(*wanted)
    assert len(answer["args"]) == 2
    assert {one["reason"] for one in answer["rejected"]} == {
        "alpaca refused it: symbol limit exceeded (405): "
        "the account's plan carries no more symbols of trades and quotes at a time"
    }
    for arg in answer["args"]:
        await client.data(f"mudrex.alpaca.ticker.{arg.removeprefix('ticker:')}")
    more = await client.subscribe("kline:1m:IBM")
    assert more["args"] == ["kline:1m:IBM"], "bars have no limit"


async def test_a_slow_client_is_a_cut_that_readers_are_told_of(stage: Stage) -> None:
    scene = await Scene.set(stage)
    seen = scene.client.seen
    await scene.venue.do("say", code=407)
    told = await scene.client.status("reconnecting", TRADES, seen=seen)
    assert told["data"]["reason"].startswith("slow client (407): we took its messages too slowly")
    await scene.breaks(seen)
    gap = next(m for m in scene.client.of(TRADES) if m["type"] == "gap")
    assert gap["data"]["to"] is None


async def test_a_mute_venue_is_stale_and_keeps_its_connection(stage: Stage) -> None:
    venue = await stage.alpaca(*LIVELY)
    gateway = await gateway_on(stage, venue.url, TICKER_SILENCE=1, KLINE_SILENCE=1.5)
    client = await stage.client(gateway)
    await client.subscribe(f"ticker:{SYMBOL}")
    await client.data(TICKER)
    await venue.do("mute")
    told = await client.status("stale", TICKER)
    assert told["data"]["reason"] == "no ticker for 1 s"
    await venue.do("unmute")
    await client.status("live", TICKER)
    assert states(client.messages, TICKER) == ["stale", "live"]
    assert (await venue.report())["connections_ever"] == 1


async def test_a_venue_that_answers_nothing_is_replaced(stage: Stage) -> None:
    venue = await stage.alpaca(*LIVELY)
    gateway = await gateway_on(stage, venue.url, ALPACA_PING_TIMEOUT=0.7)
    client = await stage.client(gateway)
    await client.subscribe(f"trade:{SYMBOL}")
    await client.data(TRADES)
    await venue.do("mute", pongs=False)
    told = await client.status("reconnecting", TRADES)
    assert told["data"]["reason"] == "no answer to the ping within 0.7 s"
    await venue.do("unmute")
    await client.data(TRADES, seen=client.seen)


async def test_garbage_of_every_kind_does_not_stop_the_feed(stage: Stage) -> None:
    scene = await Scene.set(stage)
    for kind in ("truncated", "wrong-typed", "duplicated", "reordered", "non-json"):
        await scene.venue.do("garbage", kind=kind)
        await scene.flows(scene.client.seen)
    for stream in STREAMS:
        judge(scene.client.messages, stream)


async def test_workers_and_settings_show_no_secret(stage: Stage, tmp_path: Path) -> None:
    venue = await stage.alpaca(*LIVELY)
    gateway = await gateway_on(stage, venue.url, WORKERS=2, LOG_LEVEL="DEBUG")
    client = await stage.client(gateway)
    await client.subscribe(*ARGS)
    await client.data(TRADES)
    await venue.do("cut", clean=True)
    await client.status("live", TRADES)
    env = {name: str(value) for name, value in (QUICK | {"ALPACA_WS_URL": venue.url}).items()}
    printed = await stage.run("config", "print", env=env, cwd=str(tmp_path))
    assert await asyncio.wait_for(printed.process.wait(), 20) == 0
    await printed.line("APCA_API_SECRET_KEY|apca_api_secret_key")
    said = await everything_said(gateway) + printed.text + json.dumps(client.messages)
    for secret in (DEMO.key, DEMO.secret):
        assert secret not in said
