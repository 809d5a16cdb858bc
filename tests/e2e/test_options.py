"""Each client is served as it likes, by real processes, while it is connected."""

from __future__ import annotations

import asyncio
import json
from itertools import pairwise
from typing import Any

from support.client import Client
from support.deaf import Deaf
from support.processes import Gateway, Message, Stage
from support.streams import judge, of, values

TICKER, BTC = "ticker:BTCUSDT", "mudrex.futures.ticker.BTCUSDT"
TRADES, TRADE = "mudrex.futures.trade.BTCUSDT", "trade:BTCUSDT"
CANDLE, CANDLES = "kline:1m:BTCUSDT", "mudrex.futures.kline.1.BTCUSDT"
QUICK = {"CLOSE_TIMEOUT": 0.5, "FANOUT_CALLBACK_TIMEOUT": 60}


async def wish(client: Client, *args: str, **options: object) -> Message:
    """Subscribe with options; the answer."""
    answer = await client.ask({"op": "subscribe", "args": list(args), "options": options})
    assert answer.get("args") == list(args), answer
    return answer


def seqs(messages: list[Message]) -> list[int]:
    return [message["seq"] for message in messages]


def after(client: Client, answer: Message, stream: str) -> list[Message]:
    """The values of a stream that came after an answer."""
    return values(client.messages[client.messages.index(answer) + 1 :], stream)


def spread_s(messages: list[Message]) -> float:
    """Seconds between the first and the last value, by the venue's time."""
    return float(messages[-1]["timestamp"] - messages[0]["timestamp"]) / 1000


async def reaches(client: Client, stream: str, seq: int) -> None:
    """Wait for a value of a stream at this place or later."""
    await client.wait(lambda m: m.get("stream") == stream and m.get("seq", 0) >= seq)


async def filling(slow: Deaf, kind: str, **options: object) -> None:
    """Subscribe to more than a kernel's buffers hold."""
    for symbol in ("BTC", "ETH", "SOL", "XRP"):
        await slow.send({"op": "subscribe", "args": [f"{kind}:{symbol}USDT"], "options": options})


async def test_fields_are_all_that_comes_and_another_client_gets_everything(stage: Stage) -> None:
    venue = await stage.venue("--rate", "50", "--trade-rate", "50", "--kline-rate", "20")
    gateway = await stage.gateway(venue.url)
    some, all_ = await stage.client(gateway), await stage.client(gateway)
    await all_.subscribe(TICKER, TRADE, CANDLE)
    await wish(some, TICKER, fields=["price", "bid"])
    await wish(some, TRADE, fields=["price", "time", "nothing"])
    await wish(some, CANDLE, fields=["close", "confirmed"])
    for stream in (BTC, TRADES, CANDLES):
        await some.data(stream, count=20)
        until = values(some.messages, stream)[-1]["seq"]
        await reaches(all_, stream, until)
        whole = {message["seq"]: message["data"] for message in values(all_.messages, stream)}
        for message in values(some.messages, stream):
            if message["seq"] in whole:
                assert_part(message["data"], whole[message["seq"]])
        judge(all_.messages, stream)
        judge(some.messages, stream)
    assert set(values(some.messages, BTC)[0]["data"]) == {"price", "bid"}
    assert set(values(some.messages, TRADES)[0]["data"][0]) == {"price", "time"}
    assert set(values(some.messages, CANDLES)[0]["data"]) == {"close", "confirmed"}
    await venue.carries("tickers.BTCUSDT", "publicTrade.BTCUSDT", "kline.1.BTCUSDT")


def assert_part(part: Any, whole: Any) -> None:
    """Each field is there as it is in the whole, in its order."""
    if isinstance(part, list):
        for one, other in zip(part, whole, strict=True):
            assert_part(one, other)
    else:
        assert list(part.items()) == [(name, value) for name, value in whole.items() if name in part]


