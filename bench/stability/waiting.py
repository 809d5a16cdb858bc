"""Wait for a condition, with a bound."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


async def until(condition: Callable[[], object], *, within_s: float, every_s: float = 0.005) -> bool:
    """Wait until something holds; whether it does.

    Args:
        condition: is asked again and again.
        within_s: how long to wait.
        every_s: between two questions.
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + within_s
    while not condition():
        if loop.time() >= end:
            return False
        await asyncio.sleep(every_s)
    return True
