"""Alternating rounds: every subject once, then all again, so that a machine's moods meet all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from bench.report import Cell, say, spread, table
from bench.system.native import BenchError
from bench.system.run import Sample, calm, clean, disturbed

Subjects = Mapping[str, Callable[[], Sample]]
Samples = dict[str, list[Sample]]
Add = Callable[[Samples, str, Callable[[], Sample]], None]

OURS = ("gateway", "relay", "floor", "single", "single relay")
"""What must be measured; a rival that fails is said to have failed, and left out."""


def alternate(bench: str, subjects: Subjects, rounds: int) -> Samples:
    """Measure each subject once per round.

    Raises:
        BenchError: one of ours could not be measured.
    """
    samples: Samples = {name: [] for name in subjects}
    for number in range(rounds):
        for name, subject in subjects.items():
            if name not in samples:
                continue
            try:
                sample = calm(subject)
            except BenchError as error:
                if name in OURS:
                    raise
                say(f"{bench}: {name} is left out: {error}")
                del samples[name]
                continue
            samples[name].append(sample)
            say(f"{bench} round {number + 1} {name}: {_in_short(sample)}")
    return samples


def alternate_parts(
    bench: str, parts: Mapping[str, Subjects], *, rounds: int, add: Add
) -> dict[str, Samples]:
    """Measure each subject of each part once per round.

    Args:
        bench: as in the results.
        parts: the subjects of each part, by name.
        rounds: how many.
        add: takes the next sample of a subject, or leaves it out by deleting its name.
    """
    samples: dict[str, Samples] = {part: {name: [] for name in subjects} for part, subjects in parts.items()}
    for number in range(rounds):
        for part, subjects in parts.items():
            for name, subject in subjects.items():
                if name in samples[part]:
                    add(samples[part], name, subject)
            say(f"{bench} round {number + 1}, {part}: measured {', '.join(samples[part])}")
    return samples


def ratios(samples: Samples, other: str, figure: str = "deliveries_per_s") -> dict[str, float]:
    """The gateway's figure in terms of another's, round by round: median, lowest, highest."""
    pairs = zip(samples["gateway"], samples[other], strict=True)
    return spread([ours[figure] / theirs[figure] for ours, theirs in pairs])


def all_ratios(samples: Samples) -> dict[str, dict[str, float]]:
    """The same to each of the others: of deliveries, and of CPU time for each (where less is better)."""
    others = [name for name in samples if name != "gateway"]
    return {
        **{f"ratio_to_{name}": ratios(samples, name) for name in others},
        **{f"cpu_ratio_to_{name}": ratios(samples, name, "cpu_us_per_delivery") for name in others},
    }


def all_clean(samples: Samples) -> bool:
    """Whether nothing was lost, reordered or cut in any run of ours."""
    return all(clean(sample) for name, taken in samples.items() if name in OURS for sample in taken)


def print_saturation(title: str, bench: str, samples: Samples) -> None:
    """One line per subject: what it delivered at full speed."""
    rows: list[Sequence[Cell]] = []
    for name, taken in samples.items():
        rate = spread([sample["deliveries_per_s"] for sample in taken])
        rows.append([
            name, int(rate["median"]), int(rate["lowest"]), int(rate["highest"]),
            _median(taken, "cpu_us_per_delivery"), _median(taken, "frames_per_read"),
            _median(taken, "server_busy"), _median(taken, "load_core_busy"),
            sum(sample["lost"] for sample in taken), sum(disturbed(sample) for sample in taken),
        ])  # fmt: skip
    columns = [f"{bench} saturation", "deliveries/s", "lowest", "highest", "CPU µs each", "frames/read",
               "server busy", "core 1 busy", "lost", "disturbed"]  # fmt: skip
    table(title, columns, rows)


def print_ratios(figures: Mapping[str, object], samples: Samples) -> None:
    """One line per subject that the gateway is compared with."""
    for name in samples:
        ratio, cpu = figures.get(f"ratio_to_{name}"), figures.get(f"cpu_ratio_to_{name}")
        if isinstance(ratio, dict) and isinstance(cpu, dict):
            say(f"gateway / {name}: {ratio['median']:.3f} ({ratio['lowest']:.3f} to {ratio['highest']:.3f}), "
                f"CPU time for each {cpu['median']:.3f}")  # fmt: skip


def _median(taken: Sequence[Sample], figure: str) -> float:
    return spread([sample[figure] or 0.0 for sample in taken])["median"]


def _in_short(sample: Sample) -> str:
    missing = "".join(f", {name} {sample[name]:,}" for name in ("lost", "closed") if sample[name])
    return (
        f"{sample['deliveries_per_s']:,.0f} deliveries/s, p99 {sample['p99_ns'] / 1e6:.1f} ms, "
        f"{sample['frames_per_read']:.1f} frames/read{missing}"
    )
