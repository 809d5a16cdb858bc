"""P1: one topic, 1,000 clients, one message per flush: deliveries a second on one core.

Two closed loops, in which a message that reached every client lets the next one go. With one message
under way (*single*) a flush can hold no more than that ("frames_per_read" is 1), and the server waits
between messages, so what counts is its CPU time for each delivery: as many deliveries as that allows
would fill one core ("deliveries/s of CPU"). The C loop is measured in the same way behind the same
venue (*single relay*).

With two messages under way the server never waits. A gateway that reads while it writes may then
put both into one write, which is its way to keep up and not what P1 asks for; "frames_per_read"
shows it. The C loop on its own clock (*floor*) has nothing to read at all; neither have the
rivals, which have no venue.

The rate search then asks: how many messages a second does the gateway take without loss?
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import msgspec

from bench.report import say, spread
from bench.system.rates import highest_rate
from bench.system.rivals import Rival, rival
from bench.system.rounds import Samples, all_clean, all_ratios, alternate, print_ratios, print_saturation
from bench.system.run import Sample, Workload, floor, gateway, relay
from bench.system.run import run as run_once

CLIENTS = 1_000
BYTES = 420
TARGET = 0.95
_FIRST_RATE = 100
_HIGHEST_RATE = 40_000


def run(*, seconds: float, quick: bool, rivals: Sequence[Rival] = ()) -> dict[str, Any]:
    """Measure alternating rounds, then search the highest rate without loss."""
    venue = Workload(command="window 2", clients=CLIENTS, client_bytes=BYTES, seconds=seconds)
    single = msgspec.structs.replace(venue, command="window 1")
    own = msgspec.structs.replace(venue, command="saturate")
    subjects = {
        "single": partial(run_once, gateway, single),
        "single relay": partial(run_once, relay, single),
        "gateway": partial(run_once, gateway, venue),
        "relay": partial(run_once, relay, venue),
        "floor": partial(run_once, floor, own),
        **{one.name: partial(run_once, rival(one), own) for one in rivals},
    }
    samples = alternate("p1", subjects, 2 if quick else 5)

    def trial(rate: float) -> Sample:
        shorter = msgspec.structs.replace(venue, command=f"rate {rate:g}", seconds=min(seconds, 3.0))
        return run_once(gateway, shorter)

    found = highest_rate(
        "p1", trial, first=_FIRST_RATE, highest=_HIGHEST_RATE, steps=3 if quick else 6, per_message=CLIENTS
    )
    figures: dict[str, Any] = {
        "clients": CLIENTS,
        "message_bytes": BYTES,
        "target_ratio_to_floor": TARGET,
        "single": _single(samples),
        **all_ratios(samples),
        "clean": all_clean(samples),
        "samples": samples,
        "highest_rate": found,
    }
    print_saturation(f"One topic, {CLIENTS:,} clients, {BYTES} bytes", "P1", samples)
    print_ratios(figures, samples)
    say("\n".join(_in_words(figures["single"])))
    say(f"target: gateway / floor at least {TARGET}")
    say(f"highest rate without loss, batches allowed: {found['messages_per_s']:,g} msg/s, "
        f"{found['deliveries_per_s']:,g} deliveries/s")  # fmt: skip
    return figures


def _single(samples: Samples) -> dict[str, dict[str, float]]:
    """One message per flush, in CPU time: the gateway, and its ratio to the C loop round by round."""
    ours, relays, floors = (
        [sample["cpu_us_per_delivery"] for sample in samples[name]]
        for name in ("single", "single relay", "floor")
    )
    return {
        "deliveries_per_cpu_s": spread([1e6 / each for each in ours]),
        "relay_deliveries_per_cpu_s": spread([1e6 / each for each in relays]),
        "ratio_to_relay": spread([their / our for our, their in zip(ours, relays, strict=True)]),
        "ratio_to_floor": spread([their / our for our, their in zip(ours, floors, strict=True)]),
    }


def _in_words(single: dict[str, dict[str, float]]) -> Iterator[str]:
    """What one message per flush costs."""
    rate = single["deliveries_per_cpu_s"]
    yield (
        f"one message per flush: {rate['median']:,.0f} deliveries/s of CPU "
        f"({rate['lowest']:,.0f} to {rate['highest']:,.0f})"
    )
    for name in ("relay", "floor"):
        ratio = single[f"ratio_to_{name}"]
        yield (
            f"one message per flush, gateway / {name}: {ratio['median']:.3f} "
            f"({ratio['lowest']:.3f} to {ratio['highest']:.3f})"
        )
