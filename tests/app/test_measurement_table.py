from __future__ import annotations

import pytest

from feedmux.app.measurement import Measurement, SlowClients
from feedmux.app.measurement_table import WIDTH, milliseconds, write_table
from support.measurements import delays, measurement, point

SLOW = SlowClients(deliveries=40_000, lost=0, conflated=123_456, announced=789, closed=12)


def shown(measured: Measurement, capsys: pytest.CaptureFixture[str]) -> list[str]:
    write_table(measured)
    return capsys.readouterr().out.splitlines()


def row(lines: list[str], first: str) -> list[str]:
    (found,) = [line.split() for line in lines if line.split()[:1] == [first]]
    return found


def test_a_row_has_the_figures_of_a_run(capsys: pytest.CaptureFixture[str]) -> None:
    measured = point(
        rate=5000.0, deliveries_per_s=1_234_567.8, lost=12, latency=delays(0.3121, 4.561, 78.91),
        cpu_us_per_delivery=0.456, server_busy=0.987,
    )  # fmt: skip
    lines = shown(measurement(measured), capsys)
    assert row(lines, "5,000")[1:] == ["1,234,568", "12", "0.312", "4.56", "78.9", "78.9", "0.46", "99"]


def test_what_is_not_known_is_a_dash(capsys: pytest.CaptureFixture[str]) -> None:
    lines = shown(measurement(point(latency=None)), capsys)
    assert row(lines, "–") == ["–", "10", "0", "–", "–", "–", "–", "–", "–"]


def test_every_line_fits_even_with_the_largest_figures(capsys: pytest.CaptureFixture[str]) -> None:
    large = point(
        rate=1_000_000.0, deliveries_per_s=12_345_678.0, lost=1_234_567, latency=delays(1234, 12345, 12345),
        cpu_us_per_delivery=123.456, server_busy=1.0, slow=SLOW,
    )  # fmt: skip
    lines = shown(measurement(large, point(), notes=["word " * 40]), capsys)
    assert max(map(len, lines)) <= WIDTH
    assert "12,345,678" in row(lines, "1,000,000")


def test_the_head_says_on_what_and_what_was_done(capsys: pytest.CaptureFixture[str]) -> None:
    first, second, *_ = shown(measurement(point()), capsys)
    assert first == "A <fast> CPU, 2 cores, commit c0ffee1234, 2026-11-21"
    assert second == "own gateway: 1,000 clients, 20 of 100 streams each, 10 s per run, 1 load process"


def test_slow_clients_and_notes_stand_below(capsys: pytest.CaptureFixture[str]) -> None:
    lines = shown(measurement(point(rate=10.0, slow=SLOW), notes=["beware [of] it"]), capsys)
    text = " ".join(" ".join(lines).split())
    assert "slow clients at 10 messages/s: 40,000 deliveries, 123,456 conflated, 789 in gap messages" in text
    assert "note: beware [of] it" in text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0004, "0.000"), (0.5, "0.500"), (9.994, "9.99"), (12.34, "12.3"), (1234.5, "1,234")],
)
def test_three_digits_matter(value: float, text: str) -> None:
    assert milliseconds(value) == text
