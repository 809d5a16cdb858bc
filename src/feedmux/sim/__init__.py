"""The outside world, faked; never shares code with what it tests.

The names of the mock server are loaded lazily (PEP 562): a simulator needs none of it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from feedmux.sim.mock import MockServer
    from feedmux.sim.mock_client import MockClient
    from feedmux.sim.script import Disconnect, Expect, Say

_HOMES = {
    "Disconnect": "feedmux.sim.script",
    "Expect": "feedmux.sim.script",
    "MockClient": "feedmux.sim.mock_client",
    "MockServer": "feedmux.sim.mock",
    "Say": "feedmux.sim.script",
}

__all__ = ["Disconnect", "Expect", "MockClient", "MockServer", "Say"]


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'feedmux.sim' has no attribute {name!r}")
    return getattr(import_module(home), name)


def __dir__() -> list[str]:
    return __all__
