"""Read recordings, and play them again.

A recording is read line by line: a file of any size takes the memory of its longest line, and a line
that is longer than :data:`MAX_LINE_BYTES` is none.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import stat
from collections.abc import Awaitable, Callable, Container, Iterator
from typing import BinaryIO, Final

import msgspec

from feedmux.client.recording import Direction, Entry, decode, timestamp
from feedmux.client.recording_file import path_of
from feedmux.model.checks import require_number, require_parts, type_of
from feedmux.model.errors import InvalidSetting, MalformedRecording, TornRecording

MAX_LINE_BYTES: Final = 64 * 1024 * 1024
"""A message of 10 MiB fits, however it is escaped."""
INBOUND: Final = frozenset({Direction.IN})

_TURN: Final = 100
"""So many entries are played before others of the event loop have their turn."""
_EXPECTED: Final = "the path of a recording"

Player = Callable[[Entry], Awaitable[None] | None]


class Metadata(msgspec.Struct, frozen=True, kw_only=True):
    """What a recording holds.

    Args:
        count: entries.
        inbound: those from the other side.
        outbound: those to it.
        first_ts: when the first one was recorded, ISO 8601; None when there is none.
        last_ts: and the last one.
        duration_ms: from the first to the last, milliseconds; below 0 if the clock was set back meanwhile.
        torn: whether the last line has no end; it is not counted.
    """

    count: int
    inbound: int
    outbound: int
    first_ts: str | None
    last_ts: str | None
    duration_ms: int
    torn: bool


def read(path: str | os.PathLike[str]) -> Iterator[Entry]:
    """Yield the entries of a recording, oldest first. Blocks while it reads a line.

    Args:
        path: a file that a recorder wrote, or still writes.

    Raises:
        InvalidSetting: it cannot be opened, or is no regular file.
        TornRecording: the last line has no end, as when the recorder was killed; everything before it
            was yielded.
        MalformedRecording: a line is no entry; everything before it was yielded.
    """
    name = path_of(path)
    with _opened(name) as file:
        number = 0
        while line := file.readline(MAX_LINE_BYTES + 1):
            number += 1
            if len(line) > MAX_LINE_BYTES:
                raise MalformedRecording(name, number, f"the line is longer than {MAX_LINE_BYTES} bytes")
            yield decode(line, path=name, number=number)


def metadata(path: str | os.PathLike[str]) -> Metadata:
    """Read a whole recording and say what it holds. Blocks.

    Raises:
        InvalidSetting: it cannot be opened, or is no regular file.
        MalformedRecording: a line is no entry; a torn last line is told as ``torn``.
    """
    first: Entry | None = None
    last: Entry | None = None
    count = inbound = 0
    torn = False
    try:
        for entry in read(path):
            first, last = first or entry, entry
            count += 1
            inbound += entry.direction is Direction.IN
    except TornRecording:
        torn = True
    return Metadata(
        count=count,
        inbound=inbound,
        outbound=count - inbound,
        first_ts=timestamp(first.at_ns) if first else None,
        last_ts=timestamp(last.at_ns) if last else None,
        duration_ms=(last.at_ns - first.at_ns) // 1_000_000 if first and last else 0,
        torn=torn,
    )


async def replay(
    path: str | os.PathLike[str],
    play: Player,
    *,
    speed: float | None = 1.0,
    directions: Container[Direction] = INBOUND,
) -> int:
    """Give the entries of a recording to ``play``, in order, and in the time in which they came.

    Entries are due by the distance to the first one that is played, so delays do not add up. Where
    the clock was set back while recording, entries follow at once until it is where it was.

    Args:
        path: the recording.
        play: takes one entry; when it returns something to await, that is awaited before the next.
        speed: how much faster than it was; None: without waiting.
        directions: which entries are played.

    Returns:
        How many were played.

    Raises:
        InvalidSetting: ``speed`` is not above 0, ``play`` cannot be called, or as :func:`read`.
        TornRecording: as :func:`read`; everything before it was played.
        MalformedRecording: as :func:`read`; everything before it was played.
    """
    if speed is not None:
        require_number("speed", speed, "a factor above 0, or None", above=0)
    if not callable(play):
        raise InvalidSetting("play", type_of(play), "something that takes an entry")
    require_parts("directions", directions, ["__contains__"], "a set of Direction")
    loop = asyncio.get_running_loop()
    begun, count = loop.time(), 0
    first_ns: int | None = None
    for number, entry in enumerate(read(path), 1):
        if number % _TURN == 0:
            await asyncio.sleep(0)
        if entry.direction not in directions:
            continue
        if first_ns is None:
            first_ns, begun = entry.at_ns, loop.time()
        if speed is not None:
            wait_s = begun + (entry.at_ns - first_ns) / 1e9 / speed - loop.time()
            if wait_s > 0:
                await asyncio.sleep(wait_s)
        outcome = play(entry)
        if inspect.isawaitable(outcome):
            await outcome
        count += 1
    return count


def _opened(path: str) -> BinaryIO:
    try:
        # Not to wait for the writer of a pipe.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        raise InvalidSetting("path", path, f"{_EXPECTED} ({error})") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise InvalidSetting("path", path, f"{_EXPECTED}, a regular file")
    return os.fdopen(descriptor, "rb")
