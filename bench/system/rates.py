"""The highest rate that holds: doubled until it does not, then the interval is halved."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bench.report import say
from bench.system.native import BenchError
from bench.system.run import Sample, clean

_P99_BOUND_NS = 1_000_000_000  # a backlog that grows shows as latency before it shows as loss
_DELIVERED = 0.98
_ATTEMPTS = 2  # a machine that is disturbed for a moment fails once, a limit fails twice

Trial = Callable[[float], Sample]
"""Runs a rate of messages a second."""


def highest_rate(
    name: str, trial: Trial, *, first: float, highest: float, steps: int, per_message: float
) -> dict[str, Any]:
    """Search the highest rate without loss.

    Args:
        name: who is tried, for the lines that are printed.
        trial: one run at a rate.
        first: where doubling begins.
        highest: no rate above this is tried.
        steps: how often the interval is halved; each costs one run.
        per_message: deliveries that one message makes.

    Returns:
        ``messages_per_s``, the ``deliveries_per_s`` that these make, and every rate ``tried``.
    """
    tried: list[dict[str, Any]] = []

    def holds(rate: float) -> bool:
        return any(attempt(rate) for _ in range(_ATTEMPTS))

    def attempt(rate: float) -> bool:
        try:
            sample = trial(rate)
        except BenchError as error:
            say(f"{name} at {rate:,g} msg/s: {error}")
            tried.append({"rate": rate, "held": False, "sample": None})
            return False
        held = kept_up(sample, rate * per_message)
        tried.append({"rate": rate, "held": held, "sample": sample})
        say(f"{name} at {rate:,g} msg/s: {'held' if held else 'not held'}, "
            f"{sample['deliveries_per_s']:,.0f} deliveries/s, "
            f"p99 {sample['p99_ns'] / 1e6:.1f} ms")  # fmt: skip
        return held

    found = highest_that_holds(holds, first=first, highest=highest, steps=steps)
    return {"messages_per_s": found, "deliveries_per_s": found * per_message, "tried": tried}


def highest_that_holds(holds: Callable[[float], bool], *, first: float, highest: float, steps: int) -> float:
    """Search among rates; the arguments are those of :func:`highest_rate`.

    Returns:
        The highest rate that was tried and held; 0 when none did.
    """
    low, high = 0.0, first
    while high <= highest and holds(high):
        low, high = high, high * 2
    if high > highest:
        steps = steps if low < highest else 0
        high = highest
        if steps and holds(high):
            low, steps = high, 0
    for _ in range(steps):
        middle = round((low + high) / 2)
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low


def kept_up(sample: Sample, wanted_per_s: float) -> bool:
    """Whether all that was to be delivered was, in time."""
    delivered = sample["deliveries_per_s"] >= _DELIVERED * wanted_per_s
    return clean(sample) and delivered and sample["p99_ns"] < _P99_BOUND_NS
