"""P2: 16 messages per tick, 1,000 clients that want all 16 topics: deliveries a second on one core.

Saturation is a closed loop of two ticks: the venue writes 16 trades at once, one of each topic, and
each tick that reached every client lets the next one go. The C loop reads the same ticks from the
same venue and sends what it read at once with one call per client (relay), and makes them on its
own clock, with nothing to read (floor). So do the rivals.

What the batches really were: ``frames_per_read`` says how many messages a client found at once, and
``batch`` how many the C loop put into one send.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import msgspec

from bench.report import say, spread
from bench.system.rivals import Rival, rival
from bench.system.rounds import Samples, all_clean, all_ratios, alternate, print_ratios, print_saturation
from bench.system.run import Workload, floor, gateway, relay, symbols
from bench.system.run import run as run_once

CLIENTS = 1_000
TOPICS = 16
BYTES = 420
TARGET = 0.95


def run(*, seconds: float, quick: bool, rivals: Sequence[Rival] = ()) -> dict[str, Any]:
    """Measure alternating rounds."""
    venue = Workload(
        command=f"window {2 * TOPICS} {TOPICS}",
        clients=CLIENTS,
        symbols=symbols(TOPICS),
        client_bytes=BYTES,
        seconds=seconds,
    )
    own = msgspec.structs.replace(venue, command="saturate")
    subjects = {
        "gateway": partial(run_once, gateway, venue),
        "relay": partial(run_once, partial(relay, batch=True), venue),
        "floor": partial(run_once, floor, own),
        **{one.name: partial(run_once, rival(one), own) for one in rivals},
    }
    samples = alternate("p2", subjects, 2 if quick else 5)
    batches = {name: spread(_batches(samples, name)) for name in ("relay", "floor")}
    figures = {
        "clients": CLIENTS,
        "topics": TOPICS,
        "message_bytes": BYTES,
        "target_ratio_to_floor": TARGET,
        **all_ratios(samples),
        "batch": batches,
        "frames_per_read": {
            name: spread([sample["frames_per_read"] for sample in taken]) for name, taken in samples.items()
        },
        "clean": all_clean(samples),
        "samples": samples,
    }
    print_saturation(f"{TOPICS} topics, {CLIENTS:,} clients of all, {BYTES} bytes", "P2", samples)
    print_ratios(figures, samples)
    for name, batch in batches.items():
        say(f"{name}: {batch['median']:.1f} messages per send")
    say(f"target: gateway / floor at least {TARGET}")
    return figures


def _batches(samples: Samples, name: str) -> list[float]:
    """Messages per send of the C loop, from its own books: everybody wants everything."""
    books = [sample["source" if name == "floor" else "server"] for sample in samples[name]]
    return [book["messages"] / book["ticks"] for book in books]
