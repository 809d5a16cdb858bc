"""The undisturbed run: a Deribit link on a network without faults, for ten minutes.

The criteria are those of another library's stability test, and what this one promises besides: more than
90 % of the pings are answered, fewer than two reconnections, fewer than five errors, health looked at every
30 s; nothing is missing, nothing is left behind.

Source: websockex_adapter, ``docs/stability_testing.md``: its test of one hour.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

from bench.stability.audit import Audit
from bench.stability.marks import Figures, Mark, above, at_least, below, judged, none
from bench.stability.options import Options
from bench.stability.traces import left_since, none_left, traces
from bench.stability.venue import CHANNELS, INSTRUMENTS, KEY, NUMBERED, STEADY, venue
from bench.stability.watch import LOOK_S, Watch
from feedmux.client.deribit import Deribit
from feedmux.client.link import Link
from feedmux.client.settings import LinkConfig

PING_S = 5.0
Ask = Callable[[], Awaitable[object]]
_LOOKS = 4
"""At least so many, however short the run is."""


async def measure(options: Options) -> Figures:
    """Run it on the simulated venue."""
    seconds = options.minutes * 60
    async with venue(seed=options.seed) as beside:
        before = traces()
        deribit = Deribit(beside.url, credentials=KEY, config=config(seconds), heartbeat_s=10)
        async with deribit:
            await deribit.subscribe(CHANNELS)
            spoil = partial(beside.do, "skip", channel=NUMBERED[1]) if options.spoil else None
            watch = await observe(
                deribit.link, partial(deribit.ticker, INSTRUMENTS[0]), seconds, midway=spoil
            )
            held = await beside.holds()
        left = await left_since(before)
    silent = sum(not watch.audit.messages[channel] for channel in STEADY)
    marks = [
        *criteria(watch, seconds),
        none("gaps", watch.audit.said),
        none("channels that were silent", silent),
        none("channels that the venue does not have", len(set(CHANNELS) ^ held.keys())),
        *none_left(left),
    ]
    return judged(marks, **watch.figures())


def config(seconds: float) -> LinkConfig:
    """How the link of a run of so many seconds pings: often enough for a share to mean something."""
    ping_s = min(PING_S, seconds / 20)
    return LinkConfig(ping_interval_s=ping_s, ping_timeout_s=max(ping_s, PING_S))


async def observe(link: Link, ask: Ask, seconds: float, *, midway: Ask | None = None) -> Watch:
    """Use a link that is live for so long.

    Args:
        link: which.
        ask: a request that may be repeated.
        seconds: how long.
        midway: is done when half of the time has passed.
    """
    watch = Watch(link, ask, Audit(), look_s=min(LOOK_S, seconds / _LOOKS))
    async with watch.running():
        await asyncio.sleep(seconds / 2)
        if midway is not None:
            await midway()
        await asyncio.sleep(seconds / 2)
    watch.look()
    return watch


def criteria(watch: Watch, seconds: float) -> list[Mark]:
    """What is asked of any link that nobody disturbs."""
    carried = watch.carried
    return [
        at_least("pings", carried["pings"], seconds / config(seconds).ping_interval_s / 2),
        above("share of pings answered", carried["pongs"] / max(1, carried["pings"]), 0.9),
        below("reconnections", carried["opens"] - 1, 2),
        below("errors", watch.error_count, 5),
        at_least("share of looks that found it whole", watch.well / watch.looks, 1.0),
        none("gaps unsaid", watch.audit.unsaid_count),
        none("messages twice or back", watch.audit.repeated),
    ]
