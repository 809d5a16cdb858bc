"""``multiprocessing.Queue`` with a bound: a thread of the writer's pickles into a pipe.

A writer waits while it is full.
"""

from __future__ import annotations

import multiprocessing
from multiprocessing.queues import Queue
from queue import Empty

from bench.hop.port import Reader, Writer

_BOUND = 1_000


class _Writer:
    flush = None

    def __init__(self, end: Queue[bytes]) -> None:
        self.write = end.put


class _Reader:
    read_many = None
    missed = ()
    descriptor = -1

    def __init__(self, end: Queue[bytes]) -> None:
        self._get, self.wait = end.get_nowait, end.get

    def read(self) -> bytes | None:
        try:
            return self._get()
        except Empty:
            return None

    def lost(self) -> int:
        return 0

    def wake(self) -> None:
        raise NotImplementedError

    def rest(self) -> bool:
        raise NotImplementedError


def ends() -> tuple[Queue[bytes], Queue[bytes]]:
    """The queue, which both have."""
    queue: Queue[bytes] = multiprocessing.get_context("spawn").Queue(_BOUND)
    return queue, queue


def open_writer(end: Queue[bytes], _reading: str) -> Writer:
    return _Writer(end)


def open_reader(end: Queue[bytes], _reading: str) -> Reader:
    return _Reader(end)