async def test_a_rate_holds_is_changed_and_is_given_up_without_resubscribing(stage: Stage) -> None:
    venue = await stage.venue("--rate", "100")
    gateway = await stage.gateway(venue.url)
    paced, free = await stage.client(gateway), await stage.client(gateway)
    await free.subscribe(TICKER)
    answer = await wish(paced, TICKER, max_rate=11)
    assert answer["options"] == {"max_rate": 10}
    assert answer["notes"] == ["max_rate 11 is served as 10, the next step below it"]
    await paced.data(BTC, count=12)
    slow = after(paced, answer, BTC)[2:12]
    assert spread_s(slow) > 0.7, "nine tenths of a second"
    assert sum(later - earlier for earlier, later in pairwise(seqs(slow))) > 40, "values were replaced"
    changed = await wish(paced, TICKER, max_rate=2)
    await paced.data(BTC, seen=paced.messages.index(changed), count=4)
    assert spread_s(after(paced, changed, BTC)[1:4]) > 0.7, "a second"
    back = await wish(paced, TICKER)
    await paced.data(BTC, seen=paced.messages.index(back), count=20)
    fast = seqs(after(paced, back, BTC))
    assert fast[-1] - fast[0] == len(fast) - 1, "every value again"
    everything = seqs(values(paced.messages, BTC))
    assert everything == sorted(set(everything)), "nothing twice, nothing older after newer"
    assert "snapshot" not in {message["type"] for message in after(paced, changed, BTC)}
    judge(free.messages, BTC)
    assert (await venue.requests())["subscribe"] == 1


async def test_clients_with_and_without_options_see_the_same_values_under_the_same_seqs(stage: Stage) -> None:
    venue = await stage.venue("--rate", "200")
    gateway = await stage.gateway(venue.url)
    free, paced, kept = [await stage.client(gateway) for _ in range(3)]
    await free.subscribe(TICKER)
    await wish(paced, TICKER, max_rate=30)
    await wish(kept, TICKER, conflate=False, snapshot=False)
    await paced.data(BTC, count=20)
    last = max(seqs(values(client.messages, BTC))[-1] for client in (paced, kept))
    await reaches(free, BTC, last)
    by_seq = {message["seq"]: message["data"] for message in values(free.messages, BTC)}
    for client in (paced, kept):
        shown = [m for m in values(client.messages, BTC) if m["seq"] in by_seq]
        assert len(shown) > 10
        assert all(by_seq[message["seq"]] == message["data"] for message in shown)
    judge(kept.messages, BTC)


async def test_a_snapshot_is_left_out_or_sent_again_as_the_client_likes(stage: Stage) -> None:
    venue = await stage.venue("--rate", "2")
    gateway = await stage.gateway(venue.url)
    first, client = await stage.client(gateway), await stage.client(gateway)
    await first.subscribe(TICKER)
    await first.data(BTC)
    await wish(client, TICKER, snapshot=False)
    assert (await client.data(BTC))["type"] == "update"
    answer = await wish(client, TICKER, snapshot=True)
    await client.data(BTC, seen=client.messages.index(answer))
    again = after(client, answer, BTC)[0]
    before = values(client.messages[: client.messages.index(answer)], BTC)
    assert (again["type"], again["seq"]) == ("snapshot", before[-1]["seq"])
    assert "epoch" in again


async def test_seventeen_sets_of_fields(stage: Stage) -> None:
    venue = await stage.venue("--rate", "50")
    gateway = await stage.gateway(venue.url)
    clients = [await stage.client(gateway) for _ in range(17)]
    answers = [
        await wish(client, TICKER, fields=["symbol", f"f{number}"]) for number, client in enumerate(clients)
    ]
    assert [("notes" in answer) for answer in answers] == [False] * 16 + [True]
    assert answers[16]["notes"] == [
        f"{TICKER} comes with all its fields: 16 other sets of fields are in use there"
    ]
    for client in clients[:16]:
        assert (await client.data(BTC))["data"] == {"symbol": "BTCUSDT"}
    assert "price" in (await clients[16].data(BTC))["data"]
    same = await wish(clients[16], TICKER, fields=["f3", "symbol"])
    assert "notes" not in same
    await clients[0].unsubscribe(TICKER)
    assert "notes" not in await wish(clients[16], TICKER, fields=["symbol", "price"])
    answer = await wish(clients[1], TICKER)
    await clients[1].data(BTC, seen=clients[1].messages.index(answer))
    assert "price" in after(clients[1], answer, BTC)[0]["data"]


async def stalls(gateway: Gateway) -> None:
    await gateway.shows(lambda body: body["slow_clients"]["now"] == 1, "the client is slow")


