"""What recording costs: ``python -m bench.micro.recorder [--seconds S]``. Stores nothing.

``in the loop`` is what a message costs the event loop's thread, ``in all`` the CPU time of the process,
the writer's thread included, ``hide`` the search for secrets alone. ``longest wait`` is the longest
turn of an otherwise idle event loop while 10,000 messages that were received at once are written.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from pathlib import Path

import msgspec

from bench.report import Cell, table
from feedmux.client.recorder import Recorder
from feedmux.core.hiding import Mask

_BATCH = 2_000
_BURST = 10_000
_TICKER = {
    "topic": "tickers.BTCUSDT",
    "type": "delta",
    "data": dict.fromkeys(
        ("symbol", "lastPrice", "markPrice", "indexPrice", "bid1Price", "ask1Price", "volume24h"), "67000.10"
    ),
    "cs": 24987956059,
    "ts": 1673272861686,
}
MESSAGES = {
    "ticker": (msgspec.json.encode(_TICKER), False),
    "with a secret": (msgspec.json.encode({**_TICKER, "access_token": "x" * 40}), False),
    "with a backslash": (msgspec.json.encode({**_TICKER, "note": 'a "quoted" word'}), False),
    "100 levels": (msgspec.json.encode({"b": [["67000.10", "1.500"]] * 100}), False),
    "binary": (bytes(range(256)) * 2, True),
}  # fmt: skip


async def measure(path: Path, payload: bytes, binary: bool, seconds: float) -> tuple[float, float]:
    """Seconds per message: of the loop's thread, and of the whole process."""
    in_loop = in_all = 0.0
    count = 0
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        recorder = Recorder(path, secrets=["hunter22-hunter22"])
        before, everything = time.thread_time(), time.process_time()
        for _ in range(_BATCH):
            recorder.received(payload, binary)
        in_loop += time.thread_time() - before
        await recorder.close()
        in_all += time.process_time() - everything
        count += _BATCH
        if recorder.statistics()["written"] != _BATCH:
            raise RuntimeError(f"not everything was written: {recorder.statistics()}")
    return in_loop / count, in_all / count


async def longest_wait(path: Path, payload: bytes, binary: bool) -> float:
    """The longest turn of the event loop while a burst is written, in seconds."""
    longest = 0.0
    async with Recorder(path) as recorder:
        for _ in range(_BURST):
            recorder.received(payload, binary)
        while recorder.statistics()["written"] != _BURST:
            before = time.monotonic()
            await asyncio.sleep(0)
            longest = max(longest, time.monotonic() - before)
    return longest


def hide(payload: bytes, seconds: float) -> float:
    """Seconds per message to look for secrets, and to hide them."""
    mask = Mask(["hunter22-hunter22"])
    count, began = 0, time.process_time()
    while time.process_time() - began < seconds:
        for _ in range(1000):
            mask.payload(payload)
        count += 1000
    return (time.process_time() - began) / count


def run(*, seconds: float) -> None:
    """Measure each kind of message, and print a table."""
    rows: list[list[Cell]] = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bench.jsonl"
        for name, (payload, binary) in MESSAGES.items():
            in_loop, in_all = asyncio.run(measure(path, payload, binary, seconds))
            wait = asyncio.run(longest_wait(path, payload, binary))
            rows.append(
                [
                    name,
                    len(payload),
                    in_loop * 1e6,
                    in_all * 1e6,
                    hide(payload, seconds / 4) * 1e6,
                    wait * 1e3,
                ]
            )
    columns = ["message", "bytes", "in the loop, µs", "in all, µs", "hide, µs", "longest wait, ms"]
    table("Recording", columns, rows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=2.0, help="of measuring per kind of message")
    run(seconds=parser.parse_args().seconds)
