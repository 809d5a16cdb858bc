"""Who may read what: the roles that open a prefix, and the one question that is asked of them.

Scopes are the texts of :class:`feedmux.model.topic.Topic`: ``public``, ``uid=<uid>``, ``role=<prefix>``.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final, Self

import msgspec

from feedmux.model.access import Identity
from feedmux.model.topic import PUBLIC

_UID: Final = "uid"
_ROLE: Final = "role"


class Access(msgspec.Struct, frozen=True):
    """Which roles open which prefixes. It is never changed, only replaced as a whole.

    Args:
        granted: every pair of a prefix and a role that opens it; none: no prefix is open to anybody.
    """

    granted: frozenset[tuple[str, str]] = frozenset()

    @classmethod
    def of(cls, roles: Mapping[str, Collection[str]]) -> Self:
        """Make it from each prefix's roles; an empty prefix and an empty role open nothing."""
        pairs = ((prefix, role) for prefix, names in roles.items() for role in names)
        return cls(frozenset((prefix, role) for prefix, role in pairs if prefix and role))

    def may_read(self, identity: Identity, scope: str) -> bool:
        """Say whether a client may read a scope.

        Everybody reads what is public, a user reads what is his own, and a role reads the prefixes
        that name it. An anonymous client has neither; a scope of any other form is nobody's.
        """
        if scope == PUBLIC:
            return True
        kind, _, name = scope.partition("=")
        if not identity.uid or not name:
            return False
        if kind == _UID:
            return name == identity.uid
        return kind == _ROLE and (name, identity.role) in self.granted
