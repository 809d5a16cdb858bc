"""Programs that a run needs beside it: started, waited for, ended for certain."""

from __future__ import annotations

import asyncio
import re
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bench.system.native import BenchError

_START_S = 20.0
_END_S = 10.0


@asynccontextmanager
async def program(*words: str, ready: str) -> AsyncIterator[re.Match[str]]:
    """Run ``python …`` while the block lasts.

    Args:
        words: what follows ``python``.
        ready: what the line looks like with which it says that it is there.

    Raises:
        BenchError: it did not say so.
    """
    process = await asyncio.create_subprocess_exec(sys.executable, *words, stdin=DEVNULL, stdout=PIPE)
    assert process.stdout is not None
    try:
        found = await _wait_for(process.stdout, ready, " ".join(words))
        yield found
    finally:
        if process.returncode is None:
            process.terminate()
        try:
            async with asyncio.timeout(_END_S):
                await process.communicate()
        except TimeoutError:
            process.kill()
            await process.communicate()


async def _wait_for(lines: asyncio.StreamReader, ready: str, name: str) -> re.Match[str]:
    try:
        async with asyncio.timeout(_START_S):
            async for line in lines:
                if found := re.search(ready, line.decode(errors="replace")):
                    return found
    except TimeoutError:
        raise BenchError(f"{name} was not ready after {_START_S:g} s") from None
    raise BenchError(f"{name} ended before it was ready")
