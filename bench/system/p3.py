"""P3 and P4: workload W: 1,000 clients with 20 random ones of 100 topics each, messages of 250 bytes.

The venue sends R trades a second over random topics; each makes 200 deliveries. First the highest
rate without loss is searched for every subject. Then come alternating rounds: in each, every subject
is started once and led through the fixed rates that it can bear, and through its own highest one and
nine tenths of it. So each figure is a median of rounds: deliveries, losses, CPU per delivery (P4),
latencies.

The C loop stands behind the same venue and sends each client the frames of its topics, of all that it
read at once, with one call. The rivals make the messages on their own clock.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from bench.report import Cell, say, spread, table
from bench.system.native import BenchError
from bench.system.rates import highest_rate, kept_up
from bench.system.rivals import Rival, rival
from bench.system.rounds import OURS
from bench.system.run import (
    Running,
    Sample,
    Topology,
    Workload,
    calm,
    clean,
    disturbed,
    drain,
    gateway,
    part,
    relay,
    start,
    symbols,
)
from bench.system.run import (
    run as run_once,
)

CLIENTS = 1_000
TOPICS = 100
EACH = 20
BYTES = 250
PER_MESSAGE = CLIENTS * EACH / TOPICS
RATES = (10_000, 20_000, 30_000, 40_000)
TARGETS = {
    "deliveries_per_s": 8_000_000,
    "p99_ms_at_10000": 10.0,
    "cpu_us_at_10000": 0.5,
    "cpu_us_at_40000": 0.13,
}
_FIRST_RATE = 2_500
_HIGHEST_RATE = 60_000
_SETTLES_S = 1.0
_SHARES = (0.9, 1.0)  # of its highest rate: the last tenth hangs on every disturbance
_WITHIN = 1.05  # a round may be a little better than the search was

Rounds = dict[str, dict[float, list[Sample]]]


def w(rate: float, *, seconds: float) -> Workload:
    """Workload W at a rate of messages a second."""
    return Workload(
        command=f"rate {rate:g}",
        clients=CLIENTS,
        symbols=symbols(TOPICS),
        each=EACH,
        client_bytes=BYTES,
        seconds=seconds,
        venue=("--order", "random"),
    )


def run(*, seconds: float, quick: bool, rivals: Sequence[Rival] = ()) -> dict[str, Any]:
    """Search each subject's highest rate, then measure alternating rounds."""
    subjects: dict[str, Topology] = {
        "gateway": gateway,
        "relay": partial(relay, batch=True),
        **{one.name: rival(one) for one in rivals},
    }
    found = {name: _search(name, subject, seconds, quick) for name, subject in subjects.items()}
    rounds: Rounds = {name: {} for name in subjects}
    for number in range(2 if quick else 5):
        for name, subject in subjects.items():
            _round(f"p3 round {number + 1} {name}", subject, rounds[name], found[name], seconds)
    figures = {
        "workload": {"clients": CLIENTS, "topics": TOPICS, "each": EACH, "message_bytes": BYTES},
        "targets": TARGETS,
        "highest_rate": found,
        "rates": {name: _summaries(taken) for name, taken in rounds.items()},
        "sustained_per_s": {name: _sustained(taken) for name, taken in rounds.items()},
        "ratio_of_highest_rates": {
            name: found["gateway"]["messages_per_s"] / other["messages_per_s"]
            for name, other in found.items()
            if name != "gateway" and other["messages_per_s"]
        },
        "samples": {name: {f"{rate:g}": taken for rate, taken in of.items()} for name, of in rounds.items()},
    }
    _print(figures)
    return figures


def _search(name: str, topology: Topology, seconds: float, quick: bool) -> dict[str, Any]:
    def trial(rate: float) -> Sample:
        return run_once(topology, w(rate, seconds=seconds))

    return highest_rate(
        f"p3 {name}",
        trial,
        first=_FIRST_RATE,
        highest=_HIGHEST_RATE,
        steps=2 if quick else 4,
        per_message=PER_MESSAGE,
    )


