"""What was dropped is told at once, and then once in a while."""

from __future__ import annotations

import asyncio

from feedmux.feed.spills import Spills
from support.waiting import until

REST_S = 0.02


async def rest() -> None:
    """Wait until another one may be told."""
    rested = asyncio.Event()
    asyncio.get_running_loop().call_later(REST_S * 2, rested.set)
    await rested.wait()


async def test_the_first_is_told_at_once_and_all_others_together() -> None:
    told: list[None] = []
    dropped = Spills(lambda: told.append(None), rest_s=REST_S)
    for _ in range(5):
        dropped.note()
    assert len(told) == 1
    await until(lambda: len(told) > 1)
    await rest()
    assert len(told) == 2


async def test_after_a_rest_it_is_told_at_once_again() -> None:
    told: list[None] = []
    dropped = Spills(lambda: told.append(None), rest_s=REST_S)
    dropped.note()
    await rest()
    assert len(told) == 1
    dropped.note()
    assert len(told) == 2


async def test_nothing_is_told_when_it_is_closed() -> None:
    told: list[None] = []
    dropped = Spills(lambda: told.append(None), rest_s=REST_S)
    dropped.note()
    dropped.note()
    dropped.close()
    dropped.note()
    await rest()
    assert len(told) == 1
