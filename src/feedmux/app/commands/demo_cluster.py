"""``feedmux demo --cluster``: nodes, a Redis and a simulated venue on this machine; a node may be killed.

Each node is a process, and so is Redis. What is told about them is what they say themselves: who has the
venue's connection stands in their ``/stats``, and prices come over a client of each node.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Final

import msgspec
from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.text import Text

from feedmux.app import terms_redis
from feedmux.app.commands.demo_parts import (
    FRAMES_PER_SECOND,
    STREAMS,
    SYMBOLS,
    Plain,
    command_here,
    free_port,
)
from feedmux.app.own_gateway import OwnGateway, read
from feedmux.app.own_redis import OwnRedis
from feedmux.app.table import PriceTable, facts_of
from feedmux.client.clock import SystemClock
from feedmux.client.subscriber import Message, Subscriber
from feedmux.sim.bybit import BybitSim
from feedmux.sim.options import SimOptions

NODES: Final = 2
_LOOK_S: Final = 0.1
_ANSWER_S: Final = 1.0
_MOST_EVENTS: Final = 3
_ROOMY: Final = 29
"""So many lines have room for everything."""

_BLANK: Final = ("", "")


class _Cluster(msgspec.Struct):
    held: bool


class _Feed(msgspec.Struct):
    cluster: _Cluster


class _Stats(msgspec.Struct):
    """As much of a node's ``/stats`` as is looked at."""

    feeds: list[_Feed]


class Events:
    """What happened, one sentence each; the latest stay below the nodes, or all go into a pipe.

    Args:
        terminal: whether there is one.
    """

    def __init__(self, *, terminal: bool) -> None:
        self._terminal = terminal
        self._began = asyncio.get_running_loop().time()
        self.latest: list[str] = []

    def say(self, sentence: str) -> None:
        """It happened now."""
        line = f"{asyncio.get_running_loop().time() - self._began:6.1f} s  {sentence}"
        self.latest = [*self.latest[1 - _MOST_EVENTS :], line]
        if not self._terminal:
            sys.stdout.write(line + "\n")
            sys.stdout.flush()


class Seat:
    """A node, and the client of it that is in this process: a :class:`feedmux.client.subscriber.Reader`.

    Args:
        name: of the node.
        gateway: the node.
        show: is given each message, if clients of this node are shown.
        changes: is told True when its streams are interrupted, and False when values come again.
    """

    def __init__(
        self, name: str, gateway: OwnGateway, show: Callable[[Message], None], changes: Callable[[bool], None]
    ) -> None:
        self.name, self.gateway, self._show, self._changes = name, gateway, show, changes
        self.table = PriceTable(f"a client of {name}", SystemClock())
        self.subscriber = Subscriber(gateway.url, STREAMS, self)
        self.holds = self.has_ended = self.is_shown = self._is_interrupted = False

    def connected(self) -> None:
        self.table.note("connected", good=True)

    def take(self, message: Message, _text: bytes, /) -> None:
        self.table.update(message)
        if "stream" not in message:
            return
        if self.is_shown:
            self._show(message)
        data = message.get("data")
        if message.get("type") == "status":
            if isinstance(data, dict) and data.get("state") == "reconnecting":
                self._interrupt(True)
        elif facts_of(data) is not None:
            self._interrupt(False)

    def disconnected(self, reason: str, /) -> None:
        self.table.note(reason)

    def retrying(self, reason: str, wait_s: float, /) -> None:
        self.table.note(f"{reason}; again in {wait_s:.0f} s")

    def _interrupt(self, is_interrupted: bool) -> None:
        if is_interrupted is not self._is_interrupted:
            self._is_interrupted = is_interrupted
            self._changes(is_interrupted)

    async def look(self) -> None:
        """Ask the node whether it has the venue's connection."""
        holds = False
        with contextlib.suppress(OSError, TimeoutError, msgspec.DecodeError):
            async with asyncio.timeout(_ANSWER_S):
                stats = await _stats(self.gateway.port)
            holds = any(feed.cluster.held for feed in stats.feeds)
        self.holds = holds and not self.has_ended


