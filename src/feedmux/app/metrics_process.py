"""What a process is, by the names that Prometheus' own libraries use for it.

Source of the names: prometheus/client_golang v1.19 (process and Go collectors) and prometheus_client 0.2x for
``python_*``. Over several processes everything is added, but the start, which is the first one's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

_GAUGES: Final = {
    "process_open_fds": ("open_descriptors", "Number of open file descriptors."),
    "process_max_fds": ("most_descriptors", "Maximum number of open file descriptors."),
    "process_resident_memory_bytes": ("resident_bytes", "Resident memory size in bytes."),
    "process_virtual_memory_bytes": ("virtual_bytes", "Virtual memory size in bytes."),
    "process_virtual_memory_max_bytes": (
        "virtual_limit_bytes",
        "Maximum amount of virtual memory available in bytes.",
    ),
    "process_start_time_seconds": (
        "start_seconds",
        "Start time of the process since unix epoch in seconds.",
    ),
    "python_threads": ("threads", "Number of threads that Python knows"),
}
_COLLECTOR: Final = {
    "python_gc_collections": ("collections", "Number of times this generation was collected"),
    "python_gc_objects_collected": ("collected", "Objects collected during gc"),
    "python_gc_objects_uncollectable": ("uncollectable", "Uncollectable objects found during GC"),
}


def families(figures: Mapping[str, Any]) -> Iterator[Metric]:
    """Yield the families of what :func:`feedmux.app.process.figures` counted; none of nothing."""
    if "cpu_ms" in figures:
        yield CounterMetricFamily(
            "process_cpu_seconds",
            "Total user and system CPU time spent in seconds.",
            figures["cpu_ms"] / 1000,
        )
    for name, (key, text) in _GAUGES.items():
        if key in figures:
            yield GaugeMetricFamily(name, text, figures[key])
    for name, (key, text) in _COLLECTOR.items():
        family = CounterMetricFamily(name, text, labels=["generation"])
        for generation, counts in figures.get("collector", {}).items():
            family.add_metric([generation], counts[key])
        yield family
    if "python" in figures:
        info = GaugeMetricFamily("python_info", "Python platform information", labels=["version"])
        info.add_metric([figures["python"]], 1)
        yield info
