"""A writer and a reader, each in a process of its own, and this one, which only says when a burst is due.

The writer is woken by bytes on a socket, one for each burst, as a node is woken by the frames of its venue;
so neither the resolution of an event loop's timers nor the work of pacing is in what is measured.
"""

from __future__ import annotations

import asyncio
import importlib
import multiprocessing
import os
import socket
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any, cast

from bench.bus.port import Way, Work, message
from bench.bus.tally import Tally, figures
from bench.system.books import Books
from bench.system.native import BenchError

new_event_loop: Callable[[], asyncio.AbstractEventLoop]
try:
    from uvloop import new_event_loop
except ImportError:
    from asyncio import new_event_loop

LOOP = new_event_loop.__module__
"""Whose event loop both have: uvloop's where it runs, as in the gateway."""
_SOON_NS = 20_000_000
_AGAIN_S = 0.05
"""The end of a work is said again after this time: it may be lost, too."""
_PATIENCE_S = 60.0
_ENDS_S = 5.0


def run(name: str, redis: int, redis_pid: int, works: list[Work]) -> dict[str, Any]:
    """Do the works one after the other with one pair.

    Args:
        name: of the way.
        redis: its port.
        redis_pid: its process, whose CPU time is asked for.
        works: all but the last are there to warm up.

    Returns:
        The sample of the last one, with the CPU time of each process for each message.

    Raises:
        BenchError: an end said nothing for a minute.
    """
    reader, writer = _End(read_works, name, redis), _End(write_works, name, redis)
    with reader, writer:
        for work in works:
            reader.control.send(work)
            reader.said()
            books = Books(
                {"writer": writer.pid, "redis": redis_pid, "reader": reader.pid, "pace": os.getpid()}
            )
            start_ns = time.monotonic_ns() + _SOON_NS
            writer.control.send(work)
            _pace(writer.ticks, work, start_ns)
            writer.said()
            while not reader.control.poll(_AGAIN_S):
                writer.control.send(None)
                writer.said()
            numbers, seen_ns, reports = reader.said()
            kept = books.close()
    counted = figures(work, start_ns, numbers, seen_ns)
    return {**counted, **kept.per(work.messages), "reports": reports, "loop": LOOP}


def _pace(ticks: socket.socket, work: Work, start_ns: int) -> None:
    """One byte for each burst, when it is due; who is late skips none."""
    for tick in range(work.ticks):
        left_ns = work.due_ns(start_ns, tick) - time.monotonic_ns()
        if left_ns > 0:
            time.sleep(left_ns / 1e9)
        ticks.send(b".")


class _End:
    """One of the two processes; a context manager."""

    def __init__(self, main: Any, name: str, redis: int) -> None:
        context = multiprocessing.get_context("spawn")
        self.control, there = context.Pipe()
        self.ticks, ticks = socket.socketpair()
        self._process = context.Process(target=main, args=(name, redis, there, ticks), daemon=True)
        self._process.start()
        there.close()
        ticks.close()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    def __enter__(self) -> _End:
        self.said()
        return self

    def __exit__(self, *_: object) -> None:
        self.control.close()
        self._process.join(_ENDS_S)
        if self._process.is_alive():
            self._process.kill()

    def said(self) -> Any:
        """What it says next."""
        if not self.control.poll(_PATIENCE_S):
            raise BenchError(f"an end of the bus said nothing for {_PATIENCE_S:g} s")
        try:
            return self.control.recv()
        except EOFError as error:
            raise BenchError("an end of the bus ended; what it wrote says why") from error


# ---- the two processes -----------------------------------------------------------------------------------


def write_works(name: str, redis: int, control: Connection, ticks: socket.socket) -> None:
    """The writer's process: do what is said over ``control`` until that ends; None: say the end again."""
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(_write_works(_way(name), redis, control, ticks))


async def _write_works(way: Way, redis: int, control: Connection, ticks: socket.socket) -> None:
    ticks.setblocking(False)
    async with way.open_writer(redis) as sender:
        control.send("ready")
        last: Work | None = None
        while True:
            try:
                work = await _said(control)
            except EOFError:
                return
            if work is not None:
                last, number = work, work.first
                while number < work.first + work.messages:
                    due = number + len(await asyncio.get_running_loop().sock_recv(ticks, 65536)) * work.burst
                    await sender.send([message(one) for one in range(number, due)])
                    number = due
            assert last is not None, "there is a work before its end"
            await asyncio.sleep(0)  # not in one turn with messages of other topics, which it may overtake
            await sender.send([message(last.end)])
            control.send("written")


def read_works(name: str, redis: int, control: Connection, _ticks: socket.socket) -> None:
    """The reader's process: see one work after the other until ``control`` ends."""
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(_read_works(_way(name), redis, control))


async def _read_works(way: Way, redis: int, control: Connection) -> None:
    eye = _Eye()
    async with way.open_reader(redis, eye):
        control.send("ready")
        while True:
            try:
                work = await _said(control)
            except EOFError:
                return
            tally = eye.begin(work)
            control.send("ready")
            await eye.over.wait()
            control.send((tally.numbers, tally.seen_ns, tally.reports))


class _Eye:
    """Hands what is seen to the tally of the work that is under way."""

    def __init__(self) -> None:
        self.over = asyncio.Event()
        self._tally = Tally(Work(0, 1, 1, 0))
        self.warned = self._tally.warned

    def begin(self, work: Work) -> Tally:
        """Another work is under way."""
        self.over.clear()
        self._tally = Tally(work)
        self.warned = self._tally.warned
        return self._tally

    def see(self, number: int) -> None:
        """A message came."""
        self._tally.see(number)
        if self._tally.is_over:
            self.over.set()


async def _said(control: Connection) -> Any:
    """What is said next, while the loop goes on."""
    loop, ready = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(control.fileno(), ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(control.fileno())
    os.set_blocking(control.fileno(), True)  # uvloop has changed that, and answers may be long
    return control.recv()


def _way(name: str) -> Way:
    return cast(Way, importlib.import_module(f"bench.bus.{name}"))
