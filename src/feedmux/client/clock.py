"""Read the machine's clocks, for those who do not bring their own."""

from __future__ import annotations

import time


class SystemClock:
    """The machine's time; satisfies :class:`feedmux.model.ports.Clock`."""

    # The functions themselves: a feed asks twice per message, and a frame of Python doubles the cost.
    monotonic = staticmethod(time.monotonic)
    time_ns = staticmethod(time.time_ns)
