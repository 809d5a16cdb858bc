"""P8: a storm of connections: handshakes a second on one core, and what the connected ones notice.

500 clients get 50 messages a second. Then 10,000 more come as fast as they can, 500 handshakes under
way at once, each with one subscription to a topic that never ticks. All of them go when the round ends.
The storm shares its core with the venue and the watchers, so it yields to them (nice 19): what they
notice is the server's doing, not that of a busy neighbour. CPU per handshake is what the server used
during the storm beyond what it used before, for TCP, upgrade and subscription together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bench.report import Cell, say, spread, table
from bench.system.native import Load, cpu_seconds
from bench.system.run import Running, Workload, clean, gateway, part, start, symbols

WATCHERS = 500
RATE = 50
STORM = 10_000
QUIET_TOPICS = 100
PARALLEL = 500
TARGETS = {"handshakes_per_s": 5_000, "p99_ratio": 2.0}

_WORK = Workload(
    command=f"rate {RATE}",
    clients=WATCHERS,
    client_bytes=420,
    seconds=0,
    venue=("--topics", "publicTrade.BTCUSDT"),
)


def run(*, seconds: float, quick: bool) -> dict[str, Any]:
    """Measure rounds, each with a gateway of its own."""
    rounds = []
    for number in range(2 if quick else 5):
        one = _round(STORM // 2 if quick else STORM, seconds)
        rounds.append(one)
        say(f"p8 round {number + 1}: {one['handshakes_per_s']:,.0f} handshakes/s, p99 "
            f"{one['p99_ms']['before']:.2f} ms before, {one['p99_ms']['storm']:.2f} ms during")  # fmt: skip
    names = ("handshakes_per_s", "cpu_us_per_handshake", "p99_ratio")
    figures = {
        "watchers": WATCHERS,
        "rate": RATE,
        "storm": STORM,
        "targets": TARGETS,
        **{name: spread([one[name] for one in rounds]) for name in names},
        "clean": all(one["clean"] for one in rounds),
        "rounds": rounds,
    }
    _print(figures)
    return figures


def _round(count: int, seconds: float) -> dict[str, Any]:
    with gateway(_WORK) as running:
        start(running, _WORK.command)
        before = part(running, seconds)
        ready, used, during = _storm(running, count)
    idle = before["server_busy"] * ready["seconds"]
    return {
        "handshakes_per_s": count / ready["seconds"],
        "cpu_us_per_handshake": (used - idle) / count * 1e6,
        "p99_ms": {"before": before["p99_ns"] / 1e6, "storm": during["p99_ns"] / 1e6},
        "p99_ratio": during["p99_ns"] / before["p99_ns"],
        "clean": clean(during),
        "parts": {"before": before, "storm": during},
    }


def _storm(running: Running, count: int) -> tuple[dict[str, Any], float, dict[str, Any]]:
    """Let them come; returns what the storm said, the server's CPU time, and what the watchers saw."""
    topics = ",".join(f"trade:{symbol}" for symbol in symbols(QUIET_TOPICS))
    options = ["--idle", "--topics", topics, "--each", 1, "--sources", 4, "--parallel", PARALLEL]
    _next(running)
    used = cpu_seconds(running.server.pid)
    with Load(running.server.port, clients=count, arguments=options, yielding=True) as load:
        ready = load.ready()
        used = cpu_seconds(running.server.pid) - used
        during = _next(running)
    return ready, used, during


def _next(running: Running) -> dict[str, Any]:
    running.load.tell("next")
    return running.load.line(10)


def _print(figures: Mapping[str, Any]) -> None:
    rows: list[Sequence[Cell]] = [
        [name, figures[name]["median"], figures[name]["lowest"], figures[name]["highest"]]
        for name in ("handshakes_per_s", "cpu_us_per_handshake", "p99_ratio")
    ]
    title = f"{STORM:,} connections beside {WATCHERS} clients at {RATE} msg/s"
    table(title, ["P8 storm", "median", "lowest", "highest"], rows)
    say(f"targets: {TARGETS['handshakes_per_s']:,} handshakes/s, "
        f"p99 of the connected ones at most {TARGETS['p99_ratio']:g} times")  # fmt: skip
