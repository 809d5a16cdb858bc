from __future__ import annotations

import logging
from typing import Any

import pytest

from feedmux.client.telemetry import Sink, Telemetry, TelemetryEvent
from feedmux.client.telemetry_events import HeartbeatPong, PoolHealth
from feedmux.model.errors import InvalidSetting

PONG = HeartbeatPong(rtt_ms=1.5, kind="ping_pong")


def test_nobody_listens_and_nothing_is_told() -> None:
    telemetry = Telemetry()
    assert telemetry.tell is None
    assert telemetry.statistics() == {"sinks": 0, "told": 0, "failures": 0}


def test_every_sink_is_told_in_order_and_once() -> None:
    seen: list[tuple[str, TelemetryEvent]] = []
    first: Sink = lambda event: seen.append(("first", event))  # noqa: E731
    second: Sink = lambda event: seen.append(("second", event))  # noqa: E731
    telemetry = Telemetry(first)
    telemetry.attach(second)
    telemetry.attach(first)
    assert telemetry.tell is not None
    telemetry.tell(PONG)
    assert seen == [("first", PONG), ("second", PONG)]
    assert telemetry.statistics() == {"sinks": 2, "told": 1, "failures": 0}


def test_the_last_one_who_goes_makes_it_quiet() -> None:
    seen: list[TelemetryEvent] = []
    telemetry = Telemetry(seen.append)
    telemetry.detach(print)
    assert telemetry.tell is not None
    telemetry.detach(seen.append)
    telemetry.detach(seen.append)
    assert telemetry.tell is None
    telemetry.attach(seen.append)
    assert telemetry.tell is not None
    telemetry.tell(PONG)
    assert seen == [PONG]


def test_a_sink_may_come_and_go_while_it_is_told() -> None:
    seen: list[str] = []

    def once(event: TelemetryEvent) -> None:
        seen.append("once")
        telemetry.detach(once)
        telemetry.attach(lambda event: seen.append("later"))

    telemetry = Telemetry(once, lambda event: seen.append("always"))
    assert telemetry.tell is not None
    telemetry.tell(PONG)
    telemetry.tell(PONG)
    assert seen == ["once", "always", "always", "later"]


def test_a_sink_that_raises_harms_nobody_and_is_logged_ever_more_rarely(
    caplog: pytest.LogCaptureFixture,
) -> None:
    seen: list[TelemetryEvent] = []

    def broken(event: TelemetryEvent) -> None:
        raise ValueError(event.name)

    telemetry = Telemetry(broken, seen.append)
    assert telemetry.tell is not None
    for _ in range(9):
        telemetry.tell(PoolHealth(pool_size=0, avg_health=0.0))
    assert len(seen) == 9
    assert telemetry.statistics()["failures"] == 9
    assert [record.message.rpartition(" ")[2] for record in caplog.records] == ["1", "2", "4", "8"]
    assert all(record.levelno == logging.ERROR and record.exc_info for record in caplog.records)
    assert caplog.records[0].message.startswith("a telemetry sink raised on feedmux.pool.health;")


def test_the_end_of_the_program_passes_through_a_sink() -> None:
    def interrupted(event: TelemetryEvent) -> None:
        raise KeyboardInterrupt

    telemetry = Telemetry(interrupted)
    assert telemetry.tell is not None
    with pytest.raises(KeyboardInterrupt):
        telemetry.tell(PONG)


@pytest.mark.parametrize("sink", [None, 5, "print", []])
def test_what_cannot_be_told_anything_is_no_sink(sink: Any) -> None:
    telemetry = Telemetry()
    with pytest.raises(InvalidSetting, match=r"sink: .* expected a function that takes an event"):
        telemetry.attach(sink)
    assert telemetry.tell is None
