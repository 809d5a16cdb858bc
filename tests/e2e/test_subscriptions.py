"""What clients ask for, what the venue is asked for, and what each of them is answered."""

from __future__ import annotations

import asyncio

import pytest

from support.processes import Client, Stage
from support.streams import judge, states, values

WILDCARDS = (
    "Wildcards (e.g. tickers.*) are not supported. "
    "Use specific symbols like tickers.BTCUSDT or ticker:ETHUSDT."
)
INTERVALS = "1m, 3m, 5m, 15m, 30m, 1h, 2h, 4h, 6h, 12h, 1d, 1w, 1M"
BTC = "mudrex.futures.ticker.BTCUSDT"


def reasons(answer: dict[str, object]) -> dict[str, str]:
    """Why each arg was rejected."""
    rejected = answer["rejected"]
    assert isinstance(rejected, list)
    return {item["arg"]: item["reason"] for item in rejected}


@pytest.mark.parametrize(
    ("market", "label", "words"),
    [
        ("linear", "futures", "error:handler not found,topic:tickers.{}"),
        ("spot", "spot", "Invalid symbol :[tickers.{}]"),
    ],
)
async def test_a_hundred_wishes_with_thirty_bad_ones_are_answered_within_two_seconds(
    stage: Stage, market: str, label: str, words: str
) -> None:
    symbols = [f"COIN{number}USDT" for number in range(100)]
    bad = symbols[5::10] + symbols[6::10] + symbols[99::-10]
    good = [symbol for symbol in symbols if symbol not in bad]
    assert (len(good), len(bad)) == (70, 30)
    venue = await stage.venue("--symbols", ",".join(good), "--rate", "5")
    gateway = await stage.gateway(venue.url, "--venue", f"bybit.{market}")
    client = await stage.client(gateway)
    loop = asyncio.get_running_loop()
    asked = loop.time()
    answer = await client.subscribe(*(f"ticker:{symbol}" for symbol in symbols))
    assert loop.time() - asked < 2.0
    assert answer["success"]
    assert answer["args"] == [f"ticker:{symbol}" for symbol in good]
    assert answer["message"] == "Subscribed to 70 streams. 30 rejected — see 'rejected' for details."
    assert "pending" not in answer
    assert reasons(answer) == {
        f"ticker:{symbol}": f"bybit.{market} refused it: {words.format(symbol)}" for symbol in bad
    }
    await venue.carries(*(f"tickers.{symbol}" for symbol in good), market=market)
    for symbol in good:
        await client.data(f"mudrex.{label}.ticker.{symbol}")
    assert client.messages[0] == answer


async def test_two_intervals_of_one_symbol_are_two_streams(stage: Stage) -> None:
    venue = await stage.venue("--kline-rate", "20")
    gateway = await stage.gateway(venue.url, UNSUBSCRIBE_LINGER=0)
    client = await stage.client(gateway)
    answer = await client.subscribe("kline:1m:BTCUSDT", "kline:1h:BTCUSDT")
    assert answer["args"] == ["kline:1m:BTCUSDT", "kline:1h:BTCUSDT"]
    minute, hour = "mudrex.futures.kline.1.BTCUSDT", "mudrex.futures.kline.60.BTCUSDT"
    for stream, label, length_ms in ((minute, "1m", 60_000), (hour, "1h", 3_600_000)):
        data = (await client.data(stream, count=3))["data"]
        assert data["interval"] == label
        assert data["openTime"] % length_ms == 0
        assert data["closeTime"] - data["openTime"] == length_ms - 1
    await venue.carries("kline.1.BTCUSDT", "kline.60.BTCUSDT")
    given_back = await client.unsubscribe("kline:1m:BTCUSDT", "kline:5m:BTCUSDT")
    assert given_back["args"] == ["kline:1m:BTCUSDT"]
    await venue.carries("kline.60.BTCUSDT")
    seen = client.seen
    await client.data(hour, seen=seen, count=5)
    assert values(client.messages[seen:], minute) == []
    judge(client.messages, hour)


