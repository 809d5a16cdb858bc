"""The branch of the tree of errors that is about sharing WebSockets; see :mod:`feedmux.model.errors`."""

from __future__ import annotations

from feedmux.model.errors import NOW, PeerError, Retry
from feedmux.model.link_errors import LinkError


class NoBroker(LinkError):
    """Nobody shares WebSockets here.

    Args:
        name: of the broker.
        reason: what was tried, and what came of it.
    """

    code = "NO_BROKER"
    retry: Retry = NOW

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(name, reason)
        self.name, self.reason = name, reason

    def __str__(self) -> str:
        return f"no broker {self.name!r}: {self.reason}"


class ForeignBroker(PeerError):
    """The place of our broker is held by somebody else: nothing of ours may be said to them.

    Args:
        name: of the broker.
        uid: the number of the user who holds it.
    """

    code = "IDENTITY"

    def __init__(self, name: str, uid: int) -> None:
        super().__init__(name, uid)
        self.name, self.uid = name, uid

    def __str__(self) -> str:
        return f"the place of the broker {self.name!r} is held by the user {self.uid}; choose another --name"
