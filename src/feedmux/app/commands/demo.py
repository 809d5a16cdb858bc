"""``feedmux demo``: a simulated venue, the gateway and a live table, offline, in one process."""

from __future__ import annotations

import asyncio
import logging
import sys
from typing import Annotated, Any

import typer
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from feedmux.app import node
from feedmux.app.commands.demo_parts import (
    DEFAULT_PORT,
    FRAMES_PER_SECOND,
    STREAMS,
    SYMBOLS,
    Plain,
    command_here,
    free_port,
)
from feedmux.app.settings import Settings
from feedmux.app.table import PriceTable
from feedmux.client.clock import SystemClock
from feedmux.client.subscriber import Message, Subscriber
from feedmux.model.errors import InvalidSetting
from feedmux.sim.bybit import BybitSim
from feedmux.sim.options import SimOptions


class Intro:
    """What a newcomer is told above the prices."""

    def __init__(self, port: int) -> None:
        command = command_here()
        where = "" if port == DEFAULT_PORT else f" --url ws://127.0.0.1:{port}/ws"
        self.lines = (
            "feedmux demo: simulated prices, served by a real gateway",
            f"WebSocket   ws://127.0.0.1:{port}/ws",
            f"Follow      {command} tail ticker:ETHUSDT{where}",
            f"Go live     {command} serve   (Bybit; no key needed)",
            "Stop        Ctrl-C",
        )

    def __rich__(self) -> Text:
        return Text(
            "\n".join(f"  {line}" for line in self.lines), style="cyan", no_wrap=True, overflow="ellipsis"
        )


class Watcher:
    """Reads the gateway's streams into a table or into lines."""

    def __init__(self, table: PriceTable | None) -> None:
        self._table = table
        self._plain = Plain()

    def connected(self) -> None:
        if self._table is not None:
            self._table.note("connected", good=True)

    def take(self, message: Message, _text: bytes, /) -> None:
        if self._table is not None:
            self._table.update(message)
        elif "stream" in message:
            self._plain.show(message)

    def disconnected(self, reason: str, /) -> None:
        if self._table is not None:
            self._table.note(reason)

    def retrying(self, reason: str, wait_s: float, /) -> None:
        if self._table is not None:
            self._table.note(f"{reason}; again in {wait_s:.0f} s")


def demo(
    *,
    port: Annotated[int, typer.Option(help="The gateway's port, if it is free.")] = DEFAULT_PORT,
    seconds: Annotated[
        float | None, typer.Option(help="Stop after so many seconds.", min=0, show_default=False)
    ] = None,
    cluster: Annotated[
        bool, typer.Option("--cluster", help="Two nodes that share the venue through a Redis of their own.")
    ] = False,
    kill_after: Annotated[
        float | None,
        typer.Option(
            help="Kill the node that has the connection after so many seconds.", min=0, show_default=False
        ),
    ] = None,
) -> None:
    """Show moving prices: a simulated venue, the gateway and a live table; needs no network."""
    if kill_after is not None and not cluster:
        raise InvalidSetting(
            "--kill-after", kill_after, "--cluster beside it: else there is nobody to take over"
        )
    logging.getLogger("feedmux").addHandler(logging.NullHandler())
    logging.getLogger("feedmux").propagate = False
    if cluster:
        from feedmux.app.commands import demo_cluster

        asyncio.run(demo_cluster.run(port, seconds, kill_after))
    else:
        asyncio.run(_demo(free_port(port), seconds))


async def _demo(port: int, seconds: float | None) -> None:
    sim = BybitSim(SimOptions(symbols=SYMBOLS, port=0))
    await sim.start()
    try:
        await node.serve(_settings(port, sim), lambda stop: _watch(port, stop, seconds))
    finally:
        await sim.stop()


async def _watch(port: int, stop: asyncio.Event, seconds: float | None) -> None:
    """Follow the gateway until ``stop`` is set or the time is over."""
    intro = Intro(port)
    terminal = sys.stdout.isatty()
    table = PriceTable("simulated Bybit", SystemClock()) if terminal else None
    subscriber = Subscriber(f"ws://127.0.0.1:{port}/ws", STREAMS, Watcher(table))
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(subscriber.run())
        if table is None:
            sys.stdout.write("\n".join(intro.lines) + "\n")
            sys.stdout.flush()
        drawing = tasks.create_task(_draw(intro, table)) if table is not None else None
        try:
            await asyncio.wait_for(stop.wait(), seconds)
        except TimeoutError:
            stop.set()
        subscriber.close()
        if drawing is not None:
            drawing.cancel()
    if table is not None:
        Console().print(table)


async def _draw(intro: Intro, table: PriceTable) -> None:
    with Live(Group(intro, Text(), table), console=Console(), screen=True, auto_refresh=False) as live:
        while True:
            live.refresh()
            await asyncio.sleep(1 / FRAMES_PER_SECOND)


def _settings(port: int, sim: BybitSim) -> Settings:
    """A gateway of its own, whatever the environment and the files here say."""
    values: dict[str, Any] = {
        "host": "127.0.0.1", "port": port, "bybit_ws_url": sim.url("linear"), "drain_seconds": 1.0,
        "local": False,  # nobody's program takes these prices for real ones
    }  # fmt: skip
    return Settings(**values)
