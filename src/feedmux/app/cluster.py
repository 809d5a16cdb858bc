"""The settings that say where Redis is, and how nodes share it; a part of :mod:`feedmux.app.settings`."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator

from feedmux.app.secret import Secret
from feedmux.app.section import Section, key


def _redis_url(secret: Secret) -> Secret:
    parts = urlsplit(secret.reveal())
    if secret and parts.scheme not in {"redis", "rediss", "unix"}:
        raise ValueError("not a Redis URL")
    _ = parts.port  # raises ValueError when it is no port
    return secret


class Cluster(Section):
    """Redis"""

    redis_url: Annotated[Secret, AfterValidator(_redis_url)] = key(
        Secret(""),
        "The Redis by which nodes share their venues' connections; empty: this node serves by itself.",
        expected="a URL that begins with redis://, rediss:// or unix://",
    )
    redis_ca: str = key(
        "", "PEM file of the authorities that its certificate is checked with; empty: the system's."
    )
    redis_prefix: str = key(
        "feedmux",
        "What all keys and channels begin with; nodes with another prefix are another cluster.",
        min_length=1,
        expected="a name",
    )
    node_name: str = key(
        "",
        "What this node is called; no other one has its name. Empty: host name, process and a number.",
        max_length=50,
        expected="a name of at most 50 characters",
    )
    lease_ttl: float = key(
        3.0,
        "How long after the death of the node that has a venue's connection another one takes over.",
        between=(1, 60),
        unit="s",
    )
    redis_max_connections: int = key(
        50, "How many connections to Redis this node may open.", between=(1, 100_000)
    )
    redis_socket_timeout: float = key(
        5.0, "How long connecting to Redis may take.", between=(0.1, 300), unit="s"
    )
    redis_retry_on_timeout: bool = key(
        True,
        "Does nothing: a connection to Redis is always restored.",
        idle="a connection to Redis is always restored",
    )
