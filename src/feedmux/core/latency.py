"""Measure how long values take through this process: from a venue to clients' sockets.

Theory of operation
-------------------
Values come in batches, and a flush writes a whole batch at once. So one value speaks for its
batch: the *oldest*, the first that was offered to clients since the last flush. The hub notes it,
the flush that is done takes it and records two durations, as of that moment: since the value was
received, and since the time that the venue gave it. Nothing is measured per delivery.

What nobody could be sent (all who read the topic are slow, or have just left) must not be taken for
what a later flush wrote. Ticks of a timer tell: who is still the oldest from one tick to the next is
forgotten, because a flush follows a value sooner than that, unless the whole event loop is late, and its
timer with it. So what waits for slow clients is not in these histograms.

Durations are differences of Unix times, the only ones that pass from process to process: a clock that
is set while a value is under way shows. A venue's clock ahead of ours makes 0.

Deliberately absent: gaps, statuses and snapshots for late readers, which are no news of a venue.
"""

from __future__ import annotations

from typing import Final

from feedmux.core.stats import Histogram, Rule, Rules
from feedmux.model.event import Envelope
from feedmux.model.ports import Statistics

RULES: Final[Rules] = {"receive_to_send": Rule.HISTOGRAM, "venue_to_send": Rule.HISTOGRAM}
"""Of :meth:`Latency.statistics`."""


class Latency:
    """Two histograms, and the value that will be recorded next."""

    __slots__ = ("_receive_to_send", "_seen", "_venue_to_send", "oldest")

    def __init__(self) -> None:
        self._receive_to_send = Histogram()
        self._venue_to_send = Histogram()
        self._seen: Envelope | None = None
        self.oldest: Envelope | None = None
        """The first value offered since the last flush. Whoever offers values sets it when it is None:
        an attribute, because that runs per message."""

    def flushed(self, now_ns: int) -> None:
        """What was offered until now has been written; once per flush.

        Args:
            now_ns: Unix time.
        """
        oldest = self.oldest
        if oldest is None:
            return
        self.oldest = None
        self._receive_to_send.record(now_ns - oldest.receive_ns)
        if oldest.venue_ns:
            self._venue_to_send.record(now_ns - oldest.venue_ns)

    def tick(self) -> None:
        """Forget what no flush took since the last tick; a few times a second."""
        if self.oldest is self._seen:
            self.oldest = None
        self._seen = self.oldest

    def statistics(self) -> Statistics:
        """Both histograms, in nanoseconds; they add up by :data:`RULES`."""
        return {
            "receive_to_send": self._receive_to_send.plain(),
            "venue_to_send": self._venue_to_send.plain(),
        }