async def test_every_wish_that_names_no_stream_is_told_why(stage: Stage) -> None:
    venue = await stage.venue()
    gateway = await stage.gateway(venue.url)
    client = await stage.client(gateway)
    expected = {
        "tickers.*": WILDCARDS,
        "ticker:*": WILDCARDS,
        "ticker:": WILDCARDS,
        "kline:99x:BTCUSDT": f"Unknown interval: 99x. Valid intervals: {INTERVALS}",
        "kline:60:BTCUSDT": f"Unknown interval: 60. Valid intervals: {INTERVALS}",
        "kline:BTCUSDT": f"A kline needs an interval, e.g. kline:1h:BTCUSDT. Valid intervals: {INTERVALS}",
        "foo:BTCUSDT": "Invalid stream type: foo. Expected one of ['kline', 'ticker', 'trade']",
        "BTCUSDT": "Invalid stream format: BTCUSDT",
        "a:b:c:d": "Invalid stream format: a:b:c:d",
        "ticker:BTCUSDT@okx": "Unknown venue: okx. This server has bybit.linear",
        "ticker:btcusdt": "'btcusdt' is no Bybit symbol: symbols are upper-case, as in BTCUSDT",
        "ticker:NOPEUSDT": "bybit.linear refused it: error:handler not found,topic:tickers.NOPEUSDT",
    }
    answer = await client.subscribe(*expected)
    assert reasons(answer) == expected
    assert (answer["success"], answer["args"]) == (False, [])
    assert answer["message"] == "Subscribed to 0 streams. 12 rejected — see 'rejected' for details."
    assert await venue.topics() == []
    mixed = await client.ask({"op": "subscribe", "args": [7, "ticker:BTCUSDT", None]})
    assert (mixed["success"], mixed["args"]) == (True, ["ticker:BTCUSDT"])
    assert [item["arg"] for item in mixed["rejected"]] == [7, None]
    assert await venue.topics() == ["tickers.BTCUSDT"]


async def test_one_gateway_serves_two_markets(stage: Stage) -> None:
    venue = await stage.venue()
    gateway = await stage.gateway(venue.url, "--venue", "bybit.linear", "--venue", "bybit.spot")
    client = await stage.client(gateway)
    wanted = {
        "tickers.ETHUSDT": "mudrex.futures.ticker.ETHUSDT",
        "ticker:BTCUSDT": BTC,
        "ticker:BTCUSDT@bybit.spot": "mudrex.spot.ticker.BTCUSDT",
        "kline:1d:BTCUSDT@bybit.spot": "mudrex.spot.kline.D.BTCUSDT",
    }
    answer = await client.subscribe(*wanted)
    assert answer["args"] == list(wanted)
    for stream in wanted.values():
        await client.data(stream, count=2)
    assert "fundingRate" in (await client.data(BTC))["data"]
    assert "fundingRate" not in (await client.data("mudrex.spot.ticker.BTCUSDT"))["data"]
    await venue.carries("tickers.BTCUSDT", "tickers.ETHUSDT")
    await venue.carries("tickers.BTCUSDT", "kline.D.BTCUSDT", market="spot")
    nowhere = await client.subscribe("ticker:BTCUSD@bybit.inverse")
    assert reasons(nowhere) == {
        "ticker:BTCUSD@bybit.inverse": "Unknown venue: bybit.inverse. "
        "This server has bybit.linear, bybit.spot"
    }
    assert {message["stream"] for message in client.messages if "stream" in message} == set(wanted.values())


