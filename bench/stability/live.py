"""The venues themselves: ``python -m bench.stability.live [--minutes M] [--store]``, or ``make live``.

First every venue's host is tried. If one of them cannot be reached nothing is run, and the exit code is 2.
Then the contract suites run on the venues instead of on their simulators, and after them a link to each
venue is used undisturbed for so many minutes, with the same criteria. The exit code is 1 when anything fails.

Only public data and testnets; no key is used.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import ssl
import subprocess
import sys
from collections.abc import Iterable
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from bench.report import say
from bench.results import store
from bench.stability.bybit import BybitAdapter
from bench.stability.marks import Figures, at_least, judged, none
from bench.stability.options import MINUTES
from bench.stability.parts import apart, show
from bench.stability.traces import left_since, none_left, traces
from bench.stability.undisturbed import Ask, config, criteria, observe
from bench.system.native import BenchError
from feedmux.client.clock import SystemClock
from feedmux.client.deribit_adapter import DeribitAdapter
from feedmux.client.link import Link
from feedmux.model.errors import FeedmuxError

BYBIT = "wss://stream-testnet.bybit.com/v5/public"
DERIBIT = "wss://test.deribit.com/ws/api/v2"
NO_NETWORK = 2
_PROBE_S = 5.0
_ROOT = Path(__file__).parents[2]
_CHANNELS = {
    "bybit": ("tickers.BTCUSDT", "publicTrade.BTCUSDT", "kline.1.BTCUSDT"),
    "deribit": ("book.BTC-PERPETUAL.100ms", "trades.BTC-PERPETUAL.100ms", "ticker.BTC-PERPETUAL.100ms"),
}


def main() -> int:
    """Read the command line, probe, run."""
    parser = argparse.ArgumentParser(prog="python -m bench.stability.live", description=__doc__)
    parser.add_argument("--minutes", type=float, default=MINUTES, help="of each venue's run")
    parser.add_argument("--bybit", default=BYBIT, help="where Bybit's public markets are")
    parser.add_argument("--deribit", default=DERIBIT, help="where Deribit is")
    parser.add_argument("--patience", type=float, default=_PROBE_S, help="seconds that a host may take")
    parser.add_argument("--suite", default="tests/contract", help="which tests run on the venues")
    parser.add_argument("--store", action="store_true", help="keep the result")
    chosen = parser.parse_args()
    places = {"bybit": chosen.bybit, "deribit": chosen.deribit}
    if problems := asyncio.run(unreachable(places.values(), chosen.patience)):
        for problem in problems:
            say(problem)
        say("There is no network to the venues, so nothing was run.")
        return NO_NETWORK
    outcomes = [_contracts(places, chosen.suite)]
    outcomes += [_run(name, url, chosen.minutes, keep=chosen.store) for name, url in places.items()]
    return 0 if all(outcomes) else 1


async def unreachable(urls: Iterable[str], within_s: float) -> list[str]:
    """Which hosts do not answer in time, and why: a sentence each."""
    problems = await asyncio.gather(*(_probe(url, within_s) for url in urls))
    return [problem for problem in problems if problem]


async def _probe(url: str, within_s: float) -> str:
    """Connect to a host, by TLS if that is how it is used; why not, or nothing."""
    parts = urlsplit(url)
    is_secure = parts.scheme == "wss"
    port = parts.port or (443 if is_secure else 80)
    try:
        async with asyncio.timeout(within_s):
            tls = ssl.create_default_context() if is_secure else None
            _, writer = await asyncio.open_connection(parts.hostname, port, ssl=tls)
    except OSError as error:
        return f"no way to {parts.hostname}:{port}: {str(error) or f'no answer within {within_s:g} s'}"
    writer.transport.abort()
    return ""


def _contracts(places: dict[str, str], suite: str) -> bool:
    """Run the contract suites on the venues."""
    say("contracts ...")
    where = {f"FEEDMUX_LIVE_{name.upper()}": url for name, url in places.items()}
    command = [sys.executable, "-m", "pytest", "-q", suite]
    done = subprocess.run(command, cwd=_ROOT, env=os.environ | where, check=False)
    say(f"contracts: {'passed' if done.returncode == 0 else 'MISSED'}")
    return done.returncode == 0


def _run(name: str, url: str, minutes: float, *, keep: bool) -> bool:
    say(f"{name} ...")
    try:
        figures = apart(measure, name, url, minutes * 60)
    except (BenchError, FeedmuxError, TimeoutError, BrokenProcessPool) as error:
        say(f"{name} could not be run: {error!r}")
        return False
    show(name, figures)
    if keep:
        say(f"stored in {store(f'live-{name}', figures, quick=minutes < MINUTES)}\n")
    return bool(figures["passed"])


async def measure(name: str, url: str, seconds: float) -> Figures:
    """Use a link to one venue for so long."""
    before = traces()
    link, ask = _link(name, url, seconds)
    async with link:
        became = await link.subscribe(_CHANNELS[name])
        watch = await observe(link, ask, seconds)
    left = await left_since(before)
    marks = [
        *criteria(watch, seconds),
        none("channels that were refused", len(became.refused)),
        at_least("channels that spoke", len(watch.audit.messages), 1),  # on a testnet not all of them do
        *none_left(left),
    ]
    return judged(marks, url=url, **watch.figures())


def _link(name: str, url: str, seconds: float) -> tuple[Link, Ask]:
    """A link to a venue, and something that it may be asked again and again."""
    if name == "bybit":
        link = Link(f"{url}/linear", adapter=BybitAdapter(), config=config(seconds))
        return link, partial(link.request, "ping", repeatable=True)
    link = Link(url, adapter=DeribitAdapter(None, clock=SystemClock()), config=config(seconds))
    return link, partial(link.request, "public/get_time", repeatable=True)


if __name__ == "__main__":
    sys.exit(main())
