"""One client of a broker: who it is, what it asks for, and whether it is still there.

The first record has to say who it is, within :data:`feedmux.share.config.HELLO_WITHIN_S`, and the system
has to agree. Whatever breaks the protocol ends the connection with a *failed* that says how.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Sequence
from typing import Final, Protocol

from feedmux.client.peer import Peer
from feedmux.model.errors import MalformedMessage
from feedmux.share.line import Line
from feedmux.share.table import Table
from feedmux.wire.local import LocalDecoder, OtherVersion, encode
from feedmux.wire.local_records import (
    CLIENT,
    MAX_TEXT_BYTES,
    Answer,
    Ask,
    Beat,
    Close,
    Done,
    Failed,
    Hello,
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
_BEAT: Final = encode(Beat())
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


class Guest:
    """A client (a :class:`feedmux.share.member.Member`).

    Args:
        number: its own.
        sock: its socket, which is ours from now on.
        peer: who it is, as the system says.
        host: whose guest it is.
        now: monotonic seconds.
    """

    def __init__(self, number: int, sock: socket.socket, peer: Peer, host: Host, now: float) -> None:
        self.number, self.peer = number, peer
        self.name = ""
        self.is_welcome = self.has_asked = False
        """Whether it said who it is; whether it asked something of the broker itself."""
        self.heard_at = now
        self.log_level = SILENT
        self._host = host
        self._has_heard = self._has_said = False
        self._decoder = LocalDecoder(CLIENT)
        self._line = Line(sock, received=self._hear, ended=self._ended)

    def tell(self, record: Record, descriptors: Sequence[int] = ()) -> None:
        """Send a record; the descriptors go beside it and are closed."""
        self._has_said = True
        self._line.say(encode(record), descriptors)

    def fail(self, request: int, code: str, reason: str) -> None:
        """Answer that something is not done."""
        self.tell(Failed(request, code, _cut(reason)))

    def log(self, level: int, line: str) -> None:
        """Tell a line of the log, if it is wanted and can be read."""
        if level >= self.log_level and self._line.waiting_bytes < _MOST_LOG_BYTES:
            self.tell(Log(level, _cut(line)))

    def beat(self, now: float) -> None:
        """Say that the broker is there, if nothing else was said since the last time; note whether it is."""
        if self._has_heard:
            self.heard_at, self._has_heard = now, False
        if not self._has_said and self.is_welcome:
            self._line.say(_BEAT)
        self._has_said = False

    def send_away(self, code: str, reason: str) -> None:
        """Say why, and end the connection."""
        if self._line.is_open:
            _LOG.info("client %d is sent away: %s: %s", self.number, code, reason)
            self._host.table.leave(self, is_dead=True)
            self.fail(0, code, reason)
            self._line.hang_up()

    def cut(self, reason: str) -> None:
        """End the connection at once."""
        self._line.cut(reason)

    def hang_up(self) -> None:
        """End the connection once all that was said is sent."""
        self._line.hang_up()

    def _hear(self, data: bytes) -> None:
        self._has_heard = True
        self._decoder.feed(data)
        try:
            for record in self._decoder.records():
                self._take(record)
                if not self._line.is_open:
                    return
        except OtherVersion as error:
            self.send_away(error.code, str(error))
        except MalformedMessage as error:
            self.send_away("MALFORMED_MESSAGE", str(error))

    def _take(self, record: Record) -> None:
        match record:
            case Hello():
                self._greet(record)
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

    def _greet(self, hello: Hello) -> None:
        if hello.pid != self.peer.pid:
            reason = f"it says that it is process {hello.pid}, and is process {self.peer.pid}"
            self.send_away("IDENTITY", reason)
            return
        self.name, self.is_welcome = hello.name, True
        _LOG.info("client %d is process %d, %r", self.number, self.peer.pid, self.name)
        self.tell(self._host.welcome(self))

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

    def _ended(self, reason: str) -> None:
        _LOG.info("client %d is gone: %s", self.number, reason)
        self._host.table.leave(self, is_dead=True)
        self._host.left(self)


def _cut(text: str) -> str:
    """As much of a text as a record takes."""
    return text.encode(errors="replace")[:MAX_TEXT_BYTES].decode(errors="ignore")
