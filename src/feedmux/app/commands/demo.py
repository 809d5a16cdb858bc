"""``feedmux demo``: a simulated venue, the gateway and a live table, offline, in one process."""

from __future__ import annotations

import asyncio
import logging
import shutil
import socket
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from feedmux.app import node
from feedmux.app.settings import Settings
from feedmux.app.table import PriceTable, facts_of, label_of_stream
from feedmux.client.clock import SystemClock
from feedmux.client.subscriber import Message, Subscriber
from feedmux.sim.bybit import BybitSim
from feedmux.sim.options import SimOptions

SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT", "DOGEUSDT")
STREAMS = (*(f"ticker:{symbol}" for symbol in SYMBOLS), "kline:1m:BTCUSDT", "trade:BTCUSDT", "trade:ETHUSDT")
DEFAULT_PORT = 8000
FRAMES_PER_SECOND = 8


class Intro:
    """What a newcomer is told above the prices."""

    def __init__(self, port: int) -> None:
        command = _command()
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


class Plain:
    """One line per stream and second, for pipes and logs."""

    def __init__(self) -> None:
        self._next: dict[str, float] = {}

    def show(self, message: Message) -> None:
        """Write a price, unless one of its stream was written just now."""
        now = asyncio.get_running_loop().time()
        facts = facts_of(message.get("data"))
        label = label_of_stream(str(message["stream"]))
        if facts is None or now < self._next.get(label, 0.0):
            return
        self._next[label] = now + 1.0
        sys.stdout.write(f"{label:<24} {facts.last:>14} {facts.change or ''}\n")
        sys.stdout.flush()


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
) -> None:
    """Show moving prices: a simulated venue, the gateway and a live table; needs no network."""
    logging.getLogger("feedmux").addHandler(logging.NullHandler())
    logging.getLogger("feedmux").propagate = False
    asyncio.run(_demo(_free(port), seconds))


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
    }  # fmt: skip
    return Settings(**values)


def _free(port: int) -> int:
    """``port`` if it can be bound, else one that the system chooses."""
    for candidate in (port, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", candidate))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    return 0


def _command() -> str:
    """How the reader can call feedmux from here."""
    if shutil.which("feedmux"):
        return "feedmux"
    try:
        return str(Path(sys.argv[0]).resolve().relative_to(Path.cwd()))
    except ValueError:
        return "python -m feedmux"
