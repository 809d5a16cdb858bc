"""What a client of the broker tells its user: what its WebSockets brought, and what became of them."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from feedmux.model.checks import type_of
from feedmux.model.errors import InvalidSetting


class SocketOpened(msgspec.Struct, frozen=True):
    """A WebSocket is open.

    Args:
        id: which.
        is_new: it was opened for this client, or this client was chosen: whoever has to log in, does it now.
        request: what ``open_websocket_async`` returned; 0: it was opened again.
    """

    id: int
    is_new: bool
    request: int = 0


class SocketClosed(msgspec.Struct, frozen=True):
    """A WebSocket is closed. What the other side sends from now on is missed, until it is opened.

    Args:
        id: which.
        reason: who closed it and why.
        code: of the close frame; 0: there was none.
        again: it is opened again, by itself; otherwise the number is nobody's from now on.
    """

    id: int
    reason: str
    code: int = 0
    again: bool = True


class SocketError(msgspec.Struct, frozen=True):
    """Something went wrong; nothing ends by it.

    Args:
        id: of which WebSocket; 0: of none.
        reason: what.
        code: the broker's, or the error's; empty: the other side's words.
        request: what ``open_websocket_async`` returned, if it was that; 0: it was not.
    """

    id: int
    reason: str
    code: str = ""
    request: int = 0


class SocketData(msgspec.Struct, frozen=True):
    """A message, or a part of one.

    Args:
        id: of which WebSocket.
        payload: its bytes; of a text message UTF-8, as the other side sent it.
        is_binary: whether it is a binary message.
        remaining: so many bytes of the message follow; always 0 where messages are put together.
        received_ns: when the broker read it, Unix nanoseconds.
        is_last: it is older than the opening: the last one of its key, for who comes late.
    """

    id: int
    payload: bytes
    is_binary: bool = False
    remaining: int = 0
    received_ns: int = 0
    is_last: bool = False


class SocketLost(msgspec.Struct, frozen=True):
    """This client was too slow: messages of a WebSocket were overwritten before it read them.

    Args:
        id: of which WebSocket.
        size_bytes: how much of the ring it missed.
    """

    id: int
    size_bytes: int


class SocketRestored(msgspec.Struct, frozen=True):
    """A WebSocket is whole again after the broker died: opened, and subscribed to all that is wanted.

    Args:
        id: which.
        blind_s: for so many seconds nothing of it was seen.
    """

    id: int
    blind_s: float


class BrokerGone(msgspec.Struct, frozen=True):
    """The broker is dead. Every WebSocket is closed; another broker is found or started at once.

    Args:
        reason: how that was noticed.
    """

    reason: str


class BrokerLog(msgspec.Struct, frozen=True):
    """A line of the broker's log, as ``set_log_level`` asks for it.

    Args:
        level: from 0 trace, 1 debug, 2 info, 3 warning, 4 error to 5 critical.
        text: the line.
    """

    level: int
    text: str


LocalEvent = (
    SocketOpened
    | SocketClosed
    | SocketError
    | SocketData
    | SocketLost
    | SocketRestored
    | BrokerGone
    | BrokerLog
)
"""Whatever a client of the broker may tell."""


class LocalCallbacks(msgspec.Struct, frozen=True, kw_only=True):
    """Whom a :class:`feedmux.client.local.LocalClient` calls; what nobody is named for is let go.

    They are called one after the other, on a thread that is theirs. One that raises is logged, and ends
    nothing.

    Raises:
        InvalidSetting: one cannot be called.
    """

    opened: Callable[[SocketOpened], object] | None = None
    closed: Callable[[SocketClosed], object] | None = None
    error: Callable[[SocketError], object] | None = None
    data: Callable[[SocketData], object] | None = None
    lost: Callable[[SocketLost], object] | None = None
    restored: Callable[[SocketRestored], object] | None = None
    disconnected: Callable[[BrokerGone], object] | None = None
    log: Callable[[BrokerLog], object] | None = None

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            called = getattr(self, name)
            if called is not None and not callable(called):
                raise InvalidSetting(name, type_of(called), "a function that takes the event, or None")

    def by_kind(self) -> dict[type, Callable[..., object]]:
        """Who is called for which kind of event."""
        kinds = {
            SocketOpened: self.opened,
            SocketClosed: self.closed,
            SocketError: self.error,
            SocketData: self.data,
            SocketLost: self.lost,
            SocketRestored: self.restored,
            BrokerGone: self.disconnected,
            BrokerLog: self.log,
        }
        return {kind: called for kind, called in kinds.items() if called is not None}
