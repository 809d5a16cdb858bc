"""Read where Redis is: a URL, or the host and the port of a sentinel."""

from __future__ import annotations

from typing import Final, NamedTuple
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

PORT: Final = 6379
SENTINEL_PORT: Final = 26379
_LOCAL: Final = "localhost"
_MOST_PORT: Final = 65_535

Place = tuple[str, int]
"""Host and port."""


class RedisUrl(NamedTuple):
    """What a URL says.

    Args:
        places: hosts and ports; several are nodes of one Redis Cluster. Empty if there is a path.
        path: of a Unix socket; empty: none.
        user: who we are; empty: nobody said.
        password: its password; empty: none.
        database: the number of the database.
        has_tls: whether TLS is spoken.
    """

    places: tuple[Place, ...]
    path: str
    user: str
    password: str
    database: int
    has_tls: bool


def read(text: str) -> RedisUrl:
    """Read a URL: ``redis://user:password@host:port/database``, ``rediss://``, ``unix:///path?db=database``.

    Raises:
        ValueError: it is none; what it is is not said, as it may be secret.
    """
    parts = urlsplit(text)
    is_path = parts.scheme == "unix"
    if parts.scheme not in {"redis", "rediss", "unix"} or parts.fragment:
        raise ValueError("not a URL of Redis")
    credentials, _, hosts = parts.netloc.rpartition("@")
    user, _, password = credentials.partition(":")
    if is_path and (hosts or not parts.path):
        raise ValueError("not a URL of a Unix socket")
    return RedisUrl(
        places=() if is_path else tuple(place(host, PORT) for host in hosts.split(",")),
        path=unquote(parts.path) if is_path else "",
        user=unquote(user),
        password=unquote(password),
        database=_database(parts, "" if is_path else parts.path.removeprefix("/")),
        has_tls=parts.scheme == "rediss",
    )


def place(text: str, port: int) -> Place:
    """Read ``host``, ``host:port`` or ``[IPv6]:port``.

    Args:
        text: what is read; an empty host is this machine.
        port: what is meant if there is none.

    Raises:
        ValueError: it is none of these.
    """
    parts = urlsplit(f"//{text}")
    if any(character in text for character in "/?#@ "):
        raise ValueError("not a host and a port")
    found = port if parts.port is None else parts.port  # raises ValueError when it is no port
    if not 0 < found <= _MOST_PORT:
        raise ValueError("not a port")
    return (parts.hostname or _LOCAL, found)


def _database(parts: SplitResult, in_path: str) -> int:
    asked = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
    text = asked.pop("db", "") or in_path or "0"
    if asked or not (text.isascii() and text.isdigit()):
        raise ValueError("not the number of a database")
    return int(text)
