"""Everything that a network and a venue do to a connection, one at a time, by chance.

A fault returns when it is over. Those of :data:`BREAKING` end the connection for certain; the others may be
survived on it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from random import Random

from bench.stability.venue import Venue

Fault = Callable[[Venue, Random], Awaitable[None]]

CODES = (1000, 1001, 1008, 1011, 1012, 1013, 4000)
_ANSWERS = ("public/auth", "public/set_heartbeat", "public/subscribe", "private/subscribe")


async def cut(venue: Venue, dice: Random) -> None:
    """A reset on both sides."""
    del dice
    venue.proxy.cut()


async def reset(venue: Venue, dice: Random) -> None:
    """A reset after some more bytes, most likely in the middle of a frame."""
    venue.proxy.reset_after(dice.randrange(1, 2000))


async def close(venue: Venue, dice: Random) -> None:
    """The venue closes, with one code or another."""
    await venue.do("close", code=dice.choice(CODES), reason="told to")


async def refuse(venue: Venue, dice: Random) -> None:
    """Nobody listens for a moment."""
    await venue.proxy.refuse(True)
    venue.proxy.cut()
    await asyncio.sleep(dice.uniform(0.05, 0.4))
    await venue.proxy.refuse(False)


async def unavailable(venue: Venue, dice: Random) -> None:
    """The venue answers upgrades with HTTP 503 for a moment."""
    await venue.do("refuse_connections", refuse=True)
    venue.proxy.cut()
    await asyncio.sleep(dice.uniform(0.05, 0.4))
    await venue.do("refuse_connections", refuse=False)


async def lost_answer(venue: Venue, dice: Random) -> None:
    """A connection ends, and on the next one an answer never comes."""
    await venue.do("drop_answer", method=dice.choice(_ANSWERS))
    venue.proxy.cut()


async def cut_and_dribble(venue: Venue, dice: Random) -> None:
    """A connection ends, and the next one comes in small pieces for a while."""
    venue.proxy.dribble(dice.randrange(2, 64))
    venue.proxy.cut()
    await asyncio.sleep(0.3)
    venue.proxy.dribble(None)


async def stall(venue: Venue, dice: Random) -> None:
    """Nothing passes for a while, in neither direction."""
    venue.proxy.stall()
    await asyncio.sleep(dice.uniform(0.05, 0.8))
    venue.proxy.resume()


async def dribble(venue: Venue, dice: Random) -> None:
    """Everything comes in small pieces for a while."""
    venue.proxy.dribble(dice.randrange(2, 64))
    await asyncio.sleep(0.3)
    venue.proxy.dribble(None)


async def delay(venue: Venue, dice: Random) -> None:
    """Everything is late for a while."""
    venue.proxy.delay(dice.uniform(0.02, 0.15))
    await asyncio.sleep(0.3)
    venue.proxy.delay(0)


BREAKING: tuple[Fault, ...] = (cut, reset, close, refuse, unavailable, lost_answer, cut_and_dribble)
FAULTS: tuple[Fault, ...] = (*BREAKING, stall, dribble, delay)