def _round(
    name: str, topology: Topology, into: dict[float, list[Sample]], found: Mapping[str, Any], seconds: float
) -> None:
    """Lead one subject through its rates; what comes after a loss is not asked any more."""
    highest = found["messages_per_s"]
    own = {round(highest * share) for share in _SHARES}
    rates = sorted({*(rate for rate in RATES if rate <= highest * _WITHIN), *own} - {0})
    if not rates:
        return
    try:
        with topology(w(rates[0], seconds=0)) as running:
            start(running, f"rate {rates[0]:g}")
            for rate in rates:
                sample = calm(partial(_at, running, rate, seconds))
                into.setdefault(rate, []).append(sample)
                say(f"{name} at {rate:,g} msg/s: {sample['deliveries_per_s']:,.0f} deliveries/s, "
                    f"{sample['cpu_us_per_delivery'] or 0:.3f} µs each, p99 {sample['p99_ns'] / 1e6:.1f} ms, "
                    f"lost {sample['lost']:,}")  # fmt: skip
                if not clean(sample):
                    break
    except BenchError as error:
        if name.rsplit(maxsplit=1)[-1] in OURS:
            raise
        say(f"{name}: {error}")


def _at(running: Running, rate: float, seconds: float) -> Sample:
    drain(running)
    running.source.tell(f"rate {rate:g}")
    time.sleep(_SETTLES_S)
    return {**part(running, seconds), "source": running.source.statistics()}


def _sustained(taken: Mapping[float, list[Sample]]) -> float:
    """Deliveries a second of the highest rate that held in every round."""
    held = [
        rate
        for rate, samples in taken.items()
        if all(kept_up(sample, rate * PER_MESSAGE) for sample in samples)
    ]
    return max(held, default=0.0) * PER_MESSAGE


def _summaries(taken: Mapping[float, list[Sample]]) -> dict[str, dict[str, Any]]:
    return {f"{rate:g}": _summary(rate, samples) for rate, samples in sorted(taken.items())}


def _summary(rate: float, samples: Sequence[Sample]) -> dict[str, Any]:
    figures = ("deliveries_per_s", "cpu_us_per_delivery", "p50_ns", "p99_ns", "p999_ns", "frames_per_read",
               "server_busy", "load_busy")  # fmt: skip
    return {
        **{figure: spread([sample[figure] or 0.0 for sample in samples]) for figure in figures},
        "lost": max(sample["lost"] for sample in samples),
        "runs": len(samples),
        "kept_up": sum(kept_up(sample, rate * PER_MESSAGE) for sample in samples),
        "disturbed": sum(disturbed(sample) for sample in samples),
    }


def _print(figures: Mapping[str, Any]) -> None:
    rows: list[Sequence[Cell]] = [
        [
            f"{name}, {float(rate):,.0f} msg/s", int(of["deliveries_per_s"]["median"]),
            of["cpu_us_per_delivery"]["median"], of["p50_ns"]["median"] / 1e6, of["p99_ns"]["median"] / 1e6,
            of["p999_ns"]["median"] / 1e6, of["frames_per_read"]["median"], of["load_busy"]["median"],
            of["lost"], f"{of['kept_up']}/{of['runs']}", of["disturbed"],
        ]
        for name, rates in figures["rates"].items()
        for rate, of in rates.items()
    ]  # fmt: skip
    columns = ["P3, P4", "deliveries/s", "CPU µs each", "p50 ms", "p99 ms", "p99.9 ms", "frames/read",
               "load busy", "lost", "kept up", "disturbed"]  # fmt: skip
    title = f"W: {CLIENTS:,} clients with {EACH} of {TOPICS} topics, {BYTES} bytes"
    table(title, columns, rows)
    for name, found in figures["highest_rate"].items():
        say(f"{name}: highest rate without loss {found['messages_per_s']:,.0f} msg/s, "
            f"{found['deliveries_per_s']:,.0f} deliveries/s; held in every round: "
            f"{figures['sustained_per_s'][name]:,.0f}")  # fmt: skip
    for name, ratio in figures["ratio_of_highest_rates"].items():
        say(f"gateway / {name}, highest rates: {ratio:.3f}")
    say("targets: 8,000,000 deliveries/s, p99 10 ms and 0.5 µs at 10,000 msg/s, 0.13 µs at 40,000 msg/s")
