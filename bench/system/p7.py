"""P7: what slow clients cost the others, and what the gateway holds for them.

1,000 clients with 20 random ones of 100 topics, half of them trades (nothing may be left out: who
does not read is closed in the end) and half tickers (a newer value replaces an older one). A round is
one gateway that lives through three parts: everybody reads, some are slow, everybody reads again. The
p99 of those that are never slow is compared with the mean of the two parts around.

Two kinds of slow: 1 % of the clients read nothing at all, and 5 % read a tenth of what the others
get. A slow client that is closed comes back, so that the pressure stays. FANOUT_CALLBACK_TIMEOUT is
shorter than usual, so that a part sees stalled clients closed.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from bench.report import Cell, say, spread, table
from bench.system.gateway import Gateway
from bench.system.native import rss_bytes
from bench.system.run import Running, Sample, Workload, clean, disturbed, gateway, part, start, symbols

CLIENTS = 1_000
TOPICS = 100
EACH = 20
BYTES = 250
RATE = 2_000
STALL_S = 2.0
KINDS = {"1% stop reading": ("--stop-reading", 0.01), "5% at a tenth": ("--slow", 0.05, "--slow-factor", 0.1)}
TARGET = 1.10
_SETTLES_S = 2.0


def run(*, seconds: float, quick: bool) -> dict[str, Any]:
    """Measure alternating rounds of both kinds."""
    rounds: dict[str, list[dict[str, Any]]] = {kind: [] for kind in KINDS}
    for number in range(2 if quick else 5):
        for kind, options in KINDS.items():
            one = _round(options, seconds)
            rounds[kind].append(one)
            say(f"p7 round {number + 1}, {kind}: p99 {one['p99_ms']['calm']:.2f} ms, "
                f"with them {one['p99_ms']['slow']:.2f} ms")  # fmt: skip
    figures = {
        "workload": {"clients": CLIENTS, "topics": TOPICS, "each": EACH, "rate": RATE, "stall_s": STALL_S},
        "target_ratio": TARGET,
        "p99_ratio": {kind: spread([one["ratio"] for one in taken]) for kind, taken in rounds.items()},
        "clean": all(one["clean"] for taken in rounds.values() for one in taken),
        "rounds": rounds,
    }
    _print(figures)
    return figures


def _workload(options: Sequence[object]) -> Workload:
    names = symbols(TOPICS)
    half = TOPICS // 2
    return Workload(
        command=f"rate {RATE}",
        clients=CLIENTS,
        symbols=names[:half],
        tickers=names[half:],
        each=EACH,
        client_bytes=BYTES,
        seconds=0,
        venue=("--order", "random"),
        load=("--slow-waits", *options),
    )


def _round(options: Sequence[object], seconds: float) -> dict[str, Any]:
    work = _workload(options)
    with partial(gateway, settings={"FANOUT_CALLBACK_TIMEOUT": f"{STALL_S:g}"})(work) as running:
        start(running, work.command)
        before = part(running, seconds)
        held = [rss_bytes(running.server.pid)]
        slow = _slow_part(running, "on", seconds)
        held.append(rss_bytes(running.server.pid))
        after = _slow_part(running, "off", seconds)
        held.append(rss_bytes(running.server.pid))
        said = running.server.stats() if isinstance(running.server, Gateway) else {}
    calm = (before["p99_ns"] + after["p99_ns"]) / 2
    return {
        "p99_ms": {"calm": calm / 1e6, "slow": slow["p99_ns"] / 1e6},
        "ratio": slow["p99_ns"] / calm,
        "clean": clean(after),  # counted from the first message on
        "disturbed": sum(disturbed(sample) for sample in (before, slow, after)),
        "rss_bytes": dict(zip(("calm", "slow", "after"), held, strict=True)),
        "gateway": {name: said.get(name) for name in ("slow_clients", "closed_by_code")},
        "parts": {"before": before, "slow": slow, "after": after},
    }


def _slow_part(running: Running, how: str, seconds: float) -> Sample:
    running.load.tell(f"slow {how}")
    time.sleep(_SETTLES_S)
    return part(running, seconds)


def _print(figures: Mapping[str, Any]) -> None:
    rows: list[Sequence[Cell]] = []
    for kind, taken in figures["rounds"].items():
        ratio = figures["p99_ratio"][kind]
        closed = sum(sum((one["gateway"]["closed_by_code"] or {}).values()) for one in taken)
        rows.append([
            kind, _median(taken, "p99_ms", "calm"), _median(taken, "p99_ms", "slow"),
            ratio["median"], ratio["lowest"], ratio["highest"],
            _median(taken, "rss_bytes", "calm") / 1e6, _median(taken, "rss_bytes", "slow") / 1e6,
            sum(one["gateway"]["slow_clients"]["conflated"] for one in taken), closed,
            sum(one["parts"]["after"]["lost"] for one in taken), sum(one["disturbed"] for one in taken),
        ])  # fmt: skip
    columns = ["P7 slow clients", "p99 ms", "with them", "ratio", "lowest", "highest", "RSS MB", "with them",
               "conflated", "closed", "lost", "disturbed"]  # fmt: skip
    table(f"The others' latency at {RATE:,} msg/s, {CLIENTS:,} clients", columns, rows)
    if not any(row[8] or row[9] for row in rows):
        say("No slow client was ever felt: the kernel's buffers took all that they did not read.")
    say(f"target: p99 with them at most {TARGET} times p99 without; conflated and closed over all rounds")


def _median(taken: Sequence[Mapping[str, Any]], figure: str, which: str) -> float:
    return spread([one[figure][which] for one in taken])["median"]
