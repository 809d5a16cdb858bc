"""The disturbed run: a Deribit link with a fault every second, for ten minutes.

After each fault the wanted set has to be whole within three seconds of its *beginning*: the link is live, the
venue itself says that it has every channel once, and each channel that is never silent has spoken since. A
fault that is due while the last one is not healed waits for that.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import partial
from math import ceil
from random import Random
from statistics import median

from bench.report import say
from bench.stability.audit import Audit
from bench.stability.faults import BREAKING, FAULTS, Fault
from bench.stability.marks import Figures, at_least, at_most, judged, none
from bench.stability.options import Options
from bench.stability.traces import Traces, left_since, none_left, traces
from bench.stability.venue import CHANNELS, INSTRUMENTS, KEY, NUMBERED, STEADY, Venue, venue
from bench.stability.waiting import until
from bench.stability.watch import LOOK_S, Watch
from feedmux.client.deribit import Deribit
from feedmux.client.settings import LinkConfig

WHOLE_WITHIN_S = 3.0
_EVERY_S = 1.0
_GIVE_UP_S = 15.0
_LOOKS = 4
_CONFIG = LinkConfig(
    connect_timeout_s=0.8,
    request_timeout_s=0.5,
    close_timeout_s=0.2,
    retry_delay_s=0.05,
    max_backoff_s=0.2,
    ping_interval_s=0.25,
    ping_timeout_s=0.35,
    breaker_failures=0,
)
_REQUEST_S = 10.0


async def measure(options: Options) -> Figures:
    """Run it."""
    seconds, dice = options.minutes * 60, Random(options.seed)
    async with venue(seed=options.seed) as beside:
        before = traces()
        deribit = Deribit(beside.url, credentials=KEY, config=_CONFIG, heartbeat_s=10)
        ask = partial(deribit.link.request, "public/ticker", {"instrument_name": INSTRUMENTS[0]},
                      timeout_s=_REQUEST_S, repeatable=True)  # fmt: skip
        watch = Watch(deribit.link, ask, Audit(), look_s=min(LOOK_S, seconds / _LOOKS))
        async with deribit:
            await deribit.subscribe(CHANNELS)
            async with watch.running():
                storm = Storm(beside, watch, dice)
                async with asyncio.timeout(_GIVE_UP_S):
                    await storm.whole()
                await storm.rage(seconds, spoil=options.spoil)
            watch.look()
        left = await left_since(before)
    return _judge(storm, watch, left)


class Storm:
    """One fault after the other, and how long each took to heal.

    Args:
        beside: whom they concern.
        watch: the link.
        dice: which, and how.
    """

    def __init__(self, beside: Venue, watch: Watch, dice: Random) -> None:
        self._venue, self._watch, self._dice = beside, watch, dice
        self.healed_s: dict[str, list[float]] = defaultdict(list)
        """By fault, how long the wanted set was not whole."""
        self.given_up = 0
        self.seconds = 0.0

    @property
    def count(self) -> int:
        """How many faults there were."""
        return sum(map(len, self.healed_s.values()))

    async def rage(self, seconds: float, *, spoil: bool) -> None:
        """Let a fault happen every second, for so long."""
        began = due = time.monotonic()
        bag: list[Fault] = []
        while (now := time.monotonic()) - began < seconds:
            await asyncio.sleep(max(0.0, due - now))
            bag = bag or self._dice.sample(FAULTS, len(FAULTS))
            await self._strike(bag.pop())
            due += ceil(max(time.monotonic() - due, 0.001) / _EVERY_S) * _EVERY_S
            if spoil:
                await self._venue.do("skip", channel=NUMBERED[1])
        self.seconds = time.monotonic() - began

    async def _strike(self, fault: Fault) -> None:
        began, ends = time.monotonic(), self._watch.audit.interruptions
        name = getattr(fault, "__name__", "")
        try:
            async with asyncio.timeout(_GIVE_UP_S):
                await fault(self._venue, self._dice)
                if fault in BREAKING:
                    await until(lambda: self._watch.audit.interruptions > ends, within_s=_GIVE_UP_S)
                await self.whole()
        except TimeoutError:
            self.given_up += 1
            say(f"  {name}: not whole after {_GIVE_UP_S:g} s: {self._watch.link.statistics()}")
        self.healed_s[name].append(time.monotonic() - began)

    async def whole(self) -> None:
        """Wait until the wanted set is whole, as the link, the venue and the data say."""
        wanted = dict.fromkeys(CHANNELS, 1)
        while True:
            seen = self._watch.audit.messages.copy()
            if self._watch.is_whole and await self._venue.holds() == wanted:
                await until(partial(self._all_spoke, seen), within_s=1.0)
                if self._all_spoke(seen) and self._watch.is_whole:
                    return
            await asyncio.sleep(0.01)

    def _all_spoke(self, seen: Mapping[str, int]) -> bool:
        """Whether every channel that is never silent spoke once more."""
        return all(self._watch.audit.messages[channel] > seen.get(channel, 0) for channel in STEADY)


def _judge(storm: Storm, watch: Watch, left: Traces) -> Figures:
    audit = watch.audit
    healed = [took for each in storm.healed_s.values() for took in each]
    marks = [
        at_most("slowest healing, s", max(healed), WHOLE_WITHIN_S),
        none("faults that were never healed", storm.given_up),
        at_least("kinds of faults", len(storm.healed_s), min(len(FAULTS), storm.count)),
        at_least("faults a second", storm.count / storm.seconds, 0.5),
        none("gaps unsaid", audit.unsaid_count),
        none("messages twice or back", audit.repeated + audit.dropped),
        none("holes without both notices", audit.interruptions - audit.restorations),
        none("repeatable requests that failed, and errors", watch.error_count),
        *none_left(left),
    ]
    faults = {name: _spread(took) for name, took in sorted(storm.healed_s.items())}
    return judged(marks, **watch.figures(), faults=faults, fault_count=storm.count)


def _spread(took: Sequence[float]) -> dict[str, float]:
    return {"count": len(took), "median_s": round(median(took), 3), "slowest_s": round(max(took), 3)}
