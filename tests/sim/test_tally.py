from __future__ import annotations

import json
from typing import Any

import pytest

from feedmux.sim.histogram import bucket_of
from feedmux.sim.tally import Measuring, Ready, Result, SlowCounted, merge, read_line

COMMON: dict[str, Any] = {
    "seconds": 2.0, "load_busy": 0.5, "connected": 10, "failed": 0, "closed": 0, "close_code": 0,
    "streams": 3,
}  # fmt: skip


def result(**fields: Any) -> Result:
    return Result(**(COMMON | fields))


def test_lines_are_told_apart_by_their_event() -> None:
    assert read_line(b'{"event":"ready","connected":3,"failed":1,"seconds":0.5}\n') == Ready(3, 1, 0.5)
    assert read_line(b'{"event":"measuring"}\n') == Measuring()
    line = read_line(
        json.dumps({"event": "result", **COMMON, "histogram": [[7, 2]], "unheard_of": 1}).encode()
    )
    assert isinstance(line, Result)
    assert line.histogram == [(7, 2)]


def test_counts_add_up_and_the_busiest_load_is_named() -> None:
    merged = merge([
        result(deliveries=100, lost=2, load_busy=0.2, close_code=4008, closed=1, failed=1),
        result(deliveries=300, disorder=1, duplicates=4, gap_messages=1, announced=5, bytes=7, load_busy=0.7),
    ])  # fmt: skip
    usual = merged.usual
    assert (usual.deliveries, usual.lost, usual.disorder, usual.duplicates) == (400, 2, 1, 4)
    assert (usual.gap_messages, usual.announced, usual.bytes) == (1, 5, 7)
    assert usual.deliveries_per_s == pytest.approx(200)
    assert (merged.connected, merged.failed, merged.closed, merged.close_codes) == (20, 1, 1, (4008,))
    assert merged.load_busy == 0.7
    assert merged.slow is None


def test_percentiles_are_those_of_all_values_and_not_a_mean_of_percentiles() -> None:
    fast = result(histogram=[(bucket_of(100), 99)], max_ns=100)
    late = result(histogram=[(bucket_of(10**9), 1)], max_ns=10**9)
    latency = merge([fast, late]).usual.latency
    assert latency is not None
    assert (latency.measured, latency.p50_ns, latency.p90_ns, latency.p99_ns) == (100, 100, 100, 100)
    assert latency.p999_ns == pytest.approx(10**9, rel=0.008)
    assert latency.max_ns == 10**9


def test_a_latency_that_nobody_measured_is_absent() -> None:
    assert merge([result(deliveries=5, untimed=5)]).usual.latency is None


def test_slow_clients_are_counted_apart() -> None:
    slow = SlowCounted(clients=1, closed=2, returns=1, deliveries=3, conflated=9)
    merged = merge([result(deliveries=10, slow=slow), result(deliveries=10)])
    assert merged.slow is not None
    assert (merged.usual.deliveries, merged.slow.deliveries, merged.slow.conflated) == (20, 3, 9)
    assert merged.slow_closed == 2
