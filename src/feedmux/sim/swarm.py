"""A swarm of clients: native processes that connect, subscribe, count and time what they receive.

Theory of operation
-------------------
A process has a limited number of descriptors, and one load client has one thread; so the clients are
spread over several processes. Each of them goes through the same phases, and the swarm is in a phase
when all of them are::

    connecting --ready--> subscribed --first data, warm-up--> measuring --result--> done

A message's latency is the time of its read minus the time at which it was *meant* to be sent, which the
venue of ``feedmux bench`` writes into it: a late sender does not hide (no coordinated omission).

The percentiles of the swarm are those of all values of all processes: their histograms are added up.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import resource
from collections.abc import Sequence
from types import TracebackType
from typing import Literal, Self, TypeVar

import msgspec

from feedmux.model.errors import CapacityError, FeedmuxError, InvalidSetting, PeerError, Refused
from feedmux.model.link_errors import ConnectFailed, LinkLost
from feedmux.sim.generator import Generator, Silence
from feedmux.sim.tally import Line, Measuring, Outcome, Ready, Result, merge, read_line
from feedmux.sim.target import FULL_HOUSE, FullHouse, NotAGateway, Target

Times = Literal["intended", "timestamp"]

_SPARE = 64
_MOST_PROCESSES = 64
_PORTS = 20_000
_USEFUL = 500
_GRACE_S = 30.0
_SUBSCRIPTION = "a subscription was answered with: "
_UPGRADE = "an upgrade was answered with: "


class TooFewDescriptors(CapacityError):
    """A process may not open as many files as it needs sockets.

    Args:
        who: which process.
        wanted: how many it needs.
        limit: how many it may have.
    """

    code = "TOO_FEW_DESCRIPTORS"

    def __init__(self, who: str, wanted: int, limit: int) -> None:
        super().__init__(who, wanted, limit)
        self.who, self.wanted, self.limit = who, wanted, limit

    def __str__(self) -> str:
        return (
            f"{self.who} needs {self.wanted:,} open files and may have {self.limit:,}; raise the limit "
            f"(ulimit -n {self.wanted}, as root beyond the hard limit), "
            "or use fewer --clients, or more --processes if it is theirs"
        )


class NoData(PeerError):
    """Everybody is subscribed, and nothing comes.

    Args:
        seconds: how long was waited.
    """

    code = "NO_DATA"

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds

    def __str__(self) -> str:
        return (
            f"nothing came within {self.seconds:g} s after everybody was subscribed; choose livelier --topics"
        )


class SwarmOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What the clients do.

    Args:
        clients: how many.
        topics: what they subscribe to, in the words of the ``/ws`` protocol.
        each: so many random ones of ``topics`` for each client; 0: all of them.
        seconds: how long is measured.
        warmup_s: how long data is read before that.
        slow: the share of clients (0.01: one of a hundred) that read a tenth of what the others do.
        stop_reading: the share of clients that read nothing at all.
        times: where a message's time stands: ``intended`` is what our venue writes into it,
            ``timestamp`` is every message's own, which counts only where its clock is this machine's.
        processes: over how many processes the clients are spread; 0: as many as are useful here.
        connect_s: how long connecting and subscribing may take.
        data_s: how long the first message may take after that.
    """

    clients: int = 1000
    topics: tuple[str, ...] = ("trade:BTCUSDT",)
    each: int = 0
    seconds: float = 10.0
    warmup_s: float = 1.0
    slow: float = 0.0
    stop_reading: float = 0.0
    times: Times = "intended"
    processes: int = 0
    connect_s: float = 60.0
    data_s: float = 30.0

    def __post_init__(self) -> None:
        """Refuse what cannot work.

        Raises:
            InvalidSetting: a number is outside its range, or there is no topic.
        """
        shares = 0 <= self.slow <= 1 and 0 <= self.stop_reading <= 1 and self.slow + self.stop_reading < 1
        for name, value, right, expected in (
            ("clients", self.clients, 1 <= self.clients <= 1_000_000, "a number from 1 to 1000000"),
            ("topics", len(self.topics), 1 <= len(self.topics) <= 4096, "1 to 4096 topics"),
            ("each", self.each, self.each >= 0, "0 or more"),
            ("seconds", self.seconds, self.seconds > 0, "seconds above 0"),
            ("warmup", self.warmup_s, self.warmup_s >= 0, "seconds, 0 or more"),
            ("slow", self.slow, shares, "a share that leaves some of the clients, with --stop-reading"),
            ("processes", self.processes, 0 <= self.processes <= _MOST_PROCESSES, f"0 to {_MOST_PROCESSES}"),
        ):
            if not right:
                raise InvalidSetting(f"--{name}", value, expected)


