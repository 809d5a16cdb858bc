from __future__ import annotations

import pytest

from feedmux.client import telemetry_events as events
from feedmux.client.telemetry_events import TelemetryEvent

EXAMPLES: list[tuple[TelemetryEvent, str, dict[str, object], dict[str, object]]] = [
    (
        events.ConnectionUpgrade(connect_time_ms=12.5, url="wss://h/ws"),
        "connection.upgrade",
        {"connect_time_ms": 12.5},
        {"url": "wss://h/ws"},
    ),
    (
        events.HeartbeatPong(rtt_ms=3.0, kind="deribit"),
        "heartbeat.pong",
        {"rtt_ms": 3.0},
        {"type": "deribit"},
    ),
    (
        events.RateLimiterConsume(tokens_remaining=9.0, cost=1.0, limiter="deribit"),
        "rate_limiter.consume",
        {"tokens_remaining": 9.0, "cost": 1.0},
        {"name": "deribit"},
    ),
    (
        events.RateLimiterRefill(tokens_before=1.0, tokens_after=9.0, refill_rate=8.0, limiter="d"),
        "rate_limiter.refill",
        {"tokens_before": 1.0, "tokens_after": 9.0, "refill_rate": 8.0},
        {"name": "d"},
    ),
    (
        events.RequestTrack(count=1, id=7, timeout_ms=3000.0),
        "request_correlator.track",
        {"count": 1},
        {"id": 7, "timeout_ms": 3000.0},
    ),
    (
        events.RequestResolve(count=0, round_trip_ms=4.0, id="a"),
        "request_correlator.resolve",
        {"count": 0, "round_trip_ms": 4.0},
        {"id": "a"},
    ),
    (events.RequestTimeout(count=0, id=7), "request_correlator.timeout", {"count": 0}, {"id": 7}),
    (
        events.RequestFailAll(count=2, ids=(7, 8), reason="cut"),
        "request_correlator.fail_all",
        {"count": 2},
        {"ids": (7, 8), "reason": "cut"},
    ),
    (
        events.SubscriptionAdd(count=1, channel="a"),
        "subscription_manager.add",
        {"count": 1},
        {"channel": "a"},
    ),
    (
        events.SubscriptionRemove(count=0, channel="a"),
        "subscription_manager.remove",
        {"count": 0},
        {"channel": "a"},
    ),
    (
        events.SubscriptionRestore(channel_count=2, channels=("a", "b")),
        "subscription_manager.restore",
        {"channel_count": 2},
        {"channels": ("a", "b")},
    ),
    (
        events.PoolRoute(health=90, pool_size=2, selected="a"),
        "pool.route",
        {"health": 90, "pool_size": 2},
        {"selected": "a"},
    ),
    (
        events.PoolHealth(pool_size=2, avg_health=95.0),
        "pool.health",
        {"pool_size": 2, "avg_health": 95.0},
        {},
    ),
    (
        events.PoolFailover(attempt=1, failed="a", reason="cut"),
        "pool.failover",
        {"attempt": 1},
        {"failed": "a", "reason": "cut"},
    ),
    (
        events.SupervisorRestart(failures=1, wait_ms=50.0, child="a", reason="cut"),
        "supervisor.restart",
        {"failures": 1, "wait_ms": 50.0},
        {"child": "a", "reason": "cut"},
    ),
]


@pytest.mark.parametrize(
    ("event", "name", "measures", "metadata"), EXAMPLES, ids=[row[1] for row in EXAMPLES]
)
def test_an_event_has_a_name_measures_and_metadata(
    event: TelemetryEvent, name: str, measures: dict[str, object], metadata: dict[str, object]
) -> None:
    assert event.name == ("feedmux", *name.split("."))
    assert event.measures == measures
    assert event.metadata == metadata


def test_every_event_is_tried() -> None:
    assert {type(row[0]) for row in EXAMPLES} == set(TelemetryEvent.__subclasses__())
    assert len({row[0].name for row in EXAMPLES}) == len(EXAMPLES)


def test_events_do_not_change() -> None:
    with pytest.raises(AttributeError):
        EXAMPLES[0][0].url = "x"  # type: ignore[attr-defined]
