"""Rivals on the same workloads: alternating runs of each, CPU per delivery from the system, losses reported.

Saturation first, then fixed rates, where latencies can be compared. What each rule of saturation is
stands at the head of the rival's own file in ``servers/``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bench.report import Cell, say, spread, table
from bench.rivals.catalogue import Subject, missing, subjects
from bench.rivals.gateway import GATEWAY
from bench.rivals.workload import BATCHED, MANY, ONE, Workload
from bench.system.native import BenchError, Load
from bench.system.run import Sample, calm, disturbed, measure

CLIENTS = 1_000
_WARMUP_S = 1.0
_COLUMNS = (
    "deliveries/s",
    "lowest",
    "highest",
    "CPU µs each",
    "p50 ms",
    "p99 ms",
    "frames/read",
    "load busy",
    "lost",
    "disturbed",
)


@dataclass(frozen=True)
class _Part:
    workload: Workload
    command: str


PARTS = (
    _Part(ONE, "saturate"),
    _Part(BATCHED, "saturate"),
    _Part(MANY, "saturate"),
    _Part(MANY, "rate 1000"),
    _Part(MANY, "rate 10000"),
)
"""What is measured, in this order."""


def rival_run(
    subject: Subject, workload: Workload, command: str, *, clients: int = CLIENTS, seconds: float
) -> Sample:
    """One measured run of one rival.

    Args:
        subject: from :func:`bench.rivals.subjects`.
        workload: which messages, for whom.
        command: ``rate R`` or ``saturate``.
        clients: how many.
        seconds: measured, after a second of warming up.

    Returns:
        What :func:`bench.system.run.measure` returns.

    Raises:
        BenchError: it did not start, clients failed to subscribe, or no data came.
    """
    times: list[object] = ["--seconds", seconds, "--warmup", _WARMUP_S]
    with subject(
        symbols=workload.symbols, topics=workload.topics, client_bytes=workload.client_bytes
    ) as server:
        arguments = [*server.load_arguments, *workload.load_arguments, *times]
        credit = getattr(server, "credit", None)
        with Load(server.port, clients=clients, credit=credit, arguments=arguments) as load:
            sample = measure(server, server, command, load=load, seconds=seconds)
            server.tell("stop")  # before the clients go
            return sample


def run(*, seconds: float, quick: bool, names: Sequence[str] | None = None) -> dict[str, Any]:
    """Measure every part in alternating rounds, the gateway among the rivals."""
    present = subjects(names)
    if GATEWAY.version is not None:
        present.insert(0, GATEWAY)
    parts = [_measure(part, present, seconds, rounds=1 if quick else 5) for part in PARTS]
    return {
        "clients": CLIENTS,
        "versions": {subject.name: subject.version for subject in present},
        "designs": {subject.name: subject.design for subject in present},
        "left_out": missing(names),
        "parts": parts,
    }


def _measure(part: _Part, present: Sequence[Subject], seconds: float, *, rounds: int) -> dict[str, Any]:
    samples: dict[str, list[Sample]] = {subject.name: [] for subject in present}
    failed: dict[str, str] = {}
    for number in range(rounds):
        for subject in present:
            if subject.name not in failed:
                say(f"{part.workload.name}, {part.command}, round {number + 1}: {subject.name}")
                _add(samples[subject.name], failed, subject, part, seconds)
    _print(part, samples, failed)
    return {
        "workload": part.workload.name,
        "message_bytes": part.workload.client_bytes,
        "command": part.command,
        "samples": samples,
        "failed": failed,
    }


def _add(taken: list[Sample], failed: dict[str, str], subject: Subject, part: _Part, seconds: float) -> None:
    """A rival that cannot do it is named in the results; the others go on."""
    try:
        taken.append(calm(lambda: rival_run(subject, part.workload, part.command, seconds=seconds)))
    except BenchError as error:
        failed[subject.name] = str(error)


def _print(part: _Part, samples: dict[str, list[Sample]], failed: dict[str, str]) -> None:
    rows = [_row(name, taken) for name, taken in samples.items() if taken]
    load = f"{CLIENTS:,} clients, {part.workload.client_bytes} bytes, {part.command}"
    table(f"{part.workload.question}; {load}", ["", *_COLUMNS], rows)
    for name, reason in failed.items():
        say(f"{name} could not be measured: {reason}")


def _row(name: str, taken: Sequence[Sample]) -> list[Cell]:
    def median(figure: str, scale: float = 1.0) -> float:
        return spread([(sample[figure] or 0.0) * scale for sample in taken])["median"]

    rate = spread([sample["deliveries_per_s"] for sample in taken])
    return [
        name, int(rate["median"]), int(rate["lowest"]), int(rate["highest"]), median("cpu_us_per_delivery"),
        median("p50_ns", 1e-6), median("p99_ns", 1e-6), median("frames_per_read"), median("load_busy"),
        sum(sample["lost"] for sample in taken), sum(disturbed(sample) for sample in taken),
    ]  # fmt: skip