def descriptors() -> int:
    """How many files a process may open here at most."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return hard if hard != resource.RLIM_INFINITY else 1 << 30


def spread(clients: int, processes: int, *, limit: int, cores: int) -> list[int]:
    """How many clients each process has.

    Args:
        clients: of all together, at least 1.
        processes: how many are wanted; 0: as many as are useful, which leaves the server a core.
        limit: how many files each of them may open.
        cores: how many the machine has.

    Raises:
        TooFewDescriptors: even the most processes cannot hold them.
    """
    room = max(limit - _SPARE, 1)
    needed = math.ceil(clients / room)
    useful = max(1, min(cores - 1, math.ceil(clients / _USEFUL)))
    count = min(processes or max(needed, useful), clients)
    if needed > (processes or _MOST_PROCESSES):
        share = math.ceil(clients / (processes or _MOST_PROCESSES))
        raise TooFewDescriptors(f"a load process with {share:,} clients", share + _SPARE, limit)
    return [clients // count + (number < clients % count) for number in range(count)]


AnyLine = TypeVar("AnyLine", Ready, Measuring, Result)


class Swarm:
    """Clients of one server, as an async context manager: they are gone at its end.

    Args:
        target: the server.
        options: what they do.
    """

    def __init__(self, target: Target, options: SwarmOptions) -> None:
        self._target = target
        self._options = options
        self._shares = spread(
            options.clients, options.processes, limit=descriptors(), cores=os.cpu_count() or 1
        )
        self._generators: list[Generator] = []

    @property
    def processes(self) -> int:
        """Over how many processes the clients are spread."""
        return len(self._shares)

    @property
    def pids(self) -> tuple[int, ...]:
        """The processes that were started."""
        return tuple(generator.pid for generator in self._generators)

    async def __aenter__(self) -> Self:
        async with contextlib.AsyncExitStack() as undo:
            undo.push_async_callback(self._end)
            for number, clients in enumerate(self._shares):
                self._generators.append(await Generator.start("load", self._command(number, clients)))
            undo.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._end()

    async def ready(self) -> Ready:
        """Wait until all clients are subscribed.

        Raises:
            ConnectFailed, NotAGateway, FullHouse, Refused: some are not; says why.
            GeneratorDied, NoGenerator, Silence: the load itself failed.
        """
        lines = await self._lines(Ready, self._options.connect_s + _GRACE_S)
        ready = Ready(
            sum(line.connected for line in lines),
            sum(line.failed for line in lines),
            max(line.seconds for line in lines),
        )
        if ready.failed:
            raise await self._failure(ready.connected)
        return ready

    async def measuring(self) -> None:
        """Wait for the first data and the end of the warm-up.

        Raises:
            NoData: nothing came.
            LinkLost: all clients of a process were closed.
            GeneratorDied: the load itself failed.
        """
        try:
            await self._lines(Measuring, self._options.data_s + self._options.warmup_s)
        except Silence as error:
            raise NoData(self._options.data_s) from error

    async def result(self) -> Outcome:
        """Wait until the measured time is over.

        Raises:
            GeneratorDied, Silence: the load itself failed.
        """
        return merge(await self._lines(Result, self._options.seconds + _GRACE_S))

    def _command(self, number: int, clients: int) -> list[object]:
        target, options = self._target, self._options
        total = options.clients
        return [
            "--host", target.host, "--address", target.address, "--port", target.port, "--path", target.path,
            "--clients", clients, "--topics", ",".join(options.topics), "--each", options.each,
            "--seed", number + 1, "--parallel", max(1, 200 // len(self._shares)),
            "--sources", math.ceil(total / _PORTS) if target.is_here and total > _PORTS else 0,
            "--deadline", options.connect_s, "--warmup", options.warmup_s, "--seconds", options.seconds,
            "--times", options.times, "--histogram",
            *(["--slow", options.slow] if options.slow else []),
            *(["--stop-reading", options.stop_reading] if options.stop_reading else []),
        ]  # fmt: skip

    async def _lines(self, kind: type[AnyLine], timeout_s: float) -> Sequence[AnyLine]:
        """The next line of each process; the first error is everybody's."""
        try:
            async with asyncio.TaskGroup() as tasks:
                waiting = [tasks.create_task(_next(one, kind, timeout_s)) for one in self._generators]
        except ExceptionGroup as group:
            raise group.exceptions[0] from None
        return [task.result() for task in waiting]

    async def _failure(self, connected: int) -> FeedmuxError:
        for generator in self._generators:
            await generator.tell("stats")
        results = await self._lines(Result, _GRACE_S)
        if any(result.close_code == FULL_HOUSE for result in results):
            return FullHouse(self._target.url, connected)
        said = [line for generator in self._generators for line in generator.said]
        for line in said:
            if line.startswith(_SUBSCRIPTION):
                return Refused("the subscription of a client", line.removeprefix(_SUBSCRIPTION))
            if line.startswith(_UPGRADE):
                return NotAGateway(self._target.url, f"it answered {line.removeprefix(_UPGRADE)}")
        return ConnectFailed(self._target.url, "the connections were refused, cut, or not answered in time")

    async def _end(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            for generator in self._generators:
                tasks.create_task(generator.end())


async def _next(generator: Generator, kind: type[AnyLine], timeout_s: float) -> AnyLine:
    line: Line = read_line(await generator.line(timeout_s))
    if isinstance(line, kind):
        return line
    code = f" with {line.close_code}" if isinstance(line, Result) and line.close_code else ""
    raise LinkLost(f"the server closed every client of a load process{code}")
