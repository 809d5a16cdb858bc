"""Many reconnects of one link in a row: nothing is left of them, and each time the wanted set is whole.

The server, in a process of its own, ends each connection as it is told, in five ways by turns, and says what
the next one is subscribed to. Memory is compared between the halves of the run after a warm-up.
"""

from __future__ import annotations

import asyncio
import time

from bench.stability.marks import Figures, Mark, at_most, judged, none
from bench.stability.options import Options
from bench.stability.process import program
from bench.stability.server import WAYS
from bench.stability.traces import Memory, Traces, left_since, none_left, traces
from feedmux.client.events import Interrupted, Restored
from feedmux.client.link import Link, connect
from feedmux.client.settings import LinkConfig
from feedmux.model.link_errors import RequestLost

MOST_GROWTH = 0.02
CHANNELS = ("trades.a", "book.b", "user.c", "ticker.d")
_WARM_UP = 0.2
"""Of the reconnects: what is made once is made by then."""
_SAMPLES = 20
_PATIENCE_S = 10.0
_SPOIL_BYTES = 20_000
_CONFIG = LinkConfig(
    connect_timeout_s=5.0,
    request_timeout_s=5.0,
    close_timeout_s=0.2,
    retry_delay_s=0.001,
    max_backoff_s=0.01,
    breaker_failures=0,
)


class Rounds:
    """One link, and what became of its reconnects.

    Args:
        url: of the server.
        spoil: keep something of each.
    """

    def __init__(self, url: str, *, spoil: bool) -> None:
        self.link = connect(url, config=_CONFIG, listener=self._take)
        self.interruptions = self.restorations = self.wrong = self.unsaid = 0
        self._is_restored = asyncio.Event()
        self._hoard: list[bytearray] | None = [] if spoil else None

    async def reconnect(self, number: int) -> None:
        """End the connection under a request, wait until the link is whole, ask the server what it has."""
        self._is_restored.clear()
        asked = asyncio.ensure_future(self.link.request("never answered"))
        await asyncio.sleep(0)
        await self.link.send({"jsonrpc": "2.0", "method": "end", "params": {"how": WAYS[number % len(WAYS)]}})
        async with asyncio.timeout(_PATIENCE_S):
            await self._is_restored.wait()
            held = await self.link.request("held", repeatable=True)
            (outcome,) = await asyncio.gather(asked, return_exceptions=True)
        self.wrong += not isinstance(held, list) or sorted(held) != sorted(CHANNELS)
        self.unsaid += not isinstance(outcome, RequestLost)
        if self._hoard is not None:
            self._hoard.append(bytearray(_SPOIL_BYTES))

    def _take(self, item: object) -> None:
        if isinstance(item, Interrupted):
            self.interruptions += 1
        elif isinstance(item, Restored):
            self.restorations += 1
            self._is_restored.set()


async def measure(options: Options) -> Figures:
    """Run it."""
    async with program("-m", "bench.stability.server", ready=r"ws://\S+") as found:
        outside = traces()
        rounds = Rounds(found[0], spoil=options.spoil)
        async with rounds.link as link:
            await link.subscribe(CHANNELS)
            before, memory = traces(), Memory()
            began = time.monotonic()
            await _repeat(rounds, options.reconnects, memory)
            seconds = time.monotonic() - began
            left = await left_since(before)
            in_flight = _in_flight(link)
        left = Traces(*map(sum, zip(left, await left_since(outside), strict=True)))
    marks = _judge(rounds, options.reconnects, memory, left)
    marks.append(none("requests left", in_flight + _in_flight(link)))
    return judged(marks, reconnects=rounds.restorations, seconds=round(seconds, 1), **memory.figures())


async def _repeat(rounds: Rounds, count: int, memory: Memory) -> None:
    warm_up = round(count * _WARM_UP)
    every = max(1, (count - warm_up) // _SAMPLES)
    for number in range(count):
        await rounds.reconnect(number)
        if number >= warm_up and number % every == 0:
            memory.sample()


def _in_flight(link: Link) -> int:
    return int(link.statistics()["requests"]["in_flight"])  # type: ignore[index]


def _judge(rounds: Rounds, wanted: int, memory: Memory, left: Traces) -> list[Mark]:
    return [
        none("reconnects too few", max(0, wanted - rounds.restorations)),
        none("holes without both notices", rounds.interruptions - rounds.restorations),
        none("times that the wanted set was not whole", rounds.wrong),
        none("lost requests whose fate was not said", rounds.unsaid),
        *none_left(left),
        at_most("growth of the resident size", memory.resident_growth, MOST_GROWTH),
        at_most("growth of allocated blocks", memory.block_growth, MOST_GROWTH),
    ]
