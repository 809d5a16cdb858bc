"""What native load clients say, and what their results are together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Self

import msgspec

from feedmux.sim.histogram import Histogram


class Ready(msgspec.Struct, frozen=True, tag="ready", tag_field="event"):
    """Every client is subscribed, or has failed.

    Args:
        connected: how many are subscribed.
        failed: how many are not.
        seconds: how long it took.
    """

    connected: int
    failed: int
    seconds: float


class Measuring(msgspec.Struct, frozen=True, tag="measuring", tag_field="event"):
    """The warm-up is over."""


class Counted(msgspec.Struct, frozen=True, kw_only=True):
    """What one group of clients of one process counted; loss over the whole run, the rest while measuring.

    Args:
        lost: messages that a jump of ``seq`` shows to be missing and that no gap message announced.
        conflated: jumps at slow clients in streams whose older values may be replaced.
        announced: messages that gap messages named as missing.
        untimed: deliveries without an intended time.
        histogram: latencies in nanoseconds, as pairs of bucket and count.
    """

    deliveries: int = 0
    bytes: int = 0
    received_in_all: int = 0
    lost: int = 0
    conflated: int = 0
    disorder: int = 0
    duplicates: int = 0
    gap_messages: int = 0
    announced: int = 0
    status_messages: int = 0
    untimed: int = 0
    max_ns: int = 0
    histogram: list[tuple[int, int]] = []


class SlowCounted(Counted, frozen=True, kw_only=True):
    """The same of the slow clients.

    Args:
        clients: how many there are.
        closed: how often one of them was closed.
        returns: how often one of them came back.
    """

    clients: int
    closed: int
    returns: int


class Result(Counted, frozen=True, kw_only=True, tag="result", tag_field="event"):
    """The result of one process.

    Args:
        seconds: how long was measured.
        load_busy: the share of a core that the load itself used.
        close_code: with which code the last client was closed; 0 none.
        slow: the slow clients, apart.
    """

    seconds: float
    load_busy: float
    connected: int
    failed: int
    closed: int
    close_code: int
    streams: int
    slow: SlowCounted | None = None


Line = Ready | Measuring | Result

read_line: Callable[[bytes], Line] = msgspec.json.Decoder(Line).decode


class Latency(msgspec.Struct, frozen=True):
    """From the intended time to the client, in nanoseconds.

    Args:
        measured: of how many deliveries it is known.
    """

    measured: int
    p50_ns: int
    p90_ns: int
    p99_ns: int
    p999_ns: int
    max_ns: int

    @classmethod
    def of(cls, histogram: Histogram) -> Self | None:
        """The usual percentiles; None when nothing was timed."""
        p50, p90, p99, p999 = (histogram.percentile(share) for share in (0.5, 0.9, 0.99, 0.999))
        if p50 is None or p90 is None or p99 is None or p999 is None:
            return None
        return cls(histogram.count, p50, p90, p99, p999, histogram.largest)


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """What all clients of a kind counted together; see :class:`Counted`."""

    deliveries: int
    deliveries_per_s: float
    bytes: int
    lost: int
    conflated: int
    disorder: int
    duplicates: int
    gap_messages: int
    announced: int
    status_messages: int
    latency: Latency | None

    @classmethod
    def of(cls, counted: Sequence[Counted], seconds: float) -> Self:
        """Add up the counts of several processes that measured for so long."""
        sums = {name: sum(getattr(one, name) for one in counted) for name in _ADDED}
        histogram = Histogram.merged(Histogram(dict(one.histogram), one.max_ns) for one in counted)
        rate = sums["deliveries"] / seconds if seconds else 0.0
        return cls(**sums, deliveries_per_s=rate, latency=Latency.of(histogram))


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a swarm.

    Args:
        connected: clients that are there at the end.
        failed: clients that were never subscribed.
        closed: clients, slow ones apart, that were closed.
        close_codes: with which codes; as each process remembers its last one, not all of them.
        load_busy: the share of a core that the busiest process of the load used.
        usual: the clients that read as fast as they can.
        slow: the others, when there are any.
        slow_closed: how often a slow client was closed.
    """

    seconds: float
    connected: int
    failed: int
    closed: int
    close_codes: tuple[int, ...]
    load_busy: float
    usual: Group
    slow: Group | None
    slow_closed: int


_ADDED = (
    "deliveries",
    "bytes",
    "lost",
    "conflated",
    "disorder",
    "duplicates",
    "gap_messages",
    "announced",
    "status_messages",
)


def merge(results: Iterable[Result]) -> Outcome:
    """One outcome of the results of at least one process."""
    several = list(results)
    seconds = sum(one.seconds for one in several) / len(several)
    slow = [one.slow for one in several if one.slow is not None]
    return Outcome(
        seconds=seconds,
        connected=sum(one.connected for one in several),
        failed=sum(one.failed for one in several),
        closed=sum(one.closed for one in several),
        close_codes=tuple(sorted({one.close_code for one in several} - {0})),
        load_busy=max(one.load_busy for one in several),
        usual=Group.of(several, seconds),
        slow=Group.of(slow, seconds) if slow else None,
        slow_closed=sum(one.closed for one in slow),
    )
