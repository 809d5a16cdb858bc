"""Draw latency over load as SVG: a line each for p50, p99 and p99.9, on a logarithmic axis.

Pure: figures in, text out. The picture loads nothing, follows the reader's light or dark preference,
and tells its lines apart by dashes and labels too, not by colour alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple
from xml.sax.saxutils import escape

from feedmux.app.measurement import Measurement, Point

WIDTH, HEIGHT = 760, 430
LEFT, RIGHT, TOP, BOTTOM = 74, 684, 76, 366
"""The frame of the plot; labels of the lines stand to the right of it."""
_LABEL_STEP = 15

LINES: Final = (("p50", "p50_ms"), ("p99", "p99_ms"), ("p99.9", "p999_ms"))
STYLE: Final = """\
  .back { fill: #ffffff } .ink { fill: #1c2430 } .soft { fill: #5a6472 }
  .grid { stroke: #e2e6eb } .frame { stroke: #8a94a2; fill: none }
  .line { fill: none; stroke-width: 2.2; stroke-linejoin: round }
  .p50 { stroke: #0b7a75 } .p99 { stroke: #b35c00; stroke-dasharray: 9 4 }
  .p999 { stroke: #b0003a; stroke-dasharray: 2 4 }
  .dot { stroke-width: 2; stroke-dasharray: none; fill: #ffffff }
  .lost { fill: #b0003a }
  text { font: 13px system-ui, "Segoe UI", "DejaVu Sans", sans-serif }
  .title { font-size: 17px; font-weight: 600 } .small { font-size: 12px }
  @media (prefers-color-scheme: dark) {
    .back, .dot { fill: #11161d } .ink { fill: #e8edf3 } .soft { fill: #a3adba }
    .grid { stroke: #29313c } .frame { stroke: #6b7683 }
    .p50 { stroke: #3fc7bf } .p99 { stroke: #f2a24a } .p999 { stroke: #ff7296 } .lost { fill: #ff7296 }
  }
"""


class Scale(NamedTuple):
    """A mapping from values to places of the picture.

    Args:
        low: the value at ``start``.
        high: the value at ``end``.
        start: a coordinate.
        end: a coordinate.
        log: whether equal ratios take equal room, instead of equal differences.
    """

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def at(self, value: float) -> float:
        """Where a value stands."""
        low, high = (math.log(self.low), math.log(self.high)) if self.log else (self.low, self.high)
        part = ((math.log(value) if self.log else value) - low) / (high - low)
        return round(self.start + part * (self.end - self.start), 1)


def latency_over_load(measured: Measurement) -> str | None:
    """The picture of a measurement; None when no latency is known."""
    points = sorted((p for p in measured.points if p.latency), key=lambda p: p.deliveries_per_s)
    if not points:
        return None
    across, up = _scales(points)
    parts = [
        *_head(measured),
        *_load_axis(across),
        *_latency_axis(up),
        f'<rect class="frame" x="{LEFT}" y="{TOP}" width="{RIGHT - LEFT}" height="{BOTTOM - TOP}"/>',
        *_lines(points, across, up),
        *_losses(points, across),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _scales(points: Sequence[Point]) -> tuple[Scale, Scale]:
    values = [getattr(p.latency, name) for p in points for _, name in LINES]
    values = [max(value, 0.001) for value in values]
    low, high = 10 ** math.floor(math.log10(min(values))), 10 ** math.ceil(math.log10(max(values)) + 1e-9)
    most = points[-1].deliveries_per_s
    step = nice_step(most)
    return (
        Scale(0, math.ceil(most * 1.02 / step) * step, LEFT, RIGHT),
        Scale(low, high if high > low else low * 10, BOTTOM, TOP, log=True),
    )


def nice_step(most: float) -> float:
    """A step of 1, 2 or 5 times a power of ten that divides an axis up to ``most`` into about five."""
    raw = max(most, 1.0) / 5
    power = 10 ** math.floor(math.log10(raw))
    return float(next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw))


def _head(measured: Measurement) -> Iterator[str]:
    work = measured.workload
    each = f"{work.each} of {work.topics}" if work.each and work.each < work.topics else f"{work.topics}"
    streams = f"{each} stream{'s' if work.topics > 1 else ''} each"
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'width="{WIDTH}" height="{HEIGHT}" role="img">'
    )
    yield f"<title>Latency over load: {escape(measured.title)}</title>"
    yield f"<style>\n{STYLE}</style>"
    yield f'<rect class="back" width="{WIDTH}" height="{HEIGHT}"/>'
    yield _text("Latency over load", 20, 28, "ink title")
    yield _text(f"{work.clients:,} clients, {streams}", 20, 48, "soft")
    yield _text(measured.title, 20, HEIGHT - 12, "soft small")


def _load_axis(across: Scale) -> Iterator[str]:
    step = nice_step(across.high / 1.02)
    for number in range(round(across.high / step) + 1):
        value = number * step
        x = across.at(value)
        yield f'<line class="grid" x1="{x}" y1="{TOP}" x2="{x}" y2="{BOTTOM}"/>'
        yield _text(short(value), x, BOTTOM + 18, "soft small", "middle")
    yield _text("deliveries per second", (LEFT + RIGHT) / 2, BOTTOM + 36, "ink small", "middle")


def _latency_axis(up: Scale) -> Iterator[str]:
    factors = (1, 2, 5) if up.high / up.low <= 10**5 else (1,)
    value = up.low
    while value <= up.high * 1.001:
        for factor in factors:
            if value * factor <= up.high * 1.001:
                y = up.at(value * factor)
                yield f'<line class="grid" x1="{LEFT}" y1="{y}" x2="{RIGHT}" y2="{y}"/>'
                yield _text(milliseconds(value * factor), LEFT - 8, y + 4, "soft small", "end")
        value *= 10
    yield _text("from the intended time to the client", LEFT - 54, TOP - 10, "soft small")


def _lines(points: Sequence[Point], across: Scale, up: Scale) -> Iterator[str]:
    ends = []
    for name, field in LINES:
        kind = name.replace(".", "")
        places = [
            (across.at(p.deliveries_per_s), up.at(max(getattr(p.latency, field), 0.001))) for p in points
        ]
        path = " ".join(f"{x},{y}" for x, y in places)
        yield f'<polyline class="line {kind}" points="{path}"/>'
        yield from (f'<circle class="dot {kind}" cx="{x}" cy="{y}" r="3.5"/>' for x, y in places)
        ends.append((name, places[-1][0] + 10, places[-1][1] + 4))
    yield from (_text(name, x, y, "ink small") for name, x, y in apart(ends))


def apart(labels: Sequence[tuple[str, float, float]]) -> list[tuple[str, float, float]]:
    """Move labels that would cover each other: the lower line's goes down, the others stay in order."""
    moved: list[tuple[str, float, float]] = []
    floor = float(BOTTOM)
    for name, x, y in labels:
        moved.append((name, x, min(y, floor)))
        floor = moved[-1][2] - _LABEL_STEP
    return moved


def _losses(points: Sequence[Point], across: Scale) -> Iterator[str]:
    """A word below each point that lost something: such a latency is not that of a server that coped."""
    for point in points:
        if point.lost:
            yield _text("lossy", across.at(point.deliveries_per_s), BOTTOM - 8, "lost small", "middle")


def _text(words: str, x: float, y: float, kind: str, anchor: str = "start") -> str:
    return f'<text class="{kind}" x="{x:g}" y="{y:g}" text-anchor="{anchor}">{escape(words)}</text>'


def short(value: float) -> str:
    """A number of deliveries as an axis shows it: 0, 500, 20k, 1.5M."""
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"


def milliseconds(value: float) -> str:
    """A latency as an axis shows it: 50 µs, 2 ms, 1 s."""
    if value >= 1000:
        return f"{value / 1000:g} s"
    return f"{value:g} ms" if value >= 1 else f"{value * 1000:g} µs"
