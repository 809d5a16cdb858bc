"""A gateway of several processes, each of which may be killed."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from typing import Any

from support.family import LIVELY, QUICK, TICKER, TRADES, children, crowd, served_by
from support.processes import Message, Stage
from support.streams import judge
from support.waiting import eventually, until


async def test_all_workers_serve_one_subscription_and_the_same_values(stage: Stage) -> None:
    venue = await stage.venue(*LIVELY)
    gateway = await stage.gateway(venue.url, **QUICK)
    assert sorted(children(gateway)) == ["the feed process", "worker 1", "worker 2"]
    by_worker = await crowd(stage, gateway)
    await venue.carries("tickers.BTCUSDT", "publicTrade.BTCUSDT")
    clients = [client for some in by_worker.values() for client in some]
    await asyncio.gather(*(client.data(TRADES, count=20) for client in clients))
    values: dict[int, Message] = {}
    for client in clients:
        for run in judge(client.messages, TICKER):
            for value in run.values:
                known = values.setdefault(value["seq"], value["data"])
                assert known == value["data"]
        judge(client.messages, TRADES)


async def test_who_comes_late_gets_the_present_at_once_wherever_he_lands(stage: Stage) -> None:
    venue = await stage.venue("--rate", "1", "--trade-rate", "1")
    gateway = await stage.gateway(venue.url, **QUICK)
    by_worker = await crowd(stage, gateway, 4)
    assert len(by_worker) == 2
    late = [await stage.client(gateway) for _ in range(6)]
    for client in late:
        answer = await client.subscribe("ticker:BTCUSDT")
        assert answer["success"], answer
        first = await client.data(TICKER)
        assert first["type"] == "snapshot"


async def test_a_killed_worker_is_replaced_and_the_others_clients_miss_nothing(stage: Stage) -> None:
    venue = await stage.venue(*LIVELY)
    gateway = await stage.gateway(venue.url, **QUICK)
    by_worker = await crowd(stage, gateway)
    alone = by_worker["worker 1"][0]
    await alone.subscribe("ticker:ETHUSDT")
    await venue.carries("tickers.BTCUSDT", "publicTrade.BTCUSDT", "tickers.ETHUSDT")
    killed = children(gateway)["worker 1"]
    killed.kill()
    for client in by_worker["worker 1"]:
        assert (await client.end())[0] == 1006
    await venue.carries("tickers.BTCUSDT", "publicTrade.BTCUSDT")
    survivors = by_worker["worker 2"]
    await asyncio.gather(*(client.data(TRADES, seen=client.seen, count=20) for client in survivors))
    for client in survivors:
        assert len(judge(client.messages, TICKER)) == len(judge(client.messages, TRADES)) == 1
        assert not [message for message in client.messages if message.get("type") in {"status", "gap"}]
    await gateway.running.line("worker 1 ended with -9; another one takes its place")
    await until(lambda: children(gateway).get("worker 1", killed).pid != killed.pid, "there is another one")
    again = await crowd(stage, gateway, 4)
    assert set(again) == {"worker 1", "worker 2"}


async def test_a_killed_feed_is_replaced_and_every_client_stays_and_is_told(stage: Stage) -> None:
    venue = await stage.venue(*LIVELY)
    gateway = await stage.gateway(venue.url, **QUICK)
    by_worker = await crowd(stage, gateway)
    clients = [client for some in by_worker.values() for client in some]
    seen = {client: client.seen for client in clients}
    children(gateway)["the feed process"].kill()
    for client in clients:
        await client.status("reconnecting", TICKER, seen=seen[client])
        await client.status("live", TICKER, seen=seen[client])
    after = {client: client.seen for client in clients}
    for client in clients:
        await client.data(TICKER, seen=after[client], count=5)
        for stream in (TICKER, TRADES):
            epochs = [run.epoch for run in judge(client.messages, stream)]
            assert len(set(epochs)) == 2, epochs
    await venue.carries("tickers.BTCUSDT", "publicTrade.BTCUSDT")


async def test_while_there_is_no_feed_health_says_so(stage: Stage) -> None:
    venue = await stage.venue(*LIVELY)
    gateway = await stage.gateway(venue.url, **QUICK)
    await crowd(stage, gateway, 4)
    feed = children(gateway)["the feed process"]

    async def health() -> Any:
        return (await gateway.get("/health")).body

    await eventually(health, lambda body: body["status"] == "healthy", "it is healthy")
    await venue.running.stop()
    feed.kill()
    body = await eventually(health, lambda body: body["status"] == "degraded", "it is degraded")
    assert body["reasons"][0].startswith("bybit.linear: no connection for")
    assert body["venues"]["bybit.linear"]["state"] == "disconnected"


async def test_a_killed_parent_takes_everybody_with_it(stage: Stage) -> None:
    venue = await stage.venue(*LIVELY)
    gateway = await stage.gateway(venue.url, **QUICK)
    by_worker = await crowd(stage, gateway, 4)
    family = children(gateway).values()
    gateway.running.signal(signal.SIGKILL)
    await until(lambda: not any(child.is_there for child in family), "nobody is left")
    for some in by_worker.values():
        for client in some:
            await client.end()


async def test_the_bound_of_clients_holds_over_all_workers(stage: Stage) -> None:
    venue = await stage.venue(*LIVELY)
    gateway = await stage.gateway(venue.url, **QUICK, MAX_CLIENTS_TOTAL=10)
    clients = await asyncio.gather(*(stage.client(gateway) for _ in range(30)))
    pongs = await asyncio.gather(*(client.ask({"op": "ping"}) for client in clients), return_exceptions=True)
    staying = [client for client, pong in zip(clients, pongs, strict=True) if isinstance(pong, dict)]
    assert len(staying) == 10
    ends = Counter([await client.end() for client in clients if client not in staying])
    assert ends == {(4003, "Connection limit reached"): 20}
    by_worker = served_by(gateway, staying)
    victims = max(by_worker.items(), key=lambda item: len(item[1]))
    children(gateway)[victims[0]].kill()
    for client in victims[1]:
        await client.end()

    async def newcomers() -> int:
        newcomer = await stage.client(gateway)
        answer = await asyncio.gather(newcomer.ask({"op": "ping"}), return_exceptions=True)
        return isinstance(answer[0], dict)

    for _ in victims[1]:
        assert await eventually(newcomers, bool, "there is room again")


async def test_what_all_workers_counted_is_what_clients_count(stage: Stage) -> None:
    venue = await stage.venue(*LIVELY)
    gateway = await stage.gateway(venue.url, **QUICK)
    by_worker = await crowd(stage, gateway)
    clients = [client for some in by_worker.values() for client in some]
    await asyncio.gather(*(client.unsubscribe("ticker:BTCUSDT", "trade:BTCUSDT") for client in clients))
    holders = [some[0] for some in by_worker.values()]
    await asyncio.gather(*(client.subscribe("kline:1m:BTCUSDT", "trade:ETHUSDT") for client in holders))
    counted = ({"total_subscriptions": 2 * len(holders), "active_channels": 2}, {"live": 2})
    await gateway.shows(lambda body: (body["pubsub"], body["topics_by_state"]) == counted, "each counts once")
    await asyncio.gather(*(client.unsubscribe("kline:1m:BTCUSDT", "trade:ETHUSDT") for client in holders))
    received = sum("seq" in message for client in clients for message in client.messages)

    def agrees(body: dict[str, dict[str, int]]) -> bool:
        connections = body["connections"]
        return (
            connections["active_connections"] == connections["total_connections_lifetime"] == len(clients)
            and connections["total_messages_sent"] == received
        )

    await gateway.shows(agrees, f"{len(clients)} clients got {received} messages")
    health = (await gateway.get("/health")).body
    assert (health["status"], health["connections"]) == ("healthy", len(clients))
    metrics = (await gateway.get("/metrics")).body
    assert f"feedmux_clients {float(len(clients))}" in metrics


async def test_every_client_is_told_goodbye_and_nothing_is_left(stage: Stage) -> None:
    venue = await stage.venue(*LIVELY)
    gateway = await stage.gateway(venue.url, **QUICK)
    by_worker = await crowd(stage, gateway)
    family = children(gateway).values()
    gateway.running.signal(signal.SIGTERM)
    for some in by_worker.values():
        for client in some:
            assert await client.end() == (1001, "Server going away")
            judge(client.messages, TICKER)
    assert await gateway.running.end() == 0
    assert "Ended" in gateway.running.output[-1]
    assert not any(child.is_there for child in family)


async def test_a_port_that_another_gateway_has_is_named(stage: Stage) -> None:
    venue = await stage.venue(*LIVELY)
    gateway = await stage.gateway(venue.url, **QUICK)
    second = await stage.run(
        "serve", "--workers", "2", "--port", str(gateway.port), env={"BYBIT_WS_URL": venue.url}
    )
    assert await second.end() == 2
    assert "cannot listen on 0.0.0.0" in second.text
    assert "Traceback" not in second.text


async def test_what_no_child_can_begin_with_ends_the_gateway_in_a_sentence(stage: Stage) -> None:
    program = await stage.run(
        "serve", "--workers", "2", "--port", "0", env={"TLS_CERT": "/nowhere.pem", "TLS_KEY": "/nowhere.pem"}
    )
    assert await program.end() == 2
    assert "/nowhere.pem" in program.text
    assert "Traceback" not in program.text


async def test_what_dies_again_and_again_ends_the_gateway_and_is_named(stage: Stage) -> None:
    venue = await stage.venue(*LIVELY)
    gateway = await stage.gateway(venue.url, **QUICK)
    for turn in range(11):
        children(gateway)["worker 2"].kill()
        if turn < 10:
            await until(
                lambda count=turn + 1: gateway.running.text.count("worker 2 serves again") == count,  # type: ignore[misc]
                "another one has its place",
            )
    assert await gateway.running.end() == 1
    last = gateway.running.output[-1]
    assert last.startswith("feedmux: more than 10 restarts within 60 s (worker 2: exit code -9; "), last
    assert "Traceback" not in gateway.running.text
