"""Read the ring of one WebSocket as it fills: asleep until its bell rings, and no longer than its turn."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable
from typing import Final, Protocol

from feedmux._native.ring import RingReader, Seat
from feedmux.client.local_line import RingParts
from feedmux.client.segment import open_page, open_ring, silence_bell
from feedmux.model.errors import MalformedMessage
from feedmux.model.ports import Statistics
from feedmux.model.ring_errors import InvalidRing, Lapped

_MOST: Final = 256
"""Entries in one turn of the loop; then everybody else has a turn."""


class Drinker(Protocol):
    """Who gets what is in a ring."""

    def took(self, entry: bytes) -> None:
        """An entry.

        Raises:
            MalformedMessage: it is none.
        """

    def lapped(self, size_bytes: int) -> None:
        """So much of the ring was overwritten before it was read."""

    def spoiled(self, reason: str) -> None:
        """The ring cannot be read any more."""


class Tap:
    """Reads one ring.

    Args:
        drinker: who gets it.
        parts: the descriptors; they are the tap's from now on, whatever happens.
        start: the position at which to begin.
        has_room: whether the drinker takes anything now; when it does again, call :meth:`resume`.

    Raises:
        InvalidRing: the memory is no ring.
        InvalidPosition: nothing begins there.
        NoMemory: there is no room for it.
    """

    def __init__(
        self, drinker: Drinker, parts: RingParts, start: int, has_room: Callable[[], bool] = lambda: True
    ) -> None:
        self._drinker, self._bell, self._has_room = drinker, parts.bell, has_room
        self._loop = asyncio.get_running_loop()
        self._is_open = self._is_closed = self._is_paused = False
        self._again: asyncio.Handle | None = None
        with contextlib.ExitStack() as done, contextlib.ExitStack() as undo:
            done.callback(os.close, parts.ring)
            done.callback(os.close, parts.seat)
            undo.callback(os.close, parts.bell)
            self._seat = Seat(open_page(parts.seat), parts.bell)
            self._ring = RingReader(open_ring(parts.ring), self._seat, start)
            undo.pop_all()

    @property
    def is_open(self) -> bool:
        """Whether it has begun to read."""
        return self._is_open

    def open(self) -> None:
        """Begin to read. May be repeated."""
        if not self._is_open:
            self._is_open = True
            self._loop.add_reader(self._bell, self._rang)
            self._read()

    def resume(self) -> None:
        """The drinker has room again."""
        if self._is_paused:
            self._is_paused = False
            self._read()

    def drain(self) -> None:
        """Read what is there, all of it: the writer has ended."""
        self._is_open = True
        while not self._is_closed and self._take():
            pass

    def close(self) -> None:
        """Read nothing any more. May be repeated."""
        if self._is_closed:
            return
        self._is_closed = True
        self._loop.remove_reader(self._bell)
        if self._again is not None:
            self._again.cancel()
        self._ring.close()
        self._seat.close()
        os.close(self._bell)

    def statistics(self) -> Statistics:
        """What was read and lost, and how far behind it is."""
        return self._ring.statistics()

    def _rang(self) -> None:
        silence_bell(self._bell)
        self._ring.rise()
        if self._again is None and not self._is_paused:
            self._read()

    def _read(self) -> None:
        """Take some; go to sleep when there is nothing left, else come again after the others."""
        self._again = None
        if self._is_closed:
            return
        if not self._has_room():
            self._is_paused = True
            return
        more = self._take()
        if not self._is_closed and (more or not self._ring.sleep()):
            self._again = self._loop.call_soon(self._read)

    def _take(self) -> bool:
        """Hand on up to so many entries; whether there may be more."""
        try:
            entries = self._ring.read_many(_MOST)
            for entry in entries:
                self._drinker.took(entry)
                if self._is_closed:
                    return False
        except Lapped as late:
            self._drinker.lapped(late.size_bytes)
            return True
        except (InvalidRing, MalformedMessage) as error:
            self._drinker.spoiled(f"its ring cannot be read: {error}")
            return False
        return len(entries) == _MOST
