"""A high rate through a link: every message arrives, once and in order, and soon.

The server, in a process of its own, sends numbered messages that say when each was to be sent. They are taken
once by a listener and once with ``async for``.
"""

from __future__ import annotations

import asyncio
import time
from array import array
from math import inf
from typing import Any

from bench.report import say
from bench.stability.marks import Figures, Mark, at_most, judged, none
from bench.stability.options import Options
from bench.stability.process import program
from bench.stability.server import MESSAGE_BYTES, NUMBERS
from bench.stability.waiting import until
from feedmux.client.link import Link, connect
from feedmux.client.settings import LinkConfig
from feedmux.core.percentiles import percentile

MOST_LAG_S = 1.0
"""A link that does not keep up falls behind by more than that before a minute is over."""
_LEFT_OUT = 7
_NONE_LEFT_OUT = -1
_SETTLES_S = 10.0
_CONFIG = LinkConfig(max_waiting=100_000)

Order = dict[str, float]
"""What the server is asked to send."""


class Tally:
    """Takes numbered messages, and knows which are missing."""

    def __init__(self) -> None:
        self._first_ns = self._last_ns = 0
        self._lags_us = array("q")
        self.next = self.lost = self.back = self.others = 0

    @property
    def count(self) -> int:
        """How many came."""
        return len(self._lags_us)

    @property
    def per_s(self) -> float:
        """How many came each second, from the first to the last."""
        return self.count / max(self._last_ns - self._first_ns, 1) * 1e9

    def lag_ms(self, percent: int) -> float:
        """How late that many percent were at most, milliseconds."""
        return percentile(sorted(self._lags_us), percent) / 1000 if self._lags_us else inf

    def take(self, message: Any) -> None:
        """Take the next message, or a notice, of which there should be none."""
        if not isinstance(message, dict):
            self.others += 1
            return
        data, now = message["params"]["data"], time.monotonic_ns()
        number = data["n"]
        self.lost += max(0, number - self.next)
        self.back += number < self.next
        self.next = max(self.next, number + 1)
        self._lags_us.append((now - data["at"]) // 1000)
        self._first_ns, self._last_ns = self._first_ns or now, now


async def measure(options: Options) -> Figures:
    """Run both ways to read."""
    without = _LEFT_OUT if options.spoil else _NONE_LEFT_OUT
    order: Order = {"rate": options.rate, "seconds": options.seconds, "without": without}
    marks: list[Mark] = []
    details: dict[str, object] = {}
    async with program("-m", "bench.stability.server", ready=r"ws://\S+") as found:
        for name, run in (("listener", _listen), ("async for", _read)):
            tally, used = Tally(), time.process_time()
            opens = await run(found[0], order, tally)
            marks += _judge(name, tally, options, opens)
            details[name] = _details(tally, time.process_time() - used)
            say(f"  {name}: {details[name]}")
    return judged(marks, rate=options.rate, seconds=options.seconds, message_bytes=MESSAGE_BYTES, **details)


async def _listen(url: str, order: Order, tally: Tally) -> int:
    async with connect(url, config=_CONFIG, listener=tally.take) as link:
        return await _flood(link, order, tally)


async def _read(url: str, order: Order, tally: Tally) -> int:
    async with connect(url, config=_CONFIG) as link:
        reading = asyncio.create_task(_take_all(link, tally))
        try:
            return await _flood(link, order, tally)
        finally:
            reading.cancel()
            await asyncio.wait({reading})


async def _take_all(link: Link, tally: Tally) -> None:
    async for message in link:
        tally.take(message)


async def _flood(link: Link, order: Order, tally: Tally) -> int:
    """Have them sent, and wait until the last one was taken; how many connections it took."""
    await link.subscribe(NUMBERS)
    total: Any = await link.request("flood", order, timeout_s=order["seconds"] + _SETTLES_S)
    await until(lambda: tally.next >= total, within_s=_SETTLES_S)  # the answer overtakes who reads
    statistics: Any = link.statistics()
    return int(statistics["connection"]["opens"])


def _judge(name: str, tally: Tally, options: Options, opens: int) -> list[Mark]:
    total = round(options.rate * options.seconds)
    return [
        none(f"{name}: messages lost", total - tally.count + tally.back),
        none(f"{name}: gaps, repeats and notices", tally.lost + tally.back + tally.others),
        none(f"{name}: connections but one", opens - 1),
        at_most(f"{name}: p99 of the lag, s", tally.lag_ms(99) / 1000, MOST_LAG_S),
    ]


def _details(tally: Tally, cpu_s: float) -> dict[str, object]:
    return {
        "messages": tally.count,
        "per_s": round(tally.per_s),
        **{f"lag_p{percent}_ms": tally.lag_ms(percent) for percent in (50, 99, 100)},
        "cpu_us_per_message": round(cpu_s / max(1, tally.count) * 1e6, 2),
    }
