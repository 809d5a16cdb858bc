"""What both demos have: what is simulated and followed, prices as lines, a port, the reader's command."""

from __future__ import annotations

import asyncio
import shutil
import socket
import sys
from pathlib import Path

from feedmux.app.table import facts_of, label_of_stream
from feedmux.client.subscriber import Message

SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT", "DOGEUSDT")
STREAMS = (*(f"ticker:{symbol}" for symbol in SYMBOLS), "kline:1m:BTCUSDT", "trade:BTCUSDT", "trade:ETHUSDT")
DEFAULT_PORT = 8000
FRAMES_PER_SECOND = 8


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


def free_port(port: int) -> int:
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


def command_here() -> str:
    """How the reader can call feedmux from here."""
    if shutil.which("feedmux"):
        return "feedmux"
    try:
        return str(Path(sys.argv[0]).resolve().relative_to(Path.cwd()))
    except ValueError:
        return "python -m feedmux"