async def test_a_slow_client_that_wants_every_ticker_gets_a_gap_for_those_that_were_let_go(
    stage: Stage,
) -> None:
    venue = await stage.venue("--rate", "1000")
    gateway = await stage.gateway(venue.url, OUTBOX_MAX_FRAMES=50, **QUICK)
    fast = await stage.client(gateway)
    await fast.subscribe(TICKER)
    slow = await stage.deaf(gateway, "ticker:DOGEUSDT")
    await filling(slow, "ticker", conflate=False)
    await stalls(gateway)
    reached = fast.seen
    await fast.data(BTC, seen=reached, count=200)
    async with asyncio.timeout(30):
        while not (gaps := [m for m in of(slow.messages, BTC) if m["type"] == "gap"]):
            await slow.read()
        gap = gaps[0]
        while not any(m["seq"] > gap["data"]["to"] + 5 for m in values(slow.messages, BTC)):
            await slow.read()
    assert gap["data"]["reason"] == "slow"
    before = values(slow.messages[: slow.messages.index(gap)], BTC)
    behind = values(slow.messages[slow.messages.index(gap) :], BTC)
    assert gap["data"]["from"] == before[-1]["seq"] + 1
    assert behind[0]["seq"] == gap["data"]["to"] + 1
    assert all(later == earlier + 1 for earlier, later in pairwise(seqs(behind[:6])))
    judge(fast.messages, BTC)


async def test_a_slow_client_may_have_its_trades_replaced(stage: Stage) -> None:
    venue = await stage.venue("--trade-rate", "5000")
    gateway = await stage.gateway(venue.url, **QUICK)
    fast = await stage.client(gateway)
    await fast.subscribe(TRADE)
    slow = await stage.deaf(gateway, "ticker:DOGEUSDT")
    await filling(slow, "trade", conflate=True)
    await gateway.shows(lambda body: body["slow_clients"]["conflated"] > 200, "trades replace older ones")
    newest = values(fast.messages, TRADES)[-1]["seq"]
    async with asyncio.timeout(30):
        while not any(m["seq"] >= newest for m in values(slow.messages, TRADES)):
            await slow.read()
    assert not [m for m in slow.messages if m.get("type") == "gap"]
    shown = seqs(values(slow.messages, TRADES))
    assert shown == sorted(set(shown))
    assert any(later > earlier + 1 for earlier, later in pairwise(shown)), "a jump shows it"


async def test_a_slow_client_that_changes_its_options_loses_no_trade(stage: Stage) -> None:
    venue = await stage.venue("--trade-rate", "5000")
    gateway = await stage.gateway(venue.url, OUTBOX_MAX_FRAMES=65_536, OUTBOX_MAX_BYTES=64 * 1024**2, **QUICK)
    slow = await stage.deaf(gateway, "ticker:DOGEUSDT")
    await filling(slow, "trade")
    await stalls(gateway)
    for options in ({"fields": ["id"]}, {"conflate": False}, {"fields": ["id", "price"]}):
        await slow.send({"op": "subscribe", "args": [TRADE], "options": options})
    await slow.send({"op": "ping"})
    async with asyncio.timeout(30):
        while not any(m.get("op") == "pong" for m in slow.messages):
            await slow.read()
        while set(values(slow.messages, TRADES)[-1]["data"][0]) != {"id", "price"}:
            await slow.read()
    shown = seqs(values(slow.messages, TRADES))
    assert shown == list(range(shown[0], shown[-1] + 1))


async def test_absurd_options_cost_nobody_anything(stage: Stage) -> None:
    venue = await stage.venue("--rate", "50")
    gateway = await stage.gateway(venue.url, MAX_MESSAGE_RATE_PER_CLIENT=100_000)
    other, client = await stage.client(gateway), await stage.client(gateway)
    await other.subscribe(TICKER)
    await wish(client, TICKER, fields=["price"])
    absurd: list[object] = [
        {"fields": ["x" * 60_000] * 10},
        {"max_rate": 1e300},
        {name * 1000: 1 for name in "abcdefgh"},
        {"fields": {"a": [[[]]]}},
        [{}] * 10_000,
    ]
    for number in range(100):
        answer = await client.ask({"op": "subscribe", "args": [TICKER], "options": absurd[number % 5]})
        assert answer["code"] == "INVALID_ARGS"
        assert len(json.dumps(answer)) < 300
    for number in range(300):
        rate = [0.1, 1, 1000, 60][number % 4]
        await wish(client, TICKER, fields=[f"f{number}", "price"], max_rate=rate, snapshot=True)
    await wish(client, TICKER, fields=["price"])
    answer = await wish(client, TICKER, snapshot=True, fields=["price"])
    await client.data(BTC, seen=client.messages.index(answer), count=5)
    assert all(set(m["data"]) == {"price"} for m in after(client, answer, BTC))
    shown = seqs(values(client.messages, BTC))
    assert shown == sorted(shown)
    await other.data(BTC, seen=other.seen, count=5)
    judge(other.messages, BTC)
