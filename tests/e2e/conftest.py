"""Every story has a stage of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from support.processes import Stage, stage


@pytest_asyncio.fixture(name="stage")
async def _stage() -> AsyncIterator[Stage]:
    async with stage() as set_up:
        yield set_up
