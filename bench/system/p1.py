"""P1: one topic, 1,000 clients, one message per flush: deliveries a second on one core.

Saturation is a closed loop: the venue has two messages under way, and each one that reached every
client lets the next one go. The server never waits for work, and never has more than one message
to put into a flush ("frames_per_read" near 1 shows it). The C loop is measured in the same way
behind the same venue (relay), and on its own clock (floor), where it has nothing to read at all;
so are the rivals, which have no venue.

The rate search then asks another question: how many messages a second does the gateway take
without loss when it may form batches?
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import msgspec

from bench.report import say
from bench.system.rates import highest_rate
from bench.system.rivals import Rival, rival
from bench.system.rounds import all_clean, all_ratios, alternate, print_ratios, print_saturation
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
    own = msgspec.structs.replace(venue, command="saturate")
    subjects = {
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
    figures = {
        "clients": CLIENTS,
        "message_bytes": BYTES,
        "target_ratio_to_floor": TARGET,
        **all_ratios(samples),
        "clean": all_clean(samples),
        "samples": samples,
        "highest_rate": found,
    }
    print_saturation(f"One topic, {CLIENTS:,} clients, {BYTES} bytes", "P1", samples)
    print_ratios(figures, samples)
    say(f"target: gateway / floor at least {TARGET}")
    say(f"highest rate without loss, batches allowed: {found['messages_per_s']:,g} msg/s, "
        f"{found['deliveries_per_s']:,g} deliveries/s")  # fmt: skip
    return figures
