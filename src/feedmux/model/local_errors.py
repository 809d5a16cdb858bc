"""What can go wrong between a client and its broker; a branch of the tree in :mod:`feedmux.model.errors`."""

from __future__ import annotations

from feedmux.model.errors import LocalError, Refused
from feedmux.model.link_errors import LinkLost


class BrokerLost(LinkLost):
    """The broker is gone while something was to be said to it; another one is being looked for.

    Args:
        reason: how that was noticed.
    """

    code = "BROKER_LOST"

    def __str__(self) -> str:
        return f"the broker is gone: {self.reason}"


class BrokerRefused(Refused):
    """The broker said no.

    Args:
        what: what was asked for.
        code: the broker's code; docs/reference/local-protocol.md lists them.
        reason: its own words.
    """

    def __init__(self, what: str, code: str, reason: str) -> None:
        super().__init__(what, reason)
        self.args = (what, code, reason)
        self.code = code

    def __str__(self) -> str:
        return f"{super().__str__()} ({self.code})"


class UnknownWebSocket(LocalError):
    """A number that is none of this client's WebSockets.

    Args:
        id: the number.
    """

    code = "UNKNOWN_WEBSOCKET"

    def __init__(self, id: int) -> None:
        super().__init__(id)
        self.id = id

    def __str__(self) -> str:
        return f"{self.id} is none of this client's WebSockets; expected what open_websocket returned"
