"""The branch of the tree of errors that is about programs of one machine; see :mod:`feedmux.model.errors`."""

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


class NoGateway(LinkError):
    """Nobody offers a gateway's topics to the programs of this user.

    Args:
        name: under which it was looked for.
        reason: why it could not be reached; empty: there is none.
    """

    code = "NO_GATEWAY"
    retry: Retry = NOW

    def __init__(self, name: str, reason: str = "") -> None:
        super().__init__(name, reason)
        self.name, self.reason = name, reason

    def __str__(self) -> str:
        if self.reason:
            return f"the gateway that offers its topics as {self.name!r} cannot be reached: {self.reason}"
        start = "start one with `feedmux serve` (with LOCAL=off it offers none)"
        return f"no gateway of this user offers its topics as {self.name!r}; {start}"


class ForeignGateway(PeerError):
    """The place where our gateway would offer its topics is held by somebody else.

    Args:
        name: of the place.
        uid: the number of the user who holds it.
    """

    code = "IDENTITY"

    def __init__(self, name: str, uid: int) -> None:
        super().__init__(name, uid)
        self.name, self.uid = name, uid

    def __str__(self) -> str:
        held = f"the place of the gateway {self.name!r} is held by the user {self.uid}"
        return f"{held}; choose another LOCAL_NAME"
