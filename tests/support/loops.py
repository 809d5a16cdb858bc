"""Run a test's coroutine on both event loops, and look at what it leaves behind."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import uvloop

LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
Story = Callable[..., Coroutine[Any, Any, None]]


def on_both_loops(story: Story) -> Callable[..., None]:
    """Make a test of a coroutine function: once on asyncio, once on uvloop.

    The test fails if a callback raised or a task is left.
    """
    test = _tested(story, inspect.Parameter("loop_name", inspect.Parameter.POSITIONAL_OR_KEYWORD))
    both: Callable[..., None] = pytest.mark.parametrize("loop_name", LOOPS)(test)
    return both


def on_asyncio(story: Story) -> Callable[..., None]:
    """As :func:`on_both_loops`, for what mostly waits and does not touch a transport."""
    return _tested(story)


def _tested(story: Story, *parameters: inspect.Parameter) -> Callable[..., None]:
    def test(loop_name: str = "asyncio", **arguments: object) -> None:
        faults: list[dict[str, Any]] = []
        with asyncio.Runner(loop_factory=LOOPS[loop_name]) as runner:
            runner.get_loop().set_exception_handler(lambda _, context: faults.append(context))
            runner.run(_leaving_no_task(story(**arguments)))
        assert not faults, faults

    own = inspect.signature(story).parameters.values()
    test.__signature__ = inspect.Signature([*parameters, *own])  # type: ignore[attr-defined]
    test.__name__, test.__doc__, test.__module__ = story.__name__, story.__doc__, story.__module__
    test.__dict__.update(story.__dict__)
    return test


async def _leaving_no_task(story: Coroutine[Any, Any, None]) -> None:
    await story
    left = asyncio.all_tasks() - {asyncio.current_task()}
    assert not left, left
