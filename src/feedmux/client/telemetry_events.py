"""The events that :mod:`feedmux.client.telemetry` carries.

The fields of an event are its measures (numbers, named in ``MEASURES``) and its metadata (the rest).
Two fields have another name there: ``kind`` is ``type`` and ``limiter`` is ``name``.
Durations are milliseconds. Nothing in them is secret: an address is shown without credentials.

Source: names and measures of zen_websocket 0.7.1 (2026); ``supervisor`` is ours.
"""

from __future__ import annotations

from typing import ClassVar

import msgspec


class TelemetryEvent(msgspec.Struct, frozen=True):
    """What happened; the root of the others."""

    NAME: ClassVar[tuple[str, ...]] = ()
    MEASURES: ClassVar[tuple[str, ...]] = ()

    @property
    def name(self) -> tuple[str, ...]:
        """``feedmux``, the part that tells, and what happened."""
        return ("feedmux", *self.NAME)

    @property
    def measures(self) -> dict[str, float]:
        """The numbers."""
        return {name: getattr(self, name) for name in self.MEASURES}

    @property
    def metadata(self) -> dict[str, object]:
        """Whatever says what the numbers are about."""
        fields = zip(self.__struct_fields__, self.__struct_encode_fields__, strict=True)
        return {shown: getattr(self, field) for field, shown in fields if field not in self.MEASURES}


class ConnectionUpgrade(TelemetryEvent, frozen=True):
    """A connection is open; ``connect_time_ms`` from the first attempt at its name to the upgrade."""

    NAME = ("connection", "upgrade")
    MEASURES = ("connect_time_ms",)
    connect_time_ms: float
    url: str


class HeartbeatPong(TelemetryEvent, frozen=True):
    """A sign of life was answered after ``rtt_ms``; ``kind`` is the sort of heartbeat."""

    NAME = ("heartbeat", "pong")
    MEASURES = ("rtt_ms",)
    rtt_ms: float
    kind: str = msgspec.field(name="type")


class RateLimiterConsume(TelemetryEvent, frozen=True):
    """A message took ``cost`` tokens of a bucket; ``limiter`` is ``limiter.bucket``."""

    NAME = ("rate_limiter", "consume")
    MEASURES = ("tokens_remaining", "cost")
    tokens_remaining: float
    cost: float
    limiter: str = msgspec.field(name="name")


class RateLimiterRefill(TelemetryEvent, frozen=True):
    """What a bucket held after the message before, and when the next one, which waited, was let in.

    ``refill_rate`` is in tokens per second.
    """

    NAME = ("rate_limiter", "refill")
    MEASURES = ("tokens_before", "tokens_after", "refill_rate")
    tokens_before: float
    tokens_after: float
    refill_rate: float
    limiter: str = msgspec.field(name="name")


class RequestTrack(TelemetryEvent, frozen=True):
    """A request left; ``count`` wait for their answers now."""

    NAME = ("request_correlator", "track")
    MEASURES = ("count",)
    count: int
    id: int | str
    timeout_ms: float


class RequestResolve(TelemetryEvent, frozen=True):
    """A request was answered; ``count`` still wait."""

    NAME = ("request_correlator", "resolve")
    MEASURES = ("count", "round_trip_ms")
    count: int
    round_trip_ms: float
    id: int | str


class RequestTimeout(TelemetryEvent, frozen=True):
    """A request was not answered in time; ``count`` still wait."""

    NAME = ("request_correlator", "timeout")
    MEASURES = ("count",)
    count: int
    id: int | str


class RequestFailAll(TelemetryEvent, frozen=True):
    """The connection ended and took ``count`` requests with it."""

    NAME = ("request_correlator", "fail_all")
    MEASURES = ("count",)
    count: int
    ids: tuple[int | str, ...]
    reason: str


class SubscriptionAdd(TelemetryEvent, frozen=True):
    """A channel is wanted; ``count`` are now."""

    NAME = ("subscription_manager", "add")
    MEASURES = ("count",)
    count: int
    channel: str


class SubscriptionRemove(TelemetryEvent, frozen=True):
    """A channel is not wanted any more; ``count`` still are."""

    NAME = ("subscription_manager", "remove")
    MEASURES = ("count",)
    count: int
    channel: str


class SubscriptionRestore(TelemetryEvent, frozen=True):
    """A new connection was asked for everything that is wanted."""

    NAME = ("subscription_manager", "restore")
    MEASURES = ("channel_count",)
    channel_count: int
    channels: tuple[str, ...]


class PoolRoute(TelemetryEvent, frozen=True):
    """A request went to the member of that score."""

    NAME = ("pool", "route")
    MEASURES = ("health", "pool_size")
    health: int
    pool_size: int
    selected: str


class PoolHealth(TelemetryEvent, frozen=True):
    """The scores of a pool were asked for."""

    NAME = ("pool", "health")
    MEASURES = ("pool_size", "avg_health")
    pool_size: int
    avg_health: float


class PoolFailover(TelemetryEvent, frozen=True):
    """A member failed, and another one is tried; ``attempt`` counts from 1."""

    NAME = ("pool", "failover")
    MEASURES = ("attempt",)
    attempt: int
    failed: str
    reason: str


class SupervisorRestart(TelemetryEvent, frozen=True):
    """Something that is kept running ended; it is started again after ``wait_ms``.

    ``failures`` counts its ends in a row, this one included.
    """

    NAME = ("supervisor", "restart")
    MEASURES = ("failures", "wait_ms")
    failures: int
    wait_ms: float
    child: str
    reason: str
