"""Of the ways that a bench compares, those that are asked for and installed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

from bench.report import say
from bench.system.native import BenchError


class Way(Protocol):
    """A rival, or ours."""

    @property
    def name(self) -> str: ...

    @property
    def version(self) -> str | None:
        """What is installed; None when it is not."""


WayT = TypeVar("WayT", bound=Way)


def choose(rivals: Sequence[WayT], names: Sequence[str] | None, kind: str) -> list[WayT]:
    """The rivals of these names that are installed; all of them by default.

    Each one that is not installed is left out with one line.

    Args:
        rivals: all that there are.
        names: whom to take.
        kind: what they are called in an error, e.g. ``way through Redis``.

    Raises:
        BenchError: there is no such rival.
    """
    chosen = named(rivals, names, kind)
    for way in chosen:
        if way.version is None:
            say(f"{way.name} is left out: it is not installed; run `make rivals`")
    return [way for way in chosen if way.version is not None]


def named(rivals: Sequence[WayT], names: Sequence[str] | None, kind: str) -> list[WayT]:
    """The rivals of these names, installed or not; all of them by default.

    Raises:
        BenchError: there is no such rival.
    """
    by_name = {way.name: way for way in rivals}
    for name in names or ():
        if name not in by_name:
            raise BenchError(f"there is no {kind} {name!r}; there are {', '.join(by_name)}")
    return [by_name[name] for name in (by_name if names is None else names)]
