"""Tell whoever wants to know what happens inside, without cost when nobody does.

An event is a frozen value with a name, measures and metadata, so that a sink can pass all of them on
alike, and a type, so that it can look at one. The names and measures are those of zen_websocket 0.7.1
(2026), with ``feedmux`` before them.

Who tells asks first whether anybody listens, which is one attribute::

    if telemetry.tell is not None:
        telemetry.tell(HeartbeatPong(rtt_ms=rtt_ms, kind="ping_pong"))

A sink runs where the event happened, in the event loop, so it may not block. What it raises is its
own failure: it is logged the 1st, 2nd, 4th, 8th … time and changes nothing for anybody else.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from feedmux.client.telemetry_events import TelemetryEvent
from feedmux.model.checks import type_of
from feedmux.model.errors import InvalidSetting
from feedmux.model.ports import Statistics

__all__ = ["Sink", "Telemetry", "TelemetryEvent"]

_LOG: Final = logging.getLogger(__name__)
_BLAME: Final = "a telemetry sink raised on %s; failures of the sinks so far: %d"

Sink = Callable[[TelemetryEvent], object]
"""Takes events; may not block."""


class Telemetry:
    """Sinks, and the way to them. Belongs to one event loop.

    Args:
        sinks: who listens from the beginning.
    """

    __slots__ = ("_failures", "_sinks", "_told", "tell")

    def __init__(self, *sinks: Sink) -> None:
        self.tell: Callable[[TelemetryEvent], None] | None = None
        """Give an event to every sink; None when nobody listens."""
        self._sinks: tuple[Sink, ...] = ()
        self._told = self._failures = 0
        for sink in sinks:
            self.attach(sink)

    def attach(self, sink: Sink) -> None:
        """Let ``sink`` listen; one that listens already is not told twice.

        Raises:
            InvalidSetting: it cannot be called.
        """
        if not callable(sink):
            raise InvalidSetting("sink", type_of(sink), "a function that takes an event")
        if sink not in self._sinks:
            self._sinks = (*self._sinks, sink)
        self.tell = self._tell

    def detach(self, sink: Sink) -> None:
        """Let ``sink`` go; harmless when it does not listen."""
        self._sinks = tuple(other for other in self._sinks if other != sink)
        if not self._sinks:
            self.tell = None

    def statistics(self) -> Statistics:
        """Return counters since the start."""
        return {"sinks": len(self._sinks), "told": self._told, "failures": self._failures}

    def _tell(self, event: TelemetryEvent) -> None:
        self._told += 1
        for sink in self._sinks:
            try:
                sink(event)
            except Exception:  # noqa: BLE001 - a sink's own failure
                self._failures += 1
                if self._failures & (self._failures - 1) == 0:
                    _LOG.exception(_BLAME, ".".join(event.name), self._failures)
