"""Where clients are counted in and out: in one process, or over several that share one bound."""

from __future__ import annotations

import os
from typing import NamedTuple, Protocol

from feedmux._native.tally import Tally
from feedmux.client.segment import make_page, open_page


class Door(Protocol):
    """Counts clients in and out."""

    def enter(self, most: int, /) -> bool:
        """Count one more if there is room for him; False if there is not."""

    def leave(self) -> None:
        """Count one less."""


class OwnDoor:
    """A door of one process."""

    __slots__ = ("_inside",)

    def __init__(self) -> None:
        self._inside = 0

    def enter(self, most: int, /) -> bool:
        """Count one more if there is room for him; False if there is not."""
        if self._inside >= most:
            return False
        self._inside += 1
        return True

    def leave(self) -> None:
        """Count one less."""
        self._inside -= 1


class Counts(NamedTuple):
    """The page in which several doors count, as its owner has it.

    Args:
        tally: all of their counts.
        descriptor: of the page, for :func:`shared_door`; its owner closes it.
    """

    tally: Tally
    descriptor: int


def make_counts() -> Counts:
    """Take a page for the counts of several processes.

    Raises:
        NoMemory: the system lends none.
    """
    memory, descriptor = make_page()
    return Counts(Tally(memory, 0), descriptor)


def shared_door(descriptor: int, place: int) -> Door:
    """Make the door of one of several processes; the descriptor is ours from now on.

    Raises:
        InvalidRing: it is no page that keeps its size.
        InvalidSetting: there is no such place.
    """
    try:
        return Tally(open_page(descriptor), place)
    finally:
        os.close(descriptor)
