"""A newcomer's first minute: prices arrive, whoever comes first and whoever comes later."""

from __future__ import annotations

from decimal import Decimal

from support.processes import Stage

TICKER = "mudrex.futures.ticker.BTCUSDT"


async def test_the_first_client_gets_an_answer_then_a_snapshot_then_updates(stage: Stage) -> None:
    venue = await stage.venue()
    gateway = await stage.gateway(venue.url)
    client = await stage.client(gateway)
    answer = await client.subscribe("ticker:BTCUSDT")
    assert answer == {
        "op": "subscribe",
        "success": True,
        "args": ["ticker:BTCUSDT"],
        "message": "Subscribed to 1 streams",
        "rejected": None,
    }
    snapshot = await client.data(TICKER)
    update = await client.wait(lambda m: m.get("type") == "update")
    assert client.messages[0] == answer
    assert client.messages[1] == snapshot
    assert snapshot["type"] == "snapshot"
    assert snapshot["source"] == "mudrex"
    assert update["seq"] == snapshot["seq"] + 1
    assert set(update["data"]) == set(snapshot["data"])


async def test_a_late_client_gets_the_present_state_at_once(stage: Stage) -> None:
    venue = await stage.venue()
    gateway = await stage.gateway(venue.url)
    first, second = await stage.client(gateway), await stage.client(gateway)
    await first.subscribe("ticker:BTCUSDT")
    await first.wait(lambda m: m.get("seq", 0) >= 3)
    await second.subscribe("ticker:BTCUSDT")
    snapshot = await second.data(TICKER)
    assert snapshot["type"] == "snapshot"
    assert snapshot["seq"] >= 3
    same = await first.wait(lambda m: m.get("seq") == snapshot["seq"])
    assert same["data"] == snapshot["data"]
    assert await venue.topics() == ["tickers.BTCUSDT"]


async def test_a_client_that_comes_while_the_topic_lingers_gets_a_snapshot(stage: Stage) -> None:
    venue = await stage.venue()
    gateway = await stage.gateway(venue.url, UNSUBSCRIBE_LINGER=60)
    first = await stage.client(gateway)
    await first.subscribe("ticker:BTCUSDT")
    await first.wait(lambda m: m.get("seq", 0) >= 2)
    await first.close()
    second = await stage.client(gateway)
    answer = await second.subscribe("ticker:BTCUSDT")
    assert answer["success"]
    snapshot = await second.data(TICKER)
    assert snapshot["type"] == "snapshot"
    assert Decimal(snapshot["data"]["price"]) > 0
    assert (await venue.do("report"))["markets"]["linear"]["requests"]["subscribe"] == 1
