"""All who have come in at one place: their numbers, whether they are still there, and their farewell."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import count
from typing import Final, Generic, TypeVar

from feedmux.share.visitor import Visitor

_FAREWELL_S: Final = 1.0
"""How long they may take to read the last words."""

One = TypeVar("One", bound=Visitor)


class Company(Generic[One]):
    """Who is there."""

    def __init__(self) -> None:
        self._numbers = count(1)
        self._there: dict[int, One] = {}
        self._all_gone = asyncio.Event()

    def number(self) -> int:
        """Return the number of the next one; nobody had it before."""
        return next(self._numbers)

    def enter(self, visitor: One) -> None:
        """It has come in."""
        self._there[visitor.number] = visitor
        self._all_gone.clear()

    def leave(self, visitor: One) -> None:
        """It is gone."""
        del self._there[visitor.number]
        if not self._there:
            self._all_gone.set()

    def look_after(self, now: float, dead_s: float) -> None:
        """Beat to all of them, and miss those who do not."""
        for visitor in self:
            visitor.look_after(now, dead_s)

    async def see_off(self) -> None:
        """End all connections, once what was said is sent or too late."""
        for visitor in self:
            visitor.hang_up()
        if not self._there:
            return
        try:
            async with asyncio.timeout(_FAREWELL_S):
                await self._all_gone.wait()
        except TimeoutError:
            for visitor in self:
                visitor.cut("it does not read")
            await asyncio.sleep(0)

    def __iter__(self) -> Iterator[One]:
        """Everybody, the longest there first; who comes or goes meanwhile is no harm."""
        return iter(list(self._there.values()))

    def __len__(self) -> int:
        return len(self._there)
