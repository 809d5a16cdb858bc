"""One client of a broker: what it asks for, and what it is told."""

from __future__ import annotations

import logging
import socket
from typing import Final, Protocol

from feedmux.client.peer import Peer
from feedmux.share.table import Table
from feedmux.share.visitor import Visitor, cut
from feedmux.wire.local_records import (
    Answer,
    Ask,
    Close,
    Done,
    Log,
    LogLevel,
    Open,
    Query,
    Record,
    Send,
    Subscribe,
    Unsubscribe,
    Welcome,
)

_LOG: Final = logging.getLogger(__name__)
_MOST_LOG_BYTES: Final = 1024 * 1024
"""Lines of the log are left out while so much waits for the client to read."""
SILENT: Final = 6
"""The level at which nothing of the log is wanted."""


class Host(Protocol):
    """Who has guests."""

    @property
    def table(self) -> Table:
        """The WebSockets."""

    def welcome(self, guest: Guest) -> Welcome:
        """What a client is told that says who it is."""

    def status(self) -> bytes:
        """What people may know of the broker, as JSON."""

    def stop(self, reason: str) -> None:
        """End the broker."""

    def listens(self) -> None:
        """A client wants other lines of the log than before."""

    def left(self, guest: Guest) -> None:
        """A client is gone."""


class Guest(Visitor):
    """A client (a :class:`feedmux.share.member.Member`).

    Args:
        number: its own.
        sock: its socket, which is ours from now on.
        peer: who it is, as the system says.
        host: whose guest it is.
        now: monotonic seconds.
    """

    def __init__(self, number: int, sock: socket.socket, peer: Peer, host: Host, now: float) -> None:
        super().__init__(number, sock, peer, now)
        self.has_asked = False
        """Whether it asked something of the broker itself."""
        self.log_level = SILENT
        self._host = host

    def log(self, level: int, line: str) -> None:
        """Tell a line of the log, if it is wanted and can be read."""
        if level >= self.log_level and self.waiting_bytes < _MOST_LOG_BYTES:
            self.tell(Log(level, cut(line)))

    def welcome(self) -> Welcome:
        """What it is told when it has said who it is."""
        return self._host.welcome(self)

    def take(self, record: Record) -> None:
        """Do what it asks for."""
        match record:
            case Open():
                self._host.table.open(self, record)
            case Close():
                self._leave(record)
            case Send():
                self._send(record)
            case Subscribe() | Unsubscribe():
                self._subscribe(record)
            case LogLevel():
                self.log_level = record.level
                self._host.listens()
            case Ask():
                self._answer(record)

    def release(self) -> None:
        """It shares nothing any more."""
        self._host.table.leave(self, is_dead=True)

    def left(self) -> None:
        """It is gone."""
        self._host.left(self)

    def _leave(self, record: Close) -> None:
        if record.id == 0:
            self._host.table.leave(self)
        else:
            shared = self._host.table.find(self, record.id)
            if shared is not None:
                shared.leave(self)
        self.tell(Done(record.request, 0))

    def _send(self, record: Send) -> None:
        shared = self._host.table.find(self, record.id)
        if shared is None:
            _LOG.warning("client %d sends to WebSocket %d, which it does not share", self.number, record.id)
        else:
            shared.send(self, record)

    def _subscribe(self, record: Subscribe | Unsubscribe) -> None:
        shared = self._host.table.find(self, record.id)
        if shared is None:
            self.fail(record.request, "UNKNOWN_ID", f"it does not share the WebSocket {record.id}")
        elif isinstance(record, Subscribe):
            shared.subscribe(self, record)
        else:
            shared.unsubscribe(self, record)

    def _answer(self, record: Ask) -> None:
        self.has_asked = True
        if record.query == Query.STATUS:
            self.tell(Answer(record.request, self._host.status()))
        elif record.query == Query.STOP:
            self.tell(Answer(record.request, b"{}"))
            self._host.stop(f"client {self.number} asked for it")
        else:
            self.fail(record.request, "MALFORMED_MESSAGE", f"{record.query} is nothing that may be asked")
