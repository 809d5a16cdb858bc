"""P5: venue frame in, client frame out: latency at 50 messages a second.

With 1,000 clients most of the latency is the loop over the clients, which the C loop has too; so
what counts is the ratio to it, round by round. With one client it is the gateway's own path.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from bench.report import say, spread, table
from bench.system.rounds import ratios
from bench.system.run import Sample, Workload, calm, clean, disturbed, floor, gateway, relay
from bench.system.run import run as run_once

CLIENTS = 1_000
RATE = 50
BYTES = 420
TARGETS = {"p50_ns": 1.1, "p99_ns": 1.2}
TARGETS_OF_ONE_MS = {"p50_ns": 0.15, "p99_ns": 0.5}
_SUBJECTS = {"gateway": gateway, "floor": floor, "relay": relay}


def run(*, seconds: float, quick: bool) -> dict[str, Any]:
    """Measure alternating rounds of 1,000 clients and of one."""
    many = _rounds(CLIENTS, seconds, 3 if quick else 9)
    one = _rounds(1, seconds, 1 if quick else 3)
    figures = {
        "rate": RATE,
        "clients": CLIENTS,
        "message_bytes": BYTES,
        "targets": {"ratio_to_floor": TARGETS, "one_client_ms": TARGETS_OF_ONE_MS},
        "ratio_to_floor": {name: ratios(many, "floor", name) for name in TARGETS},
        "ratio_to_relay": {name: ratios(many, "relay", name) for name in TARGETS},
        "one_client_ms": {name: spread(_milliseconds(one["gateway"], name)) for name in TARGETS},
        "clean": all(clean(sample) for group in (many, one) for taken in group.values() for sample in taken),
        "samples": {"many": many, "one": one},
    }
    _print(many, one, figures)
    return figures


def _rounds(clients: int, seconds: float, count: int) -> dict[str, list[Sample]]:
    work = Workload(command=f"rate {RATE}", clients=clients, client_bytes=BYTES, seconds=seconds)
    samples: dict[str, list[Sample]] = {name: [] for name in _SUBJECTS}
    for number in range(count):
        for name, subject in _SUBJECTS.items():
            sample = calm(partial(run_once, subject, work))
            samples[name].append(sample)
            say(f"p5 round {number + 1} of {clients:,} {name}: p50 {sample['p50_ns'] / 1e6:.3f} ms, "
                f"p99 {sample['p99_ns'] / 1e6:.3f} ms")  # fmt: skip
    return samples


def _milliseconds(samples: list[Sample], percentile: str) -> list[float]:
    return [sample[percentile] / 1e6 for sample in samples]


def _print(many: dict[str, list[Sample]], one: dict[str, list[Sample]], figures: dict[str, Any]) -> None:
    rows = []
    for label, group in ((f"{CLIENTS:,}", many), ("1", one)):
        for name, taken in group.items():
            p50, p99 = (spread(_milliseconds(taken, percentile)) for percentile in TARGETS)
            rows.append([
                f"{name}, {label} clients", p50["median"], p50["lowest"], p50["highest"],
                p99["median"], p99["lowest"], p99["highest"],
                sum(sample["lost"] for sample in taken), sum(disturbed(sample) for sample in taken),
            ])  # fmt: skip
    columns = ["P5 latency, ms", "p50", "lowest", "highest", "p99", "lowest", "highest", "lost", "disturbed"]
    table(f"{RATE} messages a second, {BYTES} bytes", columns, rows)
    for percentile, target in TARGETS.items():
        for name in ("floor", "relay"):
            ratio = figures[f"ratio_to_{name}"][percentile]
            say(f"gateway / {name} {percentile[:3]}: {ratio['median']:.3f} "
                f"({ratio['lowest']:.3f} to {ratio['highest']:.3f}); target ≤ {target}")  # fmt: skip
