"""Draw docs/pictures/terminal.svg: the demo's table, made of a real run.

A simulated venue and a gateway run in this process; a subscriber follows the gateway over a
real socket for a few seconds, and what a terminal would show then is written as SVG::

    .venv/bin/python scripts/picture.py
"""

from __future__ import annotations

import asyncio
import html
import io
import re
import socket
import sys
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console, Group
from rich.terminal_theme import MONOKAI
from rich.text import Text

from feedmux.app import node
from feedmux.app.commands.demo import Intro, Watcher
from feedmux.app.commands.demo_parts import DEFAULT_PORT, STREAMS, SYMBOLS
from feedmux.app.settings import Settings
from feedmux.app.table import PriceTable
from feedmux.client.clock import SystemClock
from feedmux.client.subscriber import Subscriber
from feedmux.sim.bybit import BybitSim
from feedmux.sim.options import SimOptions

PICTURE = Path(__file__).parent.parent / "docs" / "pictures" / "terminal.svg"
COLUMNS = 112
SECONDS = 12.0
COMMAND = Path.cwd() / ".venv" / "bin" / "feedmux"
"""How its reader will have called it."""

# The reader's own monospaced font: pictures in documents may not load fonts from elsewhere.
TEMPLATE = re.sub(r"\s*@font-face \{\{.*?\}\}", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL).replace(
    "Fira Code", "DejaVu Sans Mono, Menlo, Consolas"
)

SPACE = "&#160;"
CHARACTER = 12.2
"""The width of a character in rich's pictures."""
RUN_OF_TEXT = re.compile(
    r'(<text class="demo-r[^>]* x=")([\d.]+)(" [^>]*textLength=")[\d.]+("[^>]*>)([^<]*)<'
)


async def follow(table: PriceTable) -> None:
    """Run venue, gateway and subscriber until the table has seen enough."""
    sim = BybitSim(SimOptions(symbols=SYMBOLS))
    await sim.start()
    settings = Settings(host="127.0.0.1", port=free_port(), bybit_ws_url=sim.url("linear"), drain_seconds=0.0)

    async def watch(stop: asyncio.Event) -> None:
        subscriber = Subscriber(f"ws://127.0.0.1:{settings.port}/ws", STREAMS, Watcher(table))
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(subscriber.run())
            await asyncio.sleep(SECONDS)
            draw(table)
            subscriber.close()
        stop.set()

    try:
        await node.serve(settings, watch)
    finally:
        await sim.stop()


def draw(table: PriceTable) -> None:
    """Write the picture of this moment."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    console.print(Group(Intro(DEFAULT_PORT), Text(), table))
    picture = console.export_svg(title="feedmux demo", theme=MONOKAI, code_format=TEMPLATE, unique_id="demo")
    picture = RUN_OF_TEXT.sub(without_margins, picture)
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    PICTURE.write_text("\n".join(line.rstrip() for line in picture.splitlines()) + "\n", "utf-8")


def without_margins(found: re.Match[str]) -> str:
    """Place a run of text by its first letter: some renderers swallow the spaces before it."""
    before, x, between, after, text = found.groups()
    left = 0
    while text.startswith(SPACE):
        text, left = text.removeprefix(SPACE), left + 1
    while text.endswith(SPACE):
        text = text.removesuffix(SPACE)
    width = CHARACTER * len(html.unescape(text))
    return f"{before}{float(x) + CHARACTER * left:g}{between}{width:g}{after}{text}<"


def free_port() -> int:
    """A port that the system says is free."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    sys.argv[0] = str(COMMAND)
    asyncio.run(follow(PriceTable("simulated Bybit", SystemClock())))
