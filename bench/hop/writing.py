"""The writer's half of the measuring code: the same loops for every transport."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import cycle
from typing import NamedTuple

from bench.hop.port import END, FILLING, MESSAGE, POOL, Work, Writer, pool


class Written(NamedTuple):
    """A work that is done.

    Args:
        messages: so many messages were written.
        at_ns: when each of them was, right before it, on :func:`time.monotonic_ns`; empty unless the work is
            timed.
    """

    messages: int
    at_ns: list[int]


def write(writer: Writer, work: Work) -> Written:
    """Do the work."""
    if work.is_timed:
        return _write_timed(writer, work)
    return Written(_write_free(writer, work) if work.how == "free" else _write_bursts(writer, work), [])


def write_end(writer: Writer, work: Work, before: int) -> None:
    """End the work, of which there were so many messages before."""
    writer.write(MESSAGE.pack(before, END + work.serial, FILLING))
    if writer.flush is not None:
        writer.flush()


def _write_timed(writer: Writer, work: Work) -> Written:
    send, flush, pack, now_ns = writer.write, writer.flush, MESSAGE.pack, time.monotonic_ns
    at_ns: list[int] = []
    for due in _due(work):
        while (left := due - now_ns()) > 0:
            if work.how == "sleep":
                time.sleep(left / 1e9)
        messages = [pack(0, number, FILLING) for number in range(len(at_ns), len(at_ns) + work.burst)]
        for message in messages:
            now = now_ns()
            send(message)
            at_ns.append(now)
        if flush is not None:
            flush()
    return Written(len(at_ns), at_ns)


def _write_bursts(writer: Writer, work: Work) -> int:
    send, flush, now_ns = writer.write, writer.flush, time.monotonic_ns
    bursts = cycle(_cut(pool(), work.burst))
    written = 0
    for due in _due(work):
        while now_ns() < due:
            continue
        for message in next(bursts):
            send(message)
        if flush is not None:
            flush()
        written += work.burst
    return written


def _write_free(writer: Writer, work: Work) -> int:
    send, flush = writer.write, writer.flush
    bursts = _cut(pool(), work.burst)
    until = time.monotonic_ns() + round(work.seconds * 1e9)
    written = 0
    while time.monotonic_ns() < until:
        for burst in bursts:
            for message in burst:
                send(message)
            if flush is not None:
                flush()
        written += POOL
    return written


def _due(work: Work) -> Iterator[int]:
    """When each burst is due; who is late skips none."""
    start = time.monotonic_ns()
    interval = work.burst / work.rate * 1e9
    for number in range(round(work.seconds * work.rate / work.burst)):
        yield start + round(number * interval)


def _cut(messages: list[bytes], burst: int) -> list[list[bytes]]:
    assert len(messages) % burst == 0, "bursts are whole: a power of two up to the size of the pool"
    return [messages[start : start + burst] for start in range(0, len(messages), burst)]
