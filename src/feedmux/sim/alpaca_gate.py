"""Who may enter a simulated Alpaca, and how often at once.

A place is a connection of a key to a feed. It is taken with the login and given back when the connection is
gone, ``linger_s`` later: a client that comes back at once may meet itself (406).
Source: alpacahq/alpaca-trade-api-csharp issue 558, 2022-09: some 90 s of 406 after a network was gone.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence

from feedmux.sim.alpaca_options import Account


class Gate:
    """Accounts and places.

    Args:
        accounts: who may log in.
        limit: places of one key at one feed; may be changed at any time, for logins after that.
        linger_s: seconds that a place stays taken when its connection is gone; may be changed too.
    """

    def __init__(self, accounts: Sequence[Account], limit: int, linger_s: float) -> None:
        self.limit = limit
        self.linger_s = linger_s
        self._secrets = {account.key: account.secret for account in accounts}
        self._places: dict[int, tuple[str, str]] = {}
        self._until: dict[int, float] = {}

    def knows(self, key: str, secret: str) -> bool:
        """Whether ``secret`` is the one of ``key``."""
        right = self._secrets.get(key)
        return right is not None and hmac.compare_digest(right.encode(), secret.encode())

    def enter(self, ident: int, feed: str, key: str, now: float) -> bool:
        """Take a place.

        Args:
            ident: the number of the connection.
            feed: where it is.
            key: whose it is.
            now: monotonic seconds.

        Returns:
            False when all are taken.
        """
        for gone in [gone for gone, until in self._until.items() if until <= now]:
            del self._until[gone], self._places[gone]
        if self.taken(feed, key) >= self.limit:
            return False
        self._places[ident] = (feed, key)
        return True

    def leave(self, ident: int, now: float) -> None:
        """Give a place back, if the connection had one."""
        if ident in self._places:
            self._until[ident] = now + self.linger_s

    def taken(self, feed: str, key: str) -> int:
        """How many places ``key`` has at ``feed``, with those that linger since the last login."""
        return list(self._places.values()).count((feed, key))
