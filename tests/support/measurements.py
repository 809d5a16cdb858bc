"""Measurements that were never made, for tests of how they are shown."""

from __future__ import annotations

from typing import Any

from feedmux.app.measurement import SCHEMA, Delays, Machine, Measurement, Point, Workload

MACHINE = Machine(host="0123abcd", cpu="A <fast> CPU", cores=2, kernel="6.1", python="3.11.7")


def delays(p50: float, p99: float, p999: float, measured: int = 10) -> Delays:
    """Latencies in milliseconds; p90 and the largest are their neighbours."""
    return Delays(measured=measured, p50_ms=p50, p90_ms=p99, p99_ms=p99, p999_ms=p999, max_ms=p999)


def point(**fields: Any) -> Point:
    """A clean run of ten deliveries in a second."""
    usual: dict[str, Any] = {
        "deliveries": 10, "deliveries_per_s": 10.0, "seconds": 1.0, "lost": 0, "disorder": 0, "duplicates": 0,
        "announced": 0, "closed": 0, "bytes": 100, "connect_seconds": 0.1, "load_busy": 0.1,
        "latency": delays(1.0, 2.0, 3.0),
    }  # fmt: skip
    return Point(**(usual | fields))


def measurement(*points: Point, **fields: Any) -> Measurement:
    """A measurement of a gateway of our own."""
    usual: dict[str, Any] = {
        "schema": SCHEMA, "at": "2026-11-21T08:00:00+00:00", "feedmux": "0.1.0", "machine": MACHINE,
        "commit": "c0ffee1234", "points": list(points), "notes": [],
        "workload": Workload(
            server="own gateway", clients=1000, topics=100, each=20, seconds=10.0, warmup_seconds=1.0,
            slow=0.0, stop_reading=0.0, processes=1, times="intended",
        ),
    }  # fmt: skip
    return Measurement(**(usual | fields))
