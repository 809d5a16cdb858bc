"""P1: one topic, 1,000 clients, one message per flush: deliveries a second on one core.

Saturation is a closed loop: the venue has two messages under way, and each one that reached every
client lets the next one go. The server never waits for work, and never has more than one message
to put into a flush ("frames_per_read" near 1 shows it). The C loop is measured in the same way
behind the same venue (relay), and on its own clock (floor), where it has nothing to read at all.

The rate search then asks another question: how many messages a second does the gateway take
without loss when it may form batches?
"""

from __future__ import annotations

from functools import partial
from typing import Any

from bench.report import say, spread, table
from bench.system.run import Sample, calm, clean, disturbed, floor_run, gateway_run, relay_run

CLIENTS = 1_000
BYTES = 420
TARGET = 0.95
_P99_BOUND_NS = 1_000_000_000  # a backlog that grows shows as latency before it shows as loss
_HIGHEST_RATE = 40_000


def run(*, seconds: float, quick: bool) -> dict[str, Any]:
    """Measure alternating rounds, then search the highest rate without loss."""
    subjects = {
        "gateway": partial(gateway_run, "window 2", clients=CLIENTS, seconds=seconds, client_bytes=BYTES),
        "relay": partial(relay_run, "window 2", clients=CLIENTS, seconds=seconds, client_bytes=BYTES),
        "floor": partial(floor_run, "saturate", clients=CLIENTS, seconds=seconds, client_bytes=BYTES),
    }
    samples: dict[str, list[Sample]] = {name: [] for name in subjects}
    for number in range(2 if quick else 5):
        for name, subject in subjects.items():
            sample = calm(subject)
            samples[name].append(sample)
            say(f"p1 round {number + 1} {name}: {sample['deliveries_per_s']:,.0f} deliveries/s")
    search = _highest_rate(min(seconds, 3.0), steps=3 if quick else 6)
    figures = {
        "clients": CLIENTS,
        "message_bytes": BYTES,
        "target_ratio_to_floor": TARGET,
        "ratio_to_floor": spread(_ratios(samples, "floor")),
        "ratio_to_relay": spread(_ratios(samples, "relay")),
        "clean": all(clean(sample) for taken in samples.values() for sample in taken),
        "samples": samples,
        "highest_rate": search,
    }
    _print(samples, figures)
    return figures


def _ratios(samples: dict[str, list[Sample]], name: str) -> list[float]:
    pairs = zip(samples["gateway"], samples[name], strict=True)
    return [ours["deliveries_per_s"] / theirs["deliveries_per_s"] for ours, theirs in pairs]


def _holds(sample: Sample, rate: float, seconds: float) -> bool:
    wanted = rate * CLIENTS * seconds
    return clean(sample) and sample["deliveries"] >= 0.98 * wanted and sample["p99_ns"] < _P99_BOUND_NS


def _highest_rate(seconds: float, *, steps: int) -> dict[str, Any]:
    """Double the rate until it does not hold, then halve the interval ``steps`` times."""
    tried: list[dict[str, Any]] = []

    def holds(rate: float) -> bool:
        sample = gateway_run(f"rate {rate:g}", clients=CLIENTS, seconds=seconds, client_bytes=BYTES)
        held = _holds(sample, rate, seconds)
        tried.append({"rate": rate, "held": held, "sample": sample})
        say(f"p1 {rate:g} msg/s: {'held' if held else 'not held'}, p99 {sample['p99_ns'] / 1e6:.1f} ms")
        return held

    low, high = 0.0, 100.0
    while high <= _HIGHEST_RATE and holds(high):
        low, high = high, high * 2
    for _ in range(steps if high <= _HIGHEST_RATE else 0):
        middle = round((low + high) / 2)
        low, high = (middle, high) if holds(middle) else (low, middle)
    return {"messages_per_s": low, "deliveries_per_s": low * CLIENTS, "tried": tried}


def _print(samples: dict[str, list[Sample]], figures: dict[str, Any]) -> None:
    rows = []
    for name, taken in samples.items():
        rate = spread([sample["deliveries_per_s"] for sample in taken])
        cpu = spread([sample["cpu_us_per_delivery"] for sample in taken])
        rows.append([
            name, int(rate["median"]), int(rate["lowest"]), int(rate["highest"]), cpu["median"],
            spread([sample["frames_per_read"] for sample in taken])["median"],
            sum(sample["lost"] for sample in taken), sum(disturbed(sample) for sample in taken),
        ])  # fmt: skip
    columns = [
        "P1 saturation",
        "deliveries/s",
        "lowest",
        "highest",
        "CPU µs each",
        "frames/read",
        "lost",
        "disturbed",
    ]
    table(f"One topic, {CLIENTS:,} clients, {BYTES} bytes", columns, rows)
    for name in ("floor", "relay"):
        ratio = figures[f"ratio_to_{name}"]
        say(f"gateway / {name}: {ratio['median']:.3f} ({ratio['lowest']:.3f} to {ratio['highest']:.3f})")
    say(f"target: gateway / floor at least {TARGET}")
    found = figures["highest_rate"]
    say(f"highest rate without loss, batches allowed: {found['messages_per_s']:,g} msg/s, "
        f"{found['deliveries_per_s']:,g} deliveries/s")  # fmt: skip
