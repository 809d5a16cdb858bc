from __future__ import annotations

import time

from feedmux.client.clock import SystemClock
from feedmux.model.ports import Clock


def test_the_system_clock_is_the_machines() -> None:
    clock: Clock = SystemClock()
    assert time.monotonic() <= clock.monotonic() <= time.monotonic() + 60
    assert abs(clock.time_ns() - time.time_ns()) < 60e9
