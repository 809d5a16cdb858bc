"""What the system's books say of this process, as plain values that add up over several."""

from __future__ import annotations

import gc
import os
import platform
import resource
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from feedmux.core.stats import Rule, Rules

RULES: Final[Rules] = {
    "start_seconds": Rule.LEAST,
    "virtual_limit_bytes": Rule.MOST,
    "python": Rule.SAME,
}
"""How :func:`figures` of several processes add up."""

UNLIMITED: Final = (1 << 64) - 1
"""No bound, as the kernel writes it in 64 bits."""

_PROC: Final = Path("/proc")
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_BOOT_LINE: Final = "btime "


def figures() -> Mapping[str, Any]:
    """Return CPU time, descriptors, memory, and what Python's collector did.

    Returns:
        Empty where the system keeps no such books. ``start_seconds`` is Unix time. ``cpu_ms`` is a whole
        number, so that its sum does not depend on the order of the additions, and never falls.
    """
    try:
        fields = (_PROC / "self/stat").read_text().rpartition(")")[2].split()
        pages = (_PROC / "self/statm").read_text().split()
        descriptors = _descriptors()
        booted = _boot_seconds()
    except OSError:
        return {}
    user, system, started = (int(fields[place]) for place in (11, 12, 19))
    return {
        "cpu_ms": (user + system) * 1000 // _TICKS,
        "start_seconds": booted + started / _TICKS,
        "open_descriptors": descriptors,
        "most_descriptors": resource.getrlimit(resource.RLIMIT_NOFILE)[0],
        "virtual_bytes": int(pages[0]) * _PAGE,
        "resident_bytes": int(pages[1]) * _PAGE,
        "virtual_limit_bytes": _limit(resource.RLIMIT_AS),
        "threads": threading.active_count(),
        "collector": _collector(),
        "python": platform.python_version(),
    }


def remains(part: Mapping[str, Any]) -> Mapping[str, Any]:
    """What stays counted of a process that has ended."""
    return {name: part[name] for name in ("cpu_ms", "collector") if name in part}


def _collector() -> Mapping[str, Mapping[str, int]]:
    """What was done for each generation: whole numbers by what they count."""
    return {str(number): dict(generation) for number, generation in enumerate(gc.get_stats())}


def _descriptors() -> int:
    """How many are open; kernels before 6.2 have to list them, which takes long when there are thousands."""
    place = _PROC / "self/fd"
    return place.stat().st_size or sum(1 for _ in place.iterdir()) - 1  # without the one that looks


def _limit(which: int) -> int:
    soft = resource.getrlimit(which)[0]
    return UNLIMITED if soft == resource.RLIM_INFINITY else soft


def _boot_seconds() -> float:
    for line in (_PROC / "stat").read_text().splitlines():
        if line.startswith(_BOOT_LINE):
            return float(line.removeprefix(_BOOT_LINE))
    return 0.0
