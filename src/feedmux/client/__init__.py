"""Everything that dials out; installable alone.

The public names are loaded lazily: who needs one of them does not pay for the others.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from feedmux.client.blocking import BlockingLink
    from feedmux.client.deribit import Deribit
    from feedmux.client.events import Dropped, Interrupted, Restored, Subscribed
    from feedmux.client.limiter import Limiter, WhenOver
    from feedmux.client.link import Link, LinkState, connect
    from feedmux.client.local import LocalClient
    from feedmux.client.local_async import AsyncLocalClient
    from feedmux.client.local_events import (
        BrokerGone,
        BrokerLog,
        LocalCallbacks,
        SocketClosed,
        SocketData,
        SocketError,
        SocketLost,
        SocketOpened,
        SocketRestored,
    )
    from feedmux.client.local_topics import AsyncLocalTopics, LocalTopics
    from feedmux.client.plain import JsonRpcAdapter, PlainAdapter
    from feedmux.client.policy import Verdict
    from feedmux.client.settings import LinkConfig, WhenFull
    from feedmux.core import allowance
    from feedmux.model.adapter import Adapter, Codec, Dialogue, Note
    from feedmux.model.errors import AuthenticationFailed, CallFailed
    from feedmux.model.explain import Explanation, explain
    from feedmux.model.link_errors import ConnectFailed, LinkLost, RequestLost, RequestTimeout
    from feedmux.model.local_errors import BrokerLost, BrokerRefused, UnknownWebSocket
    from feedmux.model.ports import Correlator
    from feedmux.model.rpc import Ask, Reply, RpcError
    from feedmux.model.share_errors import ForeignBroker, ForeignGateway, NoBroker, NoGateway
    from feedmux.wire.local_records import Kinds

_HOMES = {
    "Adapter": "feedmux.model.adapter",
    "Ask": "feedmux.model.rpc",
    "AsyncLocalClient": "feedmux.client.local_async",
    "AsyncLocalTopics": "feedmux.client.local_topics",
    "AuthenticationFailed": "feedmux.model.errors",
    "BlockingLink": "feedmux.client.blocking",
    "BrokerGone": "feedmux.client.local_events",
    "BrokerLog": "feedmux.client.local_events",
    "BrokerLost": "feedmux.model.local_errors",
    "BrokerRefused": "feedmux.model.local_errors",
    "CallFailed": "feedmux.model.errors",
    "Codec": "feedmux.model.adapter",
    "ConnectFailed": "feedmux.model.link_errors",
    "Correlator": "feedmux.model.ports",
    "Deribit": "feedmux.client.deribit",
    "Dialogue": "feedmux.model.adapter",
    "Dropped": "feedmux.client.events",
    "ForeignBroker": "feedmux.model.share_errors",
    "ForeignGateway": "feedmux.model.share_errors",
    "Explanation": "feedmux.model.explain",
    "Interrupted": "feedmux.client.events",
    "JsonRpcAdapter": "feedmux.client.plain",
    "Kinds": "feedmux.wire.local_records",
    "Limiter": "feedmux.client.limiter",
    "Link": "feedmux.client.link",
    "LinkConfig": "feedmux.client.settings",
    "LinkLost": "feedmux.model.link_errors",
    "LinkState": "feedmux.client.link",
    "LocalCallbacks": "feedmux.client.local_events",
    "LocalClient": "feedmux.client.local",
    "LocalTopics": "feedmux.client.local_topics",
    "NoBroker": "feedmux.model.share_errors",
    "NoGateway": "feedmux.model.share_errors",
    "Note": "feedmux.model.adapter",
    "PlainAdapter": "feedmux.client.plain",
    "Reply": "feedmux.model.rpc",
    "RequestLost": "feedmux.model.link_errors",
    "RequestTimeout": "feedmux.model.link_errors",
    "Restored": "feedmux.client.events",
    "RpcError": "feedmux.model.rpc",
    "SocketClosed": "feedmux.client.local_events",
    "SocketData": "feedmux.client.local_events",
    "SocketError": "feedmux.client.local_events",
    "SocketLost": "feedmux.client.local_events",
    "SocketOpened": "feedmux.client.local_events",
    "SocketRestored": "feedmux.client.local_events",
    "Subscribed": "feedmux.client.events",
    "UnknownWebSocket": "feedmux.model.local_errors",
    "Verdict": "feedmux.client.policy",
    "WhenFull": "feedmux.client.settings",
    "WhenOver": "feedmux.client.limiter",
    "connect": "feedmux.client.link",
    "explain": "feedmux.model.explain",
}

__all__ = [
    "Adapter",
    "Ask",
    "AsyncLocalClient",
    "AsyncLocalTopics",
    "AuthenticationFailed",
    "BlockingLink",
    "BrokerGone",
    "BrokerLog",
    "BrokerLost",
    "BrokerRefused",
    "CallFailed",
    "Codec",
    "ConnectFailed",
    "Correlator",
    "Deribit",
    "Dialogue",
    "Dropped",
    "Explanation",
    "ForeignBroker",
    "ForeignGateway",
    "Interrupted",
    "JsonRpcAdapter",
    "Kinds",
    "Limiter",
    "Link",
    "LinkConfig",
    "LinkLost",
    "LinkState",
    "LocalCallbacks",
    "LocalClient",
    "LocalTopics",
    "NoBroker",
    "NoGateway",
    "Note",
    "PlainAdapter",
    "Reply",
    "RequestLost",
    "RequestTimeout",
    "Restored",
    "RpcError",
    "SocketClosed",
    "SocketData",
    "SocketError",
    "SocketLost",
    "SocketOpened",
    "SocketRestored",
    "Subscribed",
    "UnknownWebSocket",
    "Verdict",
    "WhenFull",
    "WhenOver",
    "allowance",
    "connect",
    "explain",
]


def __getattr__(name: str) -> object:
    if name == "allowance":
        return import_module("feedmux.core.allowance")
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'feedmux.client' has no attribute {name!r}")
    return getattr(import_module(home), name)


def __dir__() -> list[str]:
    return __all__
