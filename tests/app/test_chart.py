from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import pytest

from feedmux.app.chart import (
    BOTTOM,
    LEFT,
    RIGHT,
    TOP,
    Scale,
    apart,
    latency_over_load,
    milliseconds,
    nice_step,
    short,
)
from feedmux.app.measurement import Measurement
from support.measurements import delays, measurement, point

SVG = "{http://www.w3.org/2000/svg}"


def drawn(measured: Measurement) -> ET.Element:
    text = latency_over_load(measured)
    assert text is not None
    assert not re.search(r"(href|src)=|url\((?!#)|@import|@font-face", text)
    return ET.fromstring(text)


def words(picture: ET.Element) -> list[str]:
    return [text.text or "" for text in picture.iter(f"{SVG}text")]


def places(picture: ET.Element, kind: str) -> list[tuple[float, float]]:
    (line,) = [one for one in picture.iter(f"{SVG}polyline") if one.get("class") == f"line {kind}"]
    return [(float(x), float(y)) for x, y in (pair.split(",") for pair in (line.get("points") or "").split())]


MEASURED = measurement(
    point(deliveries_per_s=1000.0, latency=delays(0.2, 2.0, 20.0)),
    point(deliveries_per_s=500.0, latency=delays(0.1, 1.0, 10.0)),
)


def test_there_is_a_line_for_each_percentile_from_little_load_to_much() -> None:
    picture = drawn(MEASURED)
    for kind in ("p50", "p99", "p999"):
        (x1, y1), (x2, y2) = places(picture, kind)
        assert LEFT < x1 < x2 <= RIGHT
        assert TOP <= y2 < y1 <= BOTTOM
    assert {"p50", "p99", "p99.9"} <= set(words(picture))


def test_equal_ratios_take_equal_room() -> None:
    picture = drawn(MEASURED)
    heights = [places(picture, kind)[0][1] for kind in ("p50", "p99", "p999")]
    assert heights[0] - heights[1] == pytest.approx(heights[1] - heights[2], abs=0.2)


def test_machine_commit_and_workload_are_named_and_escaped() -> None:
    picture = drawn(MEASURED)
    assert MEASURED.title in words(picture)
    assert "1,000 clients, 20 of 100 streams each" in words(picture)
    assert "A &lt;fast&gt; CPU" in (latency_over_load(MEASURED) or "")


def test_a_point_that_lost_something_is_marked() -> None:
    assert "lossy" not in words(drawn(MEASURED))
    assert words(drawn(measurement(point(lost=1), point()))).count("lossy") == 1


def test_points_without_latency_are_left_out_and_without_any_there_is_no_picture() -> None:
    assert len(places(drawn(measurement(point(), point(latency=None))), "p50")) == 1
    assert latency_over_load(measurement(point(latency=None))) is None
    assert latency_over_load(measurement()) is None


@pytest.mark.parametrize(
    "values", [(0.0, 0.0, 0.0), (1.0, 1.0, 1.0), (10.0, 10.0, 10.0), (0.001, 5.0, 70_000.0)]
)
def test_every_latency_stays_inside_the_frame(values: tuple[float, float, float]) -> None:
    picture = drawn(measurement(point(latency=delays(*values))))
    for kind in ("p50", "p99", "p999"):
        ((x, y),) = places(picture, kind)
        assert LEFT <= x <= RIGHT
        assert TOP <= y <= BOTTOM


def test_labels_never_cover_each_other() -> None:
    moved = apart([("a", 1, 100), ("b", 1, 99), ("c", 1, 20)])
    assert [y for _, _, y in moved] == [100, 85, 20]


def test_it_is_readable_in_light_and_dark() -> None:
    text = latency_over_load(MEASURED) or ""
    light, _, dark = text.partition("@media (prefers-color-scheme: dark)")
    for kind in (".back", ".ink", ".soft", ".grid", ".p50", ".p99", ".p999", ".dot"):
        assert re.search(rf"{re.escape(kind)}\b", light)
        assert re.search(rf"{re.escape(kind)}\b", dark)


@pytest.mark.parametrize(
    ("most", "step"), [(0.0, 0.2), (9, 2), (10, 2), (11, 5), (1040, 500), (8_000_000, 2_000_000)]
)
def test_steps_are_round(most: float, step: float) -> None:
    assert nice_step(most) == pytest.approx(step)


def test_axes_speak_human() -> None:
    assert [short(value) for value in (0, 500, 20_000, 1_500_000)] == ["0", "500", "20k", "1.5M"]
    assert [milliseconds(value) for value in (0.05, 2, 1000)] == ["50 µs", "2 ms", "1 s"]


def test_a_scale_maps_its_ends_to_its_ends() -> None:
    scale = Scale(1, 100, 0, 200, log=True)
    assert [scale.at(value) for value in (1, 10, 100)] == [0, 100, 200]
    assert Scale(0, 10, 50, 150).at(5) == 100
