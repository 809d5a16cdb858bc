"""An object's story over a real Redis, as over every bus."""

from __future__ import annotations

from collections.abc import AsyncIterator
from inspect import signature

import pytest_asyncio

from contract import test_bus_objects
from feedmux.core.increments import Stored
from support.buses import Wiring
from support.objects import BOOK
from support.redis import RedisServer
from support.redis_wiring import RedisWiring

globals().update(
    {
        name: test
        for name, test in vars(test_bus_objects).items()
        if name.startswith("test_") and set(signature(test).parameters) == {"wiring"}
    }
)
"""The tests of the contract that are for every bus, with the fixture below."""


@pytest_asyncio.fixture
async def wiring(redis: RedisServer) -> AsyncIterator[Wiring]:
    wiring = RedisWiring(redis, beat_s=1000.0)  # nothing hangs on beats
    wiring.source.objects[BOOK] = Stored(test_bus_objects.LIMITS)
    yield wiring
    await wiring.close()
