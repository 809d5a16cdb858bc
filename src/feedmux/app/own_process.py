"""A program of our own in a process of its own, that lives as long as somebody looks at it.

Its standard input is a pipe in which nobody writes: when that ends, so does the program, and it cannot
outlive the process that started it.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from asyncio.subprocess import Process
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

_END_S = 15.0


class OwnProcess(ABC):
    """An async context manager; it is entered once the program has begun to do what it is for.

    Args:
        name: of what it says, for the tasks.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._started: Process | None = None
        self._listening: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            self._started = await self._start()
            stack.push_async_callback(self._end)
            await self._begun()
            stack.pop_all()
        self._listening = asyncio.create_task(self._listen(), name=self._name)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._end()

    @property
    def _process(self) -> Process:
        assert self._started is not None, "it is entered"
        return self._started

    async def _end(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            async with asyncio.timeout(_END_S):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
        if self._listening is not None:
            await self._listening

    @abstractmethod
    async def _start(self) -> Process:
        """Start the program, with a pipe as its standard input."""

    @abstractmethod
    async def _begun(self) -> None:
        """Return when it has begun; raise why it has not."""

    @abstractmethod
    async def _listen(self) -> None:
        """Read what it says until it ends, so that it can go on."""
