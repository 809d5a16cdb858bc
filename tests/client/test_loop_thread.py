"""A loop in a thread: what is called runs there, and nobody waits for what cannot come."""

from __future__ import annotations

import asyncio
import threading

import pytest

from feedmux.client.loop_thread import LoopThread
from feedmux.model.link_errors import LinkLost


async def name_of_thread() -> str:
    return threading.current_thread().name


async def fail() -> None:
    raise LookupError("his own")


async def wait_for_ever() -> None:
    await asyncio.Event().wait()


def test_what_is_called_runs_in_the_thread() -> None:
    loop = LoopThread("a-loop", "the test")
    assert loop.call(name_of_thread()) == "a-loop"
    with pytest.raises(LookupError, match="his own"):
        loop.call(fail())
    loop.end()
    loop.end()
    assert "a-loop" not in {thread.name for thread in threading.enumerate()}
    with pytest.raises(LinkLost, match="the test was closed"):
        loop.call(name_of_thread())


def test_whoever_waits_when_it_ends_is_told() -> None:
    loop = LoopThread("a-loop", "the test")
    failures: list[BaseException] = []
    has_begun = threading.Event()

    async def wait() -> None:
        has_begun.set()
        await wait_for_ever()

    def call() -> None:
        try:
            loop.call(wait())
        except LinkLost as error:
            failures.append(error)

    waiting = threading.Thread(target=call)
    waiting.start()
    assert has_begun.wait(10)
    loop.end()
    waiting.join(10)
    assert [str(error) for error in failures] == ["the connection ended: the test was closed"]
