"""feedmux: one connection to each market-data source, any number of consumers.

The public names are loaded lazily (PEP 562): importing the package costs nothing
and pulls in no server code for those who only want a part of it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from feedmux.client.link import Link
    from feedmux.client.local import LocalClient
    from feedmux.client.local_async import AsyncLocalClient
    from feedmux.client.settings import LinkConfig
    from feedmux.model.errors import FeedmuxError
    from feedmux.model.event import Envelope, EventKind
    from feedmux.model.topic import Topic

__version__ = "0.1.0"

_HOMES = {
    "AsyncLocalClient": "feedmux.client.local_async",
    "Envelope": "feedmux.model.event",
    "EventKind": "feedmux.model.event",
    "FeedmuxError": "feedmux.model.errors",
    "Link": "feedmux.client.link",
    "LinkConfig": "feedmux.client.settings",
    "LocalClient": "feedmux.client.local",
    "Topic": "feedmux.model.topic",
}

__all__ = [
    "AsyncLocalClient",
    "Envelope",
    "EventKind",
    "FeedmuxError",
    "Link",
    "LinkConfig",
    "LocalClient",
    "Topic",
    "__version__",
]


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'feedmux' has no attribute {name!r}")
    return getattr(import_module(home), name)


def __dir__() -> list[str]:
    return __all__