class Show:
    """The demo while it runs; what is drawn of it, too.

    Args:
        redis: of the nodes.
        sim: the venue.
        terminal: whether there is one.
    """

    def __init__(self, redis: OwnRedis, sim: BybitSim, *, terminal: bool) -> None:
        self._redis, self._sim, self._terminal = redis, sim, terminal
        self.events = Events(terminal=terminal)
        self._plain = Plain()
        self.seats: list[Seat] = []
        self._owner: Seat | None = None
        self._ended_at: float | None = None
        self._told_after_s = 0.0
        self._happened: list[str] = []
        self.owned = asyncio.Event()
        self.over = asyncio.Event()

    def add(self, name: str, gateway: OwnGateway) -> None:
        """There is one more node."""
        seat = Seat(
            name, gateway, self._message, lambda is_off: self._interrupted(seat, is_interrupted=is_off)
        )
        self.seats.append(seat)
        self._choose()

    async def watch(self) -> None:
        """See who has the connection, again and again, until this is cancelled."""
        while True:
            happened, self._happened = self._happened, []
            await asyncio.gather(*(seat.look() for seat in self.seats))
            owner = next((seat for seat in self.seats if seat.holds), None)
            if owner is not None and owner is not self._owner:
                self._owner = owner
                self.events.say(f"{owner.name} has the venue's connection")
                self.owned.set()
                self._choose()
            for sentence in happened:
                self.events.say(sentence)
            await asyncio.sleep(_LOOK_S)

    async def mourn(self, seat: Seat) -> None:
        """Wait until a node has ended."""
        status = await seat.gateway.wait()
        seat.has_ended, seat.holds = True, False
        seat.subscriber.close()
        how = f"was ended by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
        had = ", which had the connection," if seat is self._owner else ""
        if seat is self._owner:
            self._ended_at = asyncio.get_running_loop().time()
        self.events.say(f"{seat.name}{had} {how}")
        self._choose()
        if all(one.has_ended for one in self.seats):
            self.over.set()

    async def kill(self, after_s: float) -> None:
        """Kill who has the connection, so long after somebody has it."""
        await self.owned.wait()
        await asyncio.sleep(after_s)
        if self._owner is not None and not self._owner.has_ended:
            os.kill(self._owner.gateway.pid, signal.SIGKILL)

    @property
    def intro(self) -> tuple[str, ...]:
        """What a newcomer is told."""
        last = self.seats[-1].gateway
        return (
            f"feedmux demo --cluster: {len(self.seats)} nodes share one connection to a simulated venue",
            f"Follow      {command_here()} tail ticker:ETHUSDT --url {last.url}",
            "Take over   kill -9 PID of who has the connection, or --kill-after 10",
            f"Look        {command_here()} cluster status --set redis_url={self._redis.url}",
            "Stop        Ctrl-C",
        )

    @property
    def nodes(self) -> list[tuple[str, str]]:
        """A line for each node, and one for the venue; with their colours."""
        lines = [(f"{self._place(seat)}{(role := self._role(seat))[0]}", role[1]) for seat in self.seats]
        count = self._sim.statistics()["connections"]
        return [*lines, (f"venue   {count} connection{'' if count == 1 else 's'} from all nodes", "dim")]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw what is told, the nodes, what happened, and prices as clients of one node see them; at
        the end, what has not become wrong."""
        is_roomy = console.size.height >= _ROOMY
        told = [(line, "cyan") for line in self.intro]
        happened = [(line, "yellow") for line in self.events.latest]
        parts = [[*told, _BLANK] if is_roomy else [*told[:2], told[-1]], [*self.nodes, _BLANK]]
        if self.over.is_set():
            parts = []
        for line, style in (pair for part in (*parts, happened) for pair in part):
            yield Text(f"  {line}", style=style, no_wrap=True, overflow="ellipsis")
        yield Text()
        yield next((seat.table for seat in self.seats if seat.is_shown), Text())

    def _choose(self) -> None:
        """Show a client of a node that lives, rather not of the one that has the connection."""
        living = [seat for seat in self.seats if not seat.has_ended]
        chosen = min(living, key=lambda seat: seat is self._owner, default=None)
        for seat in self.seats:
            seat.is_shown = seat is chosen

    def _message(self, message: Message) -> None:
        if not self._terminal:
            self._plain.show(message)

    def _interrupted(self, seat: Seat, *, is_interrupted: bool) -> None:
        """Its client heard of it; said after who has the connection, which is asked less often."""
        if self._ended_at is None:
            return
        after_s = asyncio.get_running_loop().time() - self._ended_at
        if is_interrupted:
            self._told_after_s = after_s
            return
        self._ended_at = None
        told = f"`reconnecting` after {self._told_after_s:.1f} s, prices after {after_s:.1f} s"
        self._happened.append(f"{seat.name}'s clients: {told}")

    def _role(self, seat: Seat) -> tuple[str, str]:
        """What a node does, and how that is coloured."""
        if seat.has_ended:
            return "has ended", "red"
        if seat.holds:
            return "has the venue's connection", "green"
        is_read = self._owner is not None and not self._owner.has_ended
        return ("reads through Redis", "") if is_read else ("waits for the lease", "yellow")

    @staticmethod
    def _place(seat: Seat) -> str:
        return f"{seat.name:<8}{seat.gateway.url:<28}pid {seat.gateway.pid:<8}"


async def run(port: int, seconds: float | None, kill_after_s: float | None) -> None:
    """Show it until a signal comes, the time is over, or no node is left.

    Args:
        port: of the first node, if it is free.
        seconds: how long; None: until a signal comes.
        kill_after_s: when to kill who has the venue's connection; None: never.

    Raises:
        NoRedisServer, RedisDied: there is no Redis.
        GatewayDied: a node did not start.
        InvalidSetting: a package is missing.
    """
    stop = asyncio.Event()
    for one in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(one, stop.set)
    terminal = sys.stdout.isatty()
    sim = BybitSim(SimOptions(symbols=SYMBOLS, port=0))
    async with AsyncExitStack() as stack:
        redis = await stack.enter_async_context(OwnRedis())
        await sim.start()
        stack.push_async_callback(sim.stop)
        show = Show(redis, sim, terminal=terminal)
        for number, its_port in enumerate([free_port(port), 0][:NODES], 1):
            name = f"node-{number}"
            gateway = OwnGateway(_settings(name, its_port, redis, sim))
            show.add(name, await stack.enter_async_context(gateway))
        await _follow(show, stop, seconds, kill_after_s)
    if terminal:
        Console().print(show)


async def _follow(show: Show, stop: asyncio.Event, seconds: float | None, kill_after_s: float | None) -> None:
    if not sys.stdout.isatty():
        sys.stdout.write("\n".join([*show.intro, *(line for line, _ in show.nodes)]) + "\n")
        sys.stdout.flush()
    async with asyncio.TaskGroup() as tasks:
        going = [tasks.create_task(seat.subscriber.run()) for seat in show.seats]
        others = [
            tasks.create_task(show.watch()),
            *(tasks.create_task(show.mourn(seat)) for seat in show.seats),
        ]
        if kill_after_s is not None:
            others.append(tasks.create_task(show.kill(kill_after_s)))
        if sys.stdout.isatty():
            others.append(tasks.create_task(_draw(show)))
        ends = [tasks.create_task(stop.wait()), tasks.create_task(show.over.wait())]
        await asyncio.wait(ends, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        show.over.set()
        for seat in show.seats:
            seat.subscriber.close()
        await asyncio.wait(going)
        for task in (*others, *ends):
            task.cancel()


async def _draw(show: Show) -> None:
    with Live(show, console=Console(), screen=True, auto_refresh=False) as live:
        while True:
            live.refresh()
            await asyncio.sleep(1 / FRAMES_PER_SECOND)


async def _stats(port: int) -> _Stats:
    """What a node says of itself."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(b"GET /stats HTTP/1.1\r\nHost: node\r\n\r\n")
        answer = await reader.read()
    finally:
        writer.close()
    return msgspec.json.decode(answer.partition(b"\r\n\r\n")[2], type=_Stats)


def _settings(name: str, port: int, redis: OwnRedis, sim: BybitSim) -> dict[str, str]:
    """What makes a gateway a node; all but the second and third line are for the demo alone."""
    settings = {
        "host": "127.0.0.1", "port": str(port), "bybit_ws_url": sim.url("linear"),
        "redis_url": redis.url,
        "node_name": name,
        "drain_seconds": "0", "log_json": "false", "local": "off",
    }  # fmt: skip
    terms_redis.require_redis(read(settings))
    return settings
