"""The reader's half of the measuring code: the same loops for every transport."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from bench.hop.port import Reader, Work
from bench.hop.tally import Tally

new_event_loop: Callable[[], asyncio.AbstractEventLoop]
try:
    from uvloop import new_event_loop
except ImportError:
    from asyncio import new_event_loop

LOOP = new_event_loop.__module__
"""Whose event loop it is: uvloop's where it runs, as in the gateway."""
_MOST = 256
"""Messages that are asked for at once, where a transport can; the bus asks for as many."""


def read(reader: Reader, work: Work) -> Tally:
    """Read until the work ends; what became of its messages."""
    reported = reader.lost()
    tally = Tally(work, time.monotonic_ns())
    take = _LOOPS[work.reading, work.is_timed]
    while not tally.is_over:
        try:
            take(reader, tally)
        except reader.missed:
            tally.warned()
    tally.lost = reader.lost() - reported
    return tally


def _poll(reader: Reader, tally: Tally) -> None:
    look, see, now_ns = reader.read, tally.see, time.monotonic_ns
    while not tally.is_over:
        while (message := look()) is None:
            continue
        see(message, now_ns())


def _wait(reader: Reader, tally: Tally) -> None:
    while not tally.is_over:
        tally.see(reader.wait(), time.monotonic_ns())


def _loop(reader: Reader, tally: Tally) -> None:
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(_in_loop(reader, tally))


async def _in_loop(reader: Reader, tally: Tally) -> None:
    loop = asyncio.get_running_loop()
    over = loop.create_future()

    def ready() -> None:
        reader.wake()
        _drain(reader, tally)
        while not reader.rest():
            _drain(reader, tally)
        if tally.is_over and not over.done():
            over.set_result(None)

    loop.add_reader(reader.descriptor, ready)
    loop.call_soon(ready)
    await over
    loop.remove_reader(reader.descriptor)


def _drain(reader: Reader, tally: Tally) -> None:
    """See everything that is there."""
    see, now_ns = tally.see, time.monotonic_ns
    try:
        if reader.read_many is None:
            while (message := reader.read()) is not None:
                see(message, now_ns())
            return
        while messages := reader.read_many(_MOST):
            now = now_ns()
            for message in messages:
                see(message, now)
    except reader.missed:
        tally.warned()


def _count_polled(reader: Reader, tally: Tally) -> None:
    _count(reader.read, tally)


def _count_waited(reader: Reader, tally: Tally) -> None:
    _count(reader.wait, tally)


def _count(look: Callable[[], bytes | None], tally: Tally) -> None:
    """Compare each message with the one that should come; look closer at what is another."""
    while not tally.is_over:
        before = 0
        try:
            for before, expected in enumerate(tally.expected()):  # noqa: B007 - counted for free
                while (message := look()) is None:
                    continue
                if message != expected:
                    break
        finally:
            tally.passed(before)
        assert message is not None, "only a message ends the loop"
        tally.see(message, time.monotonic_ns())


def _count_many(reader: Reader, tally: Tally) -> None:
    """The same for as many as are there."""
    assert reader.read_many is not None
    look = reader.read_many
    while not tally.is_over:
        messages = look(_MOST)
        if tally.are_expected(messages):
            tally.passed(len(messages))
        else:
            for message in messages:
                tally.see(message, time.monotonic_ns())


_LOOPS: dict[tuple[str, bool], Callable[[Reader, Tally], None]] = {
    ("poll", True): _poll,
    ("wait", True): _wait,
    ("loop", True): _loop,
    ("loop", False): _loop,
    ("poll", False): _count_polled,
    ("wait", False): _count_waited,
    ("many", False): _count_many,
}
"""By how it is read, and whether it is timed."""
