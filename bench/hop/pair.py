"""Two processes, each on a core of its own: the reader is this one, the writer is made anew (not forked)."""

from __future__ import annotations

import importlib
import multiprocessing
import os
import time
from multiprocessing.connection import Connection
from typing import Any, cast

from bench.hop.port import Transport, Work
from bench.hop.reading import LOOP, read
from bench.hop.writing import write, write_end
from bench.system.native import busy_seconds

_AGAIN_S = 0.01
"""The end of a work is said again after this time: a transport may lose it, too."""
_ENDS_S = 5.0


def run(name: str, works: list[Work], cores: tuple[int, int]) -> dict[str, Any]:
    """Do the works one after the other with one pair.

    Args:
        name: of the transport.
        works: all of them read in the same way; all but the last are there to warm up.
        cores: the writer's and the reader's.

    Returns:
        The sample of the last one.
    """
    transport, context = _transport(name), multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    writer_end, reader_end = transport.ends()
    reading = works[0].reading
    child = context.Process(
        target=write_works, args=(name, writer_end, reading, there, cores[0]), daemon=True
    )
    child.start()
    there.close()
    os.sched_setaffinity(0, {cores[1]})
    reader = transport.open_reader(reader_end, reading)
    here.recv()
    for work in works:
        while reader.read() is not None:
            continue  # what the work before has left
        here.send(work)
        books = _Books(cores[1])
        tally, reader_books = read(reader, work), books.close()
        here.send("over")
        written_ns, writer_books = here.recv()
        sample = {
            **tally.figures(written_ns),
            "loop": LOOP if reading == "loop" else None,
            "reader": reader_books,
            "writer": writer_books,
        }
    here.send(None)
    child.join(_ENDS_S)
    if child.is_alive():
        child.kill()
    return sample


def write_works(name: str, end: object, reading: str, control: Connection, core: int) -> None:
    """The writer's process: do what is said over ``control`` until that is None."""
    os.sched_setaffinity(0, {core})
    writer = _transport(name).open_writer(end, reading)
    control.send("ready")
    while (work := control.recv()) is not None:
        books = _Books(core)
        count, at_ns = write(writer, work)
        used = books.close()
        write_end(writer, work, count)
        while not control.poll(_AGAIN_S):
            count += 1
            write_end(writer, work, count)
        control.recv()
        control.send((at_ns, used))


def _transport(name: str) -> Transport:
    return cast(Transport, importlib.import_module(f"bench.hop.{name}"))


class _Books:
    """The system's books of this process and its core, from now on."""

    def __init__(self, core: int) -> None:
        self._core = core
        self._from = busy_seconds(core), time.process_time(), time.monotonic()

    def close(self) -> dict[str, float]:
        """CPU time of all threads, the time that passed, and what others took from the core."""
        busy, used, since = self._from
        took = time.monotonic() - since
        used = time.process_time() - used
        foreign = max(0.0, busy_seconds(self._core) - busy - used)
        return {"cpu_s": used, "took_s": took, "foreign_share": foreign / took}
