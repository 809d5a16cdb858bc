"""Draw docs/pictures/latency-over-load.svg and its table in docs/benchmarks.md from the newest stored result.

A result is stored by giving the document that ``feedmux bench --json`` wrote::

    .venv/bin/python scripts/charts.py load.json

Without an argument the page is made again from what is stored. Nothing else may write these figures.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from feedmux.app.chart import latency_over_load
from feedmux.app.measurement import Measurement, per_second, read
from feedmux.app.measurement_table import UNKNOWN, milliseconds

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "bench" / "results"
PAGE = ROOT / "docs" / "benchmarks.md"
PICTURE = ROOT / "docs" / "pictures" / "latency-over-load.svg"
BEGIN, END = (f"<!-- made by scripts/charts.py: {word} -->\n" for word in ("begin", "end"))
NOTHING = "No measurement of this kind is stored yet.\n"


def stored_name(measured: Measurement) -> str:
    """The name under which a result is stored: day, host, commit."""
    commit = (measured.commit or measured.feedmux).replace("+", "-dirty")
    return f"{measured.at[:10]}-{measured.machine.host}-{commit}-load.json"


def newest(folder: Path = RESULTS) -> Path | None:
    """The file of the latest measurement; None when there is none."""
    return max(folder.glob("*-load.json"), key=lambda path: read(path).at, default=None)


def section(path: Path | None) -> str:
    """What stands between the marks of the page."""
    if path is None:
        return NOTHING
    return "".join(f"{line}\n" for line in _lines(read(path), path.name))


def _lines(measured: Measurement, name: str) -> Iterator[str]:
    work = measured.workload
    yield f"![Latency over load: p50, p99 and p99.9 over deliveries per second](pictures/{PICTURE.name})"
    yield ""
    yield (
        f"{measured.title}. {work.clients:,} clients with {work.each} of {work.topics} topics each, "
        f"{work.seconds:g} s per run, all on one machine; [the file](../bench/results/{name})."
    )
    yield ""
    yield "| messages/s | deliveries/s | lost | p50, ms | p99, ms | p99.9, ms | CPU per delivery, µs |"
    yield "|---:|---:|---:|---:|---:|---:|---:|"
    for point in measured.points:
        late = point.latency
        cells = [
            per_second(point.rate) if point.rate is not None else UNKNOWN,
            f"{point.deliveries_per_s:,.0f}",
            f"{point.lost:,}",
            *(milliseconds(value) for value in ((late.p50_ms, late.p99_ms, late.p999_ms) if late else ())),
            *([] if late else [UNKNOWN] * 3),
            f"{point.cpu_us_per_delivery:,.2f}" if point.cpu_us_per_delivery is not None else UNKNOWN,
        ]
        yield f"| {' | '.join(cells)} |"
    yield from (f"\nNote: {note}." for note in measured.notes)


def put(text: str, made: str) -> str:
    """The page with ``made`` between its marks."""
    found = re.compile(f"(?<={re.escape(BEGIN)}).*?(?={re.escape(END)})", re.DOTALL)
    return found.sub(lambda _: made, text)


def main(words: list[str]) -> None:
    """Store what is given, then make page and picture."""
    for word in words:
        measured = read(Path(word))
        (RESULTS / stored_name(measured)).write_bytes(measured.encode())
    path = newest()
    PAGE.write_text(put(PAGE.read_text("utf-8"), section(path)), "utf-8")
    picture = latency_over_load(read(path)) if path else None
    if picture is None:
        PICTURE.unlink(missing_ok=True)
    else:
        PICTURE.write_text(picture, "utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
