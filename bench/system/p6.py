"""P6: what a connected, idle client costs in memory: 10,000 clients with 20 subscriptions each.

The topics never tick, so nothing but connections and subscriptions is measured. A process may
have 20,000 descriptors here: 10,000 clients need 10,000 in the gateway and as many in the load.
"""

from __future__ import annotations

import time
from typing import Any

from bench.report import Cell, say, table
from bench.system.gateway import Gateway
from bench.system.native import Load, Venue, rss_bytes

CLIENTS = 10_000
EACH = 20
TOPICS = 100
TARGET_BYTES = 8 * 1024
_WARMING = 100  # clients that come and go first: what is loaded once belongs to no client
_CALM_S = 2.0
_LONGEST_CALM_S = 20.0


def run(*, seconds: float, quick: bool) -> dict[str, Any]:
    """Compare the resident memory before and after the clients came."""
    del seconds
    clients = 2_000 if quick else CLIENTS
    with Venue() as venue, Gateway(venue.port) as gateway:
        fresh = rss_bytes(gateway.pid)
        with _clients(gateway.port, _WARMING) as load:
            load.ready()
        before = _settled(gateway.pid)
        with _clients(gateway.port, clients) as load:
            ready = load.ready(120)
            after = _settled(gateway.pid)
        gone = _settled(gateway.pid)
    figures = {
        "clients": clients,
        "subscriptions_each": EACH,
        "topics": TOPICS,
        "target_bytes_per_client": TARGET_BYTES,
        "bytes_per_client": (after - before) / clients,
        "rss_bytes": {"fresh": fresh, "warm": before, "full": after, "left": gone},
        "connect_and_subscribe_per_s": clients / ready["seconds"],
    }
    columns = ["P6 memory", "bytes/client", "RSS before", "RSS after", "RSS when gone", "connects/s"]
    row: list[Cell] = [
        "gateway",
        int((after - before) / clients),
        before,
        after,
        gone,
        int(clients / ready["seconds"]),
    ]
    table(f"{clients:,} idle clients with {EACH} of {TOPICS} topics", columns, [row])
    say(f"target: at most {TARGET_BYTES:,} bytes per client")
    return figures


def _clients(port: int, count: int) -> Load:
    topics = ",".join(f"trade:S{number:03d}USDT" for number in range(TOPICS))
    return Load(
        port,
        clients=count,
        arguments=["--idle", "--topics", topics, "--each", EACH, "--sources", 4, "--deadline", 110],
    )


def _settled(pid: int) -> int:
    """The resident size once it stays within 0.5 % for two seconds."""
    started = calm_since = time.monotonic()
    size = rss_bytes(pid)
    while time.monotonic() - calm_since < _CALM_S and time.monotonic() - started < _LONGEST_CALM_S:
        time.sleep(0.2)
        now = rss_bytes(pid)
        if abs(now - size) > size * 0.005:
            size, calm_since = now, time.monotonic()
    return rss_bytes(pid)
