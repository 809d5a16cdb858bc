"""Say to people how long something takes."""

from __future__ import annotations

from typing import Final

_UNITS: Final = (("days", 86_400), ("h", 3600), ("min", 60))


def span(seconds: float) -> str:
    """Write a time span as people say it: ``90 s``, ``12 min``, ``5 h``, ``3 days``."""
    for unit, size in _UNITS:
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s" if seconds >= 1 else "less than 1 s"
