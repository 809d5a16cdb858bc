"""Wait for a condition with a deadline; nothing here waits for a fixed time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

DEADLINE = 10.0

T = TypeVar("T")


async def until(condition: Callable[[], object], what: str = "", deadline: float = DEADLINE) -> None:
    """Return once ``condition()`` is true; looks again after every turn of the loop.

    Raises:
        AssertionError: it was not within ``deadline`` seconds; ``what`` says what was expected.
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + deadline
    pause = 0.0
    while not condition():
        assert loop.time() < end, f"not within {deadline} s: {what or condition}"
        await asyncio.sleep(pause)
        pause = min(pause + 0.0002, 0.01)


async def eventually(
    probe: Callable[[], Awaitable[T]],
    wanted: Callable[[T], object],
    what: str = "",
    deadline: float = DEADLINE,
) -> T:
    """Ask ``probe`` again and again until its answer is ``wanted``; that answer.

    Raises:
        AssertionError: it was not within ``deadline`` seconds; says what the last answer was.
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + deadline
    while not wanted(answer := await probe()):
        assert loop.time() < end, f"not within {deadline} s: {what}; the last answer was {answer}"
        await asyncio.sleep(0.02)
    return answer
