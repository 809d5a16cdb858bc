"""The system's books of several processes that share all cores."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, NamedTuple

from bench.system.native import core_seconds, cpu_seconds, every_core


class Kept(NamedTuple):
    """Books that are closed.

    Args:
        cpu_s: used by each process.
        took_s: the time that passed.
        foreign_share: the share of all cores that others took.
    """

    cpu_s: dict[str, float]
    took_s: float
    foreign_share: float

    def per(self, messages: int) -> dict[str, Any]:
        """Microseconds that each process used for each of so many messages, and its share of a core."""
        return {
            "cpu_us": {name: used / max(1, messages) * 1e6 for name, used in self.cpu_s.items()},
            "busy": {name: used / self.took_s for name, used in self.cpu_s.items()},
            "foreign_share": self.foreign_share,
        }


class Books:
    """What some processes and all cores use from now on.

    Args:
        pids: of all processes that belong to the measurement, by name.
    """

    def __init__(self, pids: Mapping[str, int]) -> None:
        self._pids = dict(pids)
        self._before, self._busy, self._since = self._now()

    def close(self) -> Kept:
        """What was used since."""
        used, busy, now = self._now()
        cpu_s = {name: used[name] - before for name, before in self._before.items()}
        took_s = now - self._since
        foreign_s = max(0.0, busy - self._busy - sum(cpu_s.values()))
        return Kept(cpu_s, took_s, foreign_s / took_s / len(every_core()))

    def _now(self) -> tuple[dict[str, float], float, float]:
        used = {name: cpu_seconds(pid) for name, pid in self._pids.items()}
        return used, sum(map(core_seconds, every_core())), time.monotonic()
