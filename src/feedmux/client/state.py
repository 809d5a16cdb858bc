"""Where a link is, in words for its user."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from feedmux.core.reconnect import State


class LinkState(StrEnum):
    """Where a link is."""

    IDLE = "idle"
    CONNECTING = "connecting"
    RESTORING = "restoring"
    LIVE = "live"
    WAITING = "waiting"
    CLOSED = "closed"


STATES: Final = {
    State.IDLE: LinkState.IDLE,
    State.CONNECTING: LinkState.CONNECTING,
    State.OPEN: LinkState.RESTORING,
    State.PROVEN: LinkState.LIVE,
    State.WAITING: LinkState.WAITING,
    State.CLOSED: LinkState.CLOSED,
}
"""By the state of the carrier: only a connection on which everything was restored proves itself."""
