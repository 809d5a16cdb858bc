"""What the gateway answers to probes, load balancers and people with curl."""

from __future__ import annotations

import pytest

from support.processes import Client, Stage
from support.streams import VALUES
from support.waiting import eventually

BTC = "mudrex.futures.ticker.BTCUSDT"


async def test_every_path_answers_json_to_get_and_only_to_get(stage: Stage) -> None:
    venue = await stage.venue()
    gateway = await stage.gateway(venue.url)
    assert (await gateway.get("/ready")).body == {"ok": True}
    root = await gateway.get("/?from=somewhere")
    assert root.status == 200
    assert list(root.body) == ["name", "version", "websocket", "health", "ready"]
    assert root.body | {"version": ""} == {
        "name": "Mudrex Futures WebSocket",
        "version": "",
        "websocket": "/ws",
        "health": "/health",
        "ready": "/ready",
    }
    for path in ("/", "/ready", "/health", "/stats"):
        whole = await gateway.get(path)
        assert (whole.status, whole.headers["content-type"]) == (200, "application/json")
        head = await gateway.get(path, "HEAD")
        assert (head.status, head.body) == (200, "")
        assert int(head.headers["content-length"]) > 0
        for method in ("POST", "PUT", "DELETE", "OPTIONS"):
            other = await gateway.get(path, method)
            assert (other.status, other.headers["allow"]) == (405, "GET, HEAD")
    for path in ("/nothing", "/ws/", "/stats/x", "//"):
        lost = await gateway.get(path)
        assert (lost.status, lost.body) == (404, {"error": "Not found"})


async def test_a_plain_request_to_the_websocket_says_what_is_missing(stage: Stage) -> None:
    venue = await stage.venue()
    gateway = await stage.gateway(venue.url)
    answer = await gateway.get("/ws")
    assert answer.status == 426
    assert answer.headers["upgrade"] == "websocket"
    assert "websocket" in answer.body["error"].lower()


async def delivered(*clients: Client) -> int:
    """How many values these clients were sent so far."""
    return sum(message.get("type") in VALUES for client in clients for message in client.messages)


async def test_stats_have_every_documented_key_and_the_right_numbers(stage: Stage) -> None:
    venue = await stage.venue()
    gateway = await stage.gateway(venue.url, MAX_CLIENTS_TOTAL=77)
    fresh = await gateway.stats()
    assert fresh["connections"] == {
        "active_connections": 0,
        "total_connections_lifetime": 0,
        "total_messages_sent": 0,
        "avg_subscriptions_per_client": 0,
        "max_limit": 77,
    }
    assert fresh["upstream"]["clients"]["linear"]["subscribed_count"] == 0
    clients = [await stage.client(gateway) for _ in range(3)]
    await clients[0].subscribe("ticker:BTCUSDT", "ticker:ETHUSDT", "trade:BTCUSDT", "kline:1m:BTCUSDT")
    await clients[1].subscribe("ticker:BTCUSDT")
    await clients[2].subscribe("ticker:BTCUSDT")
    await clients[2].data(BTC)
    await clients[2].close()
    await clients[0].data(BTC, count=5)
    stats = await gateway.shows(lambda body: body["connections"]["active_connections"] == 2, "one has left")
    connections, upstream = stats["connections"], stats["upstream"]
    assert list(connections) == list(fresh["connections"])
    assert connections["total_connections_lifetime"] == 3
    assert connections["avg_subscriptions_per_client"] == 2.5
    assert stats["pubsub"] == {"total_subscriptions": 5, "active_channels": 4}
    assert upstream["running"] is True
    linear = upstream["clients"]["linear"]
    assert list(linear) == [
        "connected",
        "category",
        "subscribed_count",
        "messages_received",
        "reconnect_count",
        "last_message_ago",
    ]
    assert (linear["connected"], linear["category"], linear["subscribed_count"]) == (True, "linear", 4)
    assert linear["reconnect_count"] == 0
    assert linear["messages_received"] >= 5
    assert 0 <= linear["last_message_ago"] < 5
    await venue.do("mute")
    await gateway.shows(lambda body: body["upstream"]["clients"]["linear"]["last_message_ago"] > 0.5, "quiet")
    sent = (await gateway.stats())["connections"]["total_messages_sent"]
    await eventually(
        lambda: delivered(*clients), lambda count: count == sent, "every message sent is counted"
    )


async def test_health_follows_the_venue(stage: Stage) -> None:
    venue = await stage.venue()
    gateway = await stage.gateway(venue.url, BYBIT_RECONNECT_DELAY_MAX=0.3)
    client = await stage.client(gateway)
    await client.subscribe("ticker:BTCUSDT")
    await client.data(BTC)
    well = await gateway.get("/health")
    assert well.status == 200
    assert list(well.body)[:4] == ["status", "redis", "pubsub_listener", "connections"]
    assert (well.body["status"], well.body["connections"], well.body["reasons"]) == ("healthy", 1, [])
    assert well.body["redis"] == "not configured"
    assert well.body["pubsub_listener"] == "ok"
    assert well.body["venues"]["bybit.linear"]["state"] == "connected"
    await venue.do("refuse_connections")
    await venue.do("cut")

    async def status() -> str:
        answer = await gateway.get("/health")
        assert answer.status == 200, "a venue that is away for a moment does not call for a restart"
        return str(answer.body["status"])

    await eventually(status, "degraded".__eq__, "it is degraded")
    ill = (await gateway.get("/health")).body
    assert ill["venues"]["bybit.linear"]["state"] == "disconnected"
    (reason,) = ill["reasons"]
    assert reason.startswith("bybit.linear: no connection for ")
    assert (await gateway.get("/ready")).status == 200
    stats = await gateway.stats()
    assert stats["upstream"]["running"] is False
    assert stats["topics_by_state"] == {"reconnecting": 1}
    await venue.do("refuse_connections", refuse=False)
    await eventually(status, "healthy".__eq__, "it is healthy again")


async def test_metrics_are_prometheus_text_and_can_be_switched_off(stage: Stage) -> None:
    venue = await stage.venue()
    gateway = await stage.gateway(venue.url)
    client = await stage.client(gateway)
    await client.subscribe("ticker:BTCUSDT")
    await client.data(BTC)
    answer = await gateway.get("/metrics")
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = answer.body.splitlines()
    assert "feedmux_clients 1.0" in lines
    assert "feedmux_streams 1.0" in lines
    assert 'feedmux_venue_up{venue="bybit.linear"} 1.0' in lines
    assert 'feedmux_topics{state="live"} 1.0' in lines


@pytest.mark.parametrize(
    ("setting", "path"), [("METRICS_ENABLED", "/metrics"), ("HEALTH_CHECK_ENABLED", "/health")]
)
async def test_what_is_switched_off_is_not_found(stage: Stage, setting: str, path: str) -> None:
    venue = await stage.venue()
    gateway = await stage.gateway(venue.url, **{setting: "false"})
    assert (await gateway.get(path)).status == 404
    assert (await gateway.get("/ready")).status == 200


async def test_the_brand_names_streams_source_and_root(stage: Stage) -> None:
    venue = await stage.venue()
    gateway = await stage.gateway(venue.url, BRAND="acme")
    client = await stage.client(gateway)
    await client.subscribe("ticker:BTCUSDT")
    value = await client.data("acme.futures.ticker.BTCUSDT")
    assert value["source"] == "acme"
    assert (await gateway.get("/")).body["name"] == "Acme Futures WebSocket"
