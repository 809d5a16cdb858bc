"""The gateway is told to stop: clients are sent away in order, and in time."""

from __future__ import annotations

import asyncio
import signal

import pytest

from support.processes import Client, Gateway, Stage
from support.streams import judge
from support.waiting import eventually

BTC = "mudrex.futures.ticker.BTCUSDT"
GOODBYE = (1001, "Server going away")


async def crowd(stage: Stage, gateway: Gateway, count: int) -> list[Client]:
    """So many clients that all read something."""
    clients = await asyncio.gather(*(stage.client(gateway) for _ in range(count)))
    await asyncio.gather(*(client.subscribe("ticker:BTCUSDT", "trade:BTCUSDT") for client in clients))
    await asyncio.gather(*(client.data(BTC) for client in clients))
    return clients


async def drains(gateway: Gateway) -> None:
    """Wait until the gateway no longer calls itself ready."""

    async def ready() -> int:
        return (await gateway.get("/ready")).status

    await eventually(ready, lambda status: status == 503, "it is not ready any more")


@pytest.mark.parametrize(("number", "count"), [(signal.SIGTERM, 200), (signal.SIGINT, 20)])
async def test_every_client_is_served_to_the_last_and_told_goodbye(
    stage: Stage, number: signal.Signals, count: int
) -> None:
    venue = await stage.venue("--rate", "10")
    gateway = await stage.gateway(venue.url, DRAIN_GRACE=2, DRAIN_SECONDS=2)
    clients = await crowd(stage, gateway, count)
    gateway.running.signal(number)
    await drains(gateway)
    seen = [client.seen for client in clients]
    assert (await gateway.get("/ready")).body == {"ok": False}
    refused = await gateway.upgrade()
    assert refused.status == 503
    assert int(refused.headers["retry-after"]) >= 1
    health = await gateway.get("/health")
    assert health.status == 503
    assert health.body["reasons"] == ["draining: new clients are turned away"]
    assert health.body["connections"] == count
    await asyncio.gather(*(client.data(BTC, seen=at) for client, at in zip(clients, seen, strict=True)))
    pongs = await asyncio.gather(*(client.ask({"op": "ping"}) for client in clients))
    assert {pong["op"] for pong in pongs} == {"pong"}
    for client in clients:
        assert await client.end() == GOODBYE
        judge(client.messages, BTC)
    assert await gateway.running.end() == 0
    assert "Ended" in gateway.running.output[-1]
    assert await venue.topics() == []


async def test_one_that_does_not_read_is_not_waited_for_longer_than_the_drain(stage: Stage) -> None:
    venue = await stage.venue("--rate", "300")
    gateway = await stage.gateway(
        venue.url, DRAIN_SECONDS=1, CLOSE_TIMEOUT=60, FANOUT_CALLBACK_TIMEOUT=60, OUTBOX_MAX_BYTES=2**29
    )
    (polite,) = await crowd(stage, gateway, 1)
    deaf = await stage.deaf(gateway, *(f"ticker:{coin}USDT" for coin in ("BTC", "ETH", "SOL", "XRP", "DOGE")))
    await gateway.shows(lambda body: body["slow_clients"]["now"] == 1, "a client is slow")
    loop = asyncio.get_running_loop()
    told = loop.time()
    gateway.running.signal(signal.SIGTERM)
    assert await polite.end() == GOODBYE
    assert await gateway.running.end() == 0
    assert loop.time() - told < 4.0
    await deaf.read_until_end()
    assert deaf.closed in {None, GOODBYE}


async def test_without_clients_it_ends_at_once(stage: Stage) -> None:
    venue = await stage.venue()
    gateway = await stage.gateway(venue.url, DRAIN_SECONDS=60)
    loop = asyncio.get_running_loop()
    told = loop.time()
    assert await gateway.running.stop() == 0
    assert loop.time() - told < 4.0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_second_signal_ends_it_at_once(stage: Stage, number: signal.Signals) -> None:
    venue = await stage.venue()
    gateway = await stage.gateway(venue.url, DRAIN_GRACE=60, DRAIN_SECONDS=60)
    (client,) = await crowd(stage, gateway, 1)
    gateway.running.signal(signal.SIGTERM)
    await drains(gateway)
    assert await gateway.running.stop(number) == 128 + number
    assert (await client.end())[0] == 1006


async def test_a_gateway_whose_venue_is_gone_still_ends(stage: Stage) -> None:
    venue = await stage.venue()
    tap = await stage.tap(venue)
    await tap.refuse(True)
    gateway = await stage.gateway(tap.url, SUBSCRIBE_TIMEOUT=30, BYBIT_RECONNECT_DELAY_MAX=60)
    client = await stage.client(gateway)
    await client.send({"op": "subscribe", "args": ["ticker:BTCUSDT"]})
    await client.ask({"op": "ping"})
    assert await gateway.running.stop() == 0
    assert await client.end() == GOODBYE
