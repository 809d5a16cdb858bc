"""Read a venue's trades and note when each came: ``python -m bench.local WAY PORT TOPICS WARMUP SECONDS``.

The way is ``direct``, a connection of its own, or ``shared:NAME``, that of the broker of this name; both in
asyncio. Prints ``ready``, ``first`` when data came, ``measuring`` when the warm-up is over, then the result.
What came is looked into only afterwards, so that little of its own is in what it measures.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import re
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any

from bench.bus.tally import marks
from feedmux import AsyncLocalClient
from feedmux.client.carrier import Carrier
from feedmux.client.clock import SystemClock
from feedmux.client.local_events import SocketData

run: Callable[[Coroutine[Any, Any, None]], None]
try:
    from uvloop import run
except ImportError:
    from asyncio import run

_TRADE = re.compile(rb'"i":"(\d{17}).*"seq":(\d+)')
_SUBSCRIBED = b'"success":true'
_GRACE_S = 0.5


class _Notes:
    """What came, and when."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, bytes]] = []
        self.subscribed, self.trading = asyncio.Event(), asyncio.Event()

    def take(self, payload: bytes) -> None:
        """A message came."""
        self.seen.append((time.monotonic_ns(), payload))
        if not self.trading.is_set():
            if _TRADE.search(payload):
                self.trading.set()
            elif _SUBSCRIBED in payload:
                self.subscribed.set()


class _Direct:
    """A connection of its own (a :class:`feedmux.client.user.CarrierUser`)."""

    def __init__(self, url: str, opening: str, notes: _Notes) -> None:
        self._opening = opening
        self.is_over = False
        self.received = self.received_binary = notes.take
        self.carrier = Carrier(url, self, clock=SystemClock(), dice=random.SystemRandom())

    def opened(self) -> None:
        self.carrier.send(self._opening)

    def lost(self, reason: str, /) -> None:
        if not self.is_over:
            raise SystemExit(f"the connection was lost: {reason}")

    def retrying(self, reason: str, wait_s: float, /) -> None:
        raise SystemExit(f"there is no connection: {reason}")

    def ping(self) -> bytes | None:
        return None


@asynccontextmanager
async def _direct(url: str, opening: str, notes: _Notes) -> AsyncIterator[int]:
    direct = _Direct(url, opening, notes)
    running = asyncio.ensure_future(direct.carrier.run())
    await notes.subscribed.wait()
    yield 0
    direct.is_over = True
    direct.carrier.close()
    await running


@asynccontextmanager
async def _shared(broker: str, url: str, opening: str, notes: _Notes) -> AsyncIterator[int]:
    async with AsyncLocalClient(broker=broker, max_waiting=1_000_000) as client:

        async def read() -> None:
            async for event in client:
                if isinstance(event, SocketData):
                    notes.take(event.payload)
                else:
                    others.append(type(event).__name__)

        others: list[str] = []
        await client.open_websocket(url, opening=[opening])
        reading = asyncio.ensure_future(read())
        yield client.server_id
    await reading
    if set(others) - {"SocketOpened"}:
        raise SystemExit(f"the client said {', '.join(others)}")


def result(seen: Sequence[tuple[int, bytes]], start_ns: int, stop_ns: int) -> dict[str, Any]:
    """How late those were that were to be sent in this time, how many there are, and how many are missing.

    What is missing is between the first and the last one that came: the venue numbers all that it sends, to
    whomever it is.
    """
    late: list[int] = []
    numbers: set[int] = set()
    for at_ns, payload in seen:
        found = _TRADE.search(payload)
        if found is not None and start_ns <= int(found[1]) < stop_ns:
            late.append(at_ns - int(found[1]))
            numbers.add(int(found[2]))
    missing = max(numbers) - min(numbers) + 1 - len(numbers) if numbers else 0
    return {"messages": len(late), "distinct": len(numbers), "missing": missing, **marks(late)}


async def _read(options: argparse.Namespace) -> None:
    notes = _Notes()
    names = [f"publicTrade.{name}" for name in options.topics.split(",")]
    opening = json.dumps({"req_id": "1", "op": "subscribe", "args": names})
    url = f"ws://127.0.0.1:{options.port}/v5/public/linear"
    way, _, broker = options.way.partition(":")
    reading = _direct(url, opening, notes) if way == "direct" else _shared(broker, url, opening, notes)
    async with reading as pid:
        _say(event="ready", broker=pid)
        await notes.trading.wait()
        _say(event="first")
        await asyncio.sleep(options.warmup)
        start_ns = time.monotonic_ns()
        _say(event="measuring")
        await asyncio.sleep(options.seconds)
        stop_ns = time.monotonic_ns()
        _say(event="measured")
        await asyncio.sleep(_GRACE_S)
        found = result(notes.seen, start_ns, stop_ns)
    _say(event="result", **found)


def _say(**line: Any) -> None:
    print(json.dumps(line), flush=True)


def main() -> None:
    """Read the command line, then the venue."""
    parser = argparse.ArgumentParser(prog="python -m bench.local", description=__doc__)
    parser.add_argument("way")
    parser.add_argument("port", type=int)
    parser.add_argument("topics")
    parser.add_argument("warmup", type=float)
    parser.add_argument("seconds", type=float)
    run(_read(parser.parse_args()))


if __name__ == "__main__":
    main()
