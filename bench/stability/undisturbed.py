"""The undisturbed run: a Deribit link on a network without faults, for ten minutes.

The criteria are those of another library's stability test, and what this one promises besides: more than
90 % of the pings are answered, fewer than two reconnections, fewer than five errors, health looked at every
30 s; nothing is missing, nothing is left behind.

Source: websockex_adapter, ``docs/stability_testing.md``: its test of one hour.
"""

from __future__ import annotations

import asyncio
from functools import partial

from bench.stability.audit import Audit
from bench.stability.marks import Figures, Mark, above, at_least, below, judged, none
from bench.stability.options import Options
from bench.stability.traces import left_since, none_left, traces
from bench.stability.venue import CHANNELS, INSTRUMENTS, KEY, NUMBERED, STEADY, Venue, venue
from bench.stability.watch import LOOK_S, Watch
from feedmux.client.deribit import Deribit
from feedmux.client.settings import LinkConfig

PING_S = 5.0
_LOOKS = 4
"""At least so many, however short the run is."""


async def measure(options: Options) -> Figures:
    """Run it."""
    seconds = options.minutes * 60
    async with venue(seed=options.seed) as beside:
        before = traces()
        ping_s = min(PING_S, seconds / 10)
        config = LinkConfig(ping_interval_s=ping_s, ping_timeout_s=ping_s)
        deribit = Deribit(beside.url, credentials=KEY, config=config, heartbeat_s=10)
        ask = partial(deribit.ticker, INSTRUMENTS[0])
        watch = Watch(deribit.link, ask, Audit(), look_s=min(LOOK_S, seconds / _LOOKS))
        async with deribit:
            await deribit.subscribe(CHANNELS)
            async with watch.running():
                await _last(seconds, beside if options.spoil else None)
            watch.look()
            due = int(seconds / ping_s - 0.5)  # the last one may still be under way
            held = await beside.holds()
        left = await left_since(before)
    marks = [*criteria(watch, due), *_nothing_missing(watch), *none_left(left)]
    marks.append(none("channels that the venue does not have", len(set(CHANNELS) ^ held.keys())))
    return judged(marks, **watch.figures(), pings_due=due)


async def _last(seconds: float, spoilt: Venue | None) -> None:
    """Let time pass; in the middle of it a spoilt venue leaves something out."""
    await asyncio.sleep(seconds / 2)
    if spoilt is not None:
        await spoilt.do("skip", channel=NUMBERED[1])
    await asyncio.sleep(seconds / 2)


def criteria(watch: Watch, pings_due: int) -> list[Mark]:
    """The four of them."""
    reconnections = watch.carried["opens"] - 1
    return [
        above("share of pings answered", min(1.0, watch.pongs / max(1, pings_due)), 0.9),
        below("reconnections", reconnections, 2),
        below("errors", watch.error_count, 5),
        at_least("share of looks that found it whole", watch.well / watch.looks, 1.0),
    ]


def _nothing_missing(watch: Watch) -> list[Mark]:
    audit = watch.audit
    return [
        none("gaps unsaid", audit.unsaid_count),
        none("gaps", audit.said),
        none("messages twice or back", audit.repeated),
        none("channels that were silent", sum(not audit.messages[channel] for channel in STEADY)),
    ]