async def test_when_the_last_client_leaves_the_venue_is_left_too_and_the_gateway_stays_well(
    stage: Stage,
) -> None:
    venue = await stage.venue()
    gateway = await stage.gateway(venue.url, UNSUBSCRIBE_LINGER=0.3)
    first, last = await stage.client(gateway), await stage.client(gateway)
    await first.subscribe("ticker:BTCUSDT", "trade:BTCUSDT")
    await last.subscribe("ticker:BTCUSDT")
    await first.close()
    await venue.carries("tickers.BTCUSDT")
    await last.data(BTC, seen=last.seen)
    await last.close()
    await venue.carries()
    assert (await gateway.get("/health")).body["status"] == "healthy"
    used, asked = gateway.running.cpu_seconds(), 0
    async with asyncio.timeout(10):
        while asked < 50:
            assert (await gateway.get("/ready")).body == {"ok": True}
            asked += 1
    assert gateway.running.cpu_seconds() - used < 1.0, "it spins"
    stats = await gateway.stats()
    assert stats["pubsub"] == {"total_subscriptions": 0, "active_channels": 0}
    assert stats["upstream"]["clients"]["linear"]["subscribed_count"] == 0
    newcomer = await stage.client(gateway)
    assert (await newcomer.subscribe("ticker:BTCUSDT"))["success"]
    assert (await newcomer.data(BTC))["type"] == "snapshot"


async def test_reloading_a_page_costs_the_venue_nothing(stage: Stage) -> None:
    venue = await stage.venue()
    gateway = await stage.gateway(venue.url, UNSUBSCRIBE_LINGER=30)
    for _ in range(5):
        page = await stage.client(gateway)
        answer = await page.subscribe("ticker:BTCUSDT", "kline:1m:BTCUSDT")
        assert answer["success"]
        snapshot = await page.data(BTC)
        assert snapshot["type"] == "snapshot"
        await page.data(BTC, count=3)
        judge(page.messages, BTC)
        await page.close()
    requests = await venue.requests()
    assert requests["subscribe"] == 1
    assert "unsubscribe" not in requests


async def refused(client: Client, seen: int) -> str:
    """Wait until a stream of the client was refused; the reason."""
    reason: str = (await client.status("refused", seen=seen))["data"]["reason"]
    return reason


async def test_a_symbol_that_is_delisted_ends_its_stream_and_may_be_asked_for_again(stage: Stage) -> None:
    venue = await stage.venue()
    gateway = await stage.gateway(venue.url, REFUSED_MEMORY=0)
    client = await stage.client(gateway)
    await client.subscribe("ticker:BTCUSDT", "ticker:ETHUSDT")
    await client.data(BTC)
    seen = client.seen
    await venue.do("delist", topic="tickers.BTCUSDT")
    await venue.do("cut")
    reason = "bybit.linear refused it: error:handler not found,topic:tickers.BTCUSDT"
    assert await refused(client, seen) == reason
    assert states(client.messages, BTC) == ["reconnecting", "refused"]
    await client.status("live", "mudrex.futures.ticker.ETHUSDT", seen=seen)
    await venue.carries("tickers.ETHUSDT")
    assert (await gateway.stats())["pubsub"]["total_subscriptions"] == 1
    assert (await client.unsubscribe("ticker:BTCUSDT"))["args"] == []
    assert reasons(await client.subscribe("ticker:BTCUSDT")) == {"ticker:BTCUSDT": reason}
    await venue.do("relist", topic="tickers.BTCUSDT")
    seen = client.seen
    assert (await client.subscribe("ticker:BTCUSDT"))["args"] == ["ticker:BTCUSDT"]
    again = await client.data(BTC, seen=seen)
    assert (again["type"], again["seq"]) == ("snapshot", 1)
    assert len(judge(client.messages[seen:], BTC)) == 1
    await venue.carries("tickers.BTCUSDT", "tickers.ETHUSDT")


async def test_a_refusal_is_remembered_for_a_while(stage: Stage) -> None:
    venue = await stage.venue()
    gateway = await stage.gateway(venue.url, REFUSED_MEMORY=60)
    client = await stage.client(gateway)
    for _ in range(5):
        answer = await client.subscribe("ticker:NOPEUSDT")
        assert "error:handler not found" in reasons(answer)["ticker:NOPEUSDT"]
    assert (await venue.requests())["subscribe"] == 1
