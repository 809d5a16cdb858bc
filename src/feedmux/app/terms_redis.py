"""What the settings say about Redis and a cluster's nodes, in the terms of :mod:`feedmux.bus`."""

from __future__ import annotations

import os
import secrets
import socket
import ssl
from importlib.util import find_spec
from typing import TYPE_CHECKING, NotRequired, TypedDict
from urllib.parse import unquote, urlsplit

from feedmux.app.terms import authorities
from feedmux.model.errors import InvalidSetting

if TYPE_CHECKING:
    from feedmux.app.settings import Settings

_CONNECTIONS = 1
_CONNECTIONS_OF_MARKET = 2
"""A node has one for its leases, for each market one to read and one to write, and one for REDIS_COMPAT."""


class RedisTerms(TypedDict):
    """Of :class:`feedmux.bus.redis_config.RedisConfig`."""

    host: NotRequired[str]
    port: NotRequired[int]
    path: NotRequired[str]
    user: str
    password: str
    tls: ssl.SSLContext | None
    connect_timeout_s: float


class LeaseTerms(TypedDict):
    """Of :class:`feedmux.core.lease.Terms`."""

    ttl_s: float
    renew_s: float
    look_s: float
    margin_s: float


class NodeTerms(TypedDict):
    """Of :class:`feedmux.bus.redis_node.RedisNode`."""

    prefix: str
    name: str
    compat: str


def require_redis(settings: Settings) -> None:
    """Check that a cluster can be had.

    Raises:
        InvalidSetting: a package or a market is missing, or more connections are needed than are allowed.
    """
    if find_spec("hiredis") is None:
        raise InvalidSetting("REDIS_URL", "set", "the package feedmux[redis] to be installed")
    if _is_compatible(settings) and not settings.venues:
        raise InvalidSetting("REDIS_COMPAT", settings.redis_compat, "off, because VENUES is empty")
    needed = _CONNECTIONS + _CONNECTIONS_OF_MARKET * len(settings.venues) + _is_compatible(settings)
    if settings.redis_max_connections < needed:
        expected = f"at least {needed}, for {len(settings.venues)} of VENUES"
        raise InvalidSetting("REDIS_MAX_CONNECTIONS", settings.redis_max_connections, expected)


def redis(settings: Settings) -> RedisTerms:
    """Where Redis is, and who we are there.

    Raises:
        InvalidSetting: REDIS_CA cannot be read.
    """
    parts = urlsplit(settings.redis_url.reveal())
    found: RedisTerms = {
        "user": unquote(parts.username or "") or "default",
        "password": unquote(parts.password or ""),
        "tls": authorities("REDIS_CA", settings.redis_ca) if parts.scheme == "rediss" else None,
        "connect_timeout_s": settings.redis_socket_timeout,
    }
    if parts.scheme == "unix":
        return {**found, "path": unquote(parts.path)}
    return {**found, "host": parts.hostname or "localhost", "port": parts.port or 6379}


def shown(settings: Settings) -> str:
    """Where Redis is, as may be shown."""
    parts = urlsplit(settings.redis_url.reveal())
    if parts.scheme == "unix":
        return f"unix:{unquote(parts.path)}"
    return f"{parts.scheme}://{parts.hostname or 'localhost'}:{parts.port or 6379}"


def leases(settings: Settings) -> LeaseTerms:
    """How long a lease lasts; nodes ask often enough that it survives two answers that get lost."""
    ttl_s = settings.lease_ttl
    return {"ttl_s": ttl_s, "renew_s": ttl_s / 3, "look_s": ttl_s / 6, "margin_s": ttl_s / 10}


def node(settings: Settings) -> NodeTerms:
    """What a node is called, and where it finds the others."""
    name = settings.node_name or f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"
    compat = settings.venues[0] if _is_compatible(settings) else ""
    return {"prefix": settings.redis_prefix, "name": name, "compat": compat}


def _is_compatible(settings: Settings) -> bool:
    return settings.redis_compat != "off"
