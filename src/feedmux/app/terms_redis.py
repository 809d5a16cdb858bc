"""What the settings say about Redis and a cluster's nodes, in the terms of :mod:`feedmux.bus`."""

from __future__ import annotations

import os
import secrets
import socket
import ssl
from importlib.util import find_spec
from typing import TYPE_CHECKING, NotRequired, TypedDict

from feedmux.app import redis_url
from feedmux.app.terms import authorities
from feedmux.core.reconnect import Backoff
from feedmux.model.errors import InvalidSetting

if TYPE_CHECKING:
    from feedmux.app.settings import Settings

_CONNECTIONS = 1
_CONNECTIONS_OF_MARKET = 2
"""A node has one for its leases, for each market one to read and one to write, and one for REDIS_COMPAT. In a
Redis Cluster each market has one more for its lease. Who is only asked where Redis is does not count.
"""
_IMPATIENT = Backoff(initial=0.1, multiplier=2.0, ceiling=1.0)
"""Where another Redis takes over from one that is away, it is asked for each second."""


class RedisTerms(TypedDict):
    """Of :class:`feedmux.bus.redis_config.RedisConfig`."""

    host: NotRequired[str]
    port: NotRequired[int]
    path: NotRequired[str]
    known: NotRequired[list[redis_url.Place]]
    is_cluster: NotRequired[bool]
    sentinels: NotRequired[tuple[redis_url.Place, ...]]
    master: NotRequired[str]
    sentinel_password: NotRequired[str]
    backoff: NotRequired[Backoff]
    user: str
    password: str
    database: int
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
    needed = _connections(settings)
    if settings.redis_max_connections < needed:
        expected = f"at least {needed}, for {len(settings.venues)} of VENUES"
        raise InvalidSetting("REDIS_MAX_CONNECTIONS", settings.redis_max_connections, expected)


def redis(settings: Settings) -> RedisTerms:
    """Where Redis is, and who we are there.

    Raises:
        InvalidSetting: REDIS_CA, REDIS_CERT or REDIS_KEY cannot be read.
    """
    url = redis_url.read(settings.redis_url.reveal())
    found: RedisTerms = {
        "user": url.user or "default",
        "password": url.password,
        "database": url.database,
        "tls": _tls(settings) if url.has_tls else None,
        "connect_timeout_s": settings.redis_socket_timeout,
    }
    if url.path:
        return {**found, "path": url.path}
    (host, port), *others = url.places
    found = {**found, "host": host, "port": port}
    if settings.redis_cluster:
        return {**found, "is_cluster": True, "known": [(host, port), *others], "backoff": _IMPATIENT}
    if settings.redis_sentinels:
        places = (redis_url.place(text, redis_url.SENTINEL_PORT) for text in settings.redis_sentinels)
        return {
            **found,
            "sentinels": tuple(places),
            "master": settings.redis_sentinel_master,
            "sentinel_password": settings.redis_sentinel_password.reveal(),
            "backoff": _IMPATIENT,
        }
    return found


def shown(settings: Settings) -> str:
    """Where Redis is, as may be shown."""
    url = redis_url.read(settings.redis_url.reveal())
    if url.path:
        return f"unix:{url.path}"
    scheme = "rediss" if url.has_tls else "redis"
    if settings.redis_sentinels:
        return f"{scheme}: {settings.redis_sentinel_master} of {','.join(settings.redis_sentinels)}"
    hosts = ((f"[{host}]" if ":" in host else host, port) for host, port in url.places)
    return f"{scheme}://{','.join(f'{host}:{port}' for host, port in hosts)}"


def prefix(settings: Settings) -> str:
    """What all keys and channels begin with.

    Channels are in no database; it is in their names, so that two databases are two clusters.
    """
    database = redis_url.read(settings.redis_url.reveal()).database
    return f"{settings.redis_prefix}:{database}" if database else settings.redis_prefix


def leases(settings: Settings) -> LeaseTerms:
    """How long a lease lasts; nodes ask often enough that it survives two answers that get lost."""
    ttl_s = settings.lease_ttl
    return {"ttl_s": ttl_s, "renew_s": ttl_s / 3, "look_s": ttl_s / 6, "margin_s": ttl_s / 10}


def node(settings: Settings) -> NodeTerms:
    """What a node is called, and where it finds the others."""
    name = settings.node_name or f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"
    compat = settings.venues[0] if _is_compatible(settings) else ""
    return {"prefix": prefix(settings), "name": name, "compat": compat}


def _is_compatible(settings: Settings) -> bool:
    return settings.redis_compat != "off"


def _connections(settings: Settings) -> int:
    """How many a node keeps."""
    markets = len(settings.venues)
    of_leases = markets if settings.redis_cluster else 0
    return _CONNECTIONS + of_leases + _CONNECTIONS_OF_MARKET * markets + _is_compatible(settings)


def _tls(settings: Settings) -> ssl.SSLContext:
    """What its certificate is checked with, and what it is shown."""
    context = authorities("REDIS_CA", settings.redis_ca)
    if settings.redis_cert:
        try:
            context.load_cert_chain(settings.redis_cert, settings.redis_key, password="")
        except OSError as error:  # ssl.SSLError is one
            expected = f"readable PEM files of a certificate and its key ({error.strerror or error})"
            raise InvalidSetting("REDIS_CERT", settings.redis_cert, expected) from None
    return context
