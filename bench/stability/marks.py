"""Marks: what a run has to reach, and whether it did."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

Figures = dict[str, Any]
"""What a part found, in plain values that can be stored; ``marks`` and ``passed`` are among them."""


class Mark(NamedTuple):
    """One demand.

    Args:
        name: of what.
        measured: what came out.
        wanted: what was to come out, for people.
        met: whether it did.
    """

    name: str
    measured: float
    wanted: str
    met: bool


def at_most(name: str, measured: float, bound: float) -> Mark:
    """A figure that may not be higher."""
    return Mark(name, measured, f"at most {bound:g}", measured <= bound)


def at_least(name: str, measured: float, bound: float) -> Mark:
    """A figure that may not be lower."""
    return Mark(name, measured, f"at least {bound:g}", measured >= bound)


def above(name: str, measured: float, bound: float) -> Mark:
    """A figure that has to be higher."""
    return Mark(name, measured, f"above {bound:g}", measured > bound)


def below(name: str, measured: float, bound: float) -> Mark:
    """A figure that has to be lower."""
    return Mark(name, measured, f"below {bound:g}", measured < bound)


def none(name: str, measured: int) -> Mark:
    """Something that may not happen at all."""
    return Mark(name, measured, "0", measured == 0)


def judged(marks: Iterable[Mark], **details: object) -> Figures:
    """The marks and whatever else was found, as it is stored."""
    found = list(marks)
    return {
        **details,
        "marks": {
            mark.name: {"measured": mark.measured, "wanted": mark.wanted, "met": mark.met} for mark in found
        },
        "passed": all(mark.met for mark in found),
    }
