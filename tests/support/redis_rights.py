"""The rights of a Redis user with which a node can do all that it does: these, and no others."""

from __future__ import annotations

from typing import Final

LEASE: Final = ("+eval", "+time", "+info", "+hmget", "+hset")
PRESENCE: Final = ("+get", "+set", "+del")
PLAIN: Final = ("+ping", "+publish", "+subscribe", "+unsubscribe", *LEASE, *PRESENCE)
"""In one Redis, or one that sentinels watch; another database than 0 needs ``+select`` besides."""
SHARDS: Final = ("+spublish", "+ssubscribe", "+sunsubscribe", "+cluster|slots", "+asking")
CLUSTER: Final = ("+ping", *SHARDS, *LEASE, *PRESENCE)
"""In a Redis Cluster; ``+asking`` is used while a slot is on its way."""


def user(name: str, password: str, rights: tuple[str, ...], prefix: str = "feedmux") -> str:
    """A user that has them, as ``ACL SETUSER`` takes it.

    Args:
        name: of the user.
        password: of the user.
        rights: one of those above.
        prefix: of keys and channels.
    """
    places = f"~{prefix}:* &{prefix}:* ~{{{prefix}:* &{{{prefix}:*"  # with a brace: in a Redis Cluster
    return f"{name} on >{password} {places} {' '.join(rights)}"
