"""What can go wrong between a program and the broker of its machine; see :mod:`feedmux.model.errors`."""

from __future__ import annotations

from typing import Final

from feedmux.model.errors import LocalError, Refused
from feedmux.model.link_errors import LinkError, LinkLost

_BY_HAND: Final = "run `feedmux share --name {name}` by hand to see what it says"


class NoBroker(LinkError):
    """No broker could be found, and none could be started.

    Args:
        name: of the broker.
        reason: why not.
    """

    code = "NO_BROKER"

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(name, reason)
        self.name, self.reason = name, reason

    def __str__(self) -> str:
        return f"no broker {self.name!r}: {self.reason}; {_BY_HAND.format(name=self.name)}"


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
