"""A program of the same user that has come in: who it is, what it says, and whether it is still there.

The first record has to say who it is, within :data:`feedmux.share.config.HELLO_WITHIN_S`, and the system
has to agree. Whatever breaks the protocol ends the connection with a *failed* that says how.
"""

from __future__ import annotations

import logging
import socket
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Final

from feedmux.client.peer import Peer
from feedmux.model.errors import MalformedMessage
from feedmux.share.config import HELLO_WITHIN_S
from feedmux.share.line import Line
from feedmux.wire.local import LocalDecoder, OtherVersion, encode
from feedmux.wire.local_records import CLIENT, MAX_TEXT_BYTES, Beat, Failed, Hello, Record, Welcome

_LOG: Final = logging.getLogger(__name__)
_BEAT: Final = encode(Beat())


class Visitor(ABC):
    """One end of a connection, whatever is asked for on it.

    Args:
        number: its own.
        sock: its socket, which is ours from now on.
        peer: who it is, as the system says.
        now: monotonic seconds.
    """

    level: ClassVar[int] = logging.INFO
    """At which the log has its coming and going."""

    def __init__(self, number: int, sock: socket.socket, peer: Peer, now: float) -> None:
        self.number, self.peer = number, peer
        self.name = ""
        self.is_welcome = False
        """Whether it said who it is."""
        self.heard_at = now
        self._has_heard = self._has_said = False
        self._decoder = LocalDecoder(CLIENT)
        self._line = Line(sock, received=self._hear, ended=self._ended)

    @property
    def waiting_bytes(self) -> int:
        """How much of what was said waits for it to read."""
        return self._line.waiting_bytes

    def tell(self, record: Record, descriptors: Sequence[int] = ()) -> None:
        """Send a record; the descriptors go beside it and are closed."""
        self._has_said = True
        self._line.say(encode(record), descriptors)

    def fail(self, request: int, code: str, reason: str) -> None:
        """Answer that something is not done."""
        self.tell(Failed(request, code, cut(reason)))

    def look_after(self, now: float, dead_s: float) -> None:
        """Beat, and miss who does not; after so much silence it is dead."""
        self._beat(now)
        silent_s = now - self.heard_at
        if not self.is_welcome and silent_s > HELLO_WITHIN_S:
            self.send_away("MALFORMED_MESSAGE", f"it did not say who it is within {HELLO_WITHIN_S:g} s")
        elif silent_s > dead_s:
            self.cut(f"nothing was heard of it for {dead_s:g} s")

    def send_away(self, code: str, reason: str) -> None:
        """Say why, and end the connection."""
        if self._line.is_open:
            _LOG.log(self.level, "client %d is sent away: %s: %s", self.number, code, reason)
            self.release()
            self.fail(0, code, reason)
            self._line.hang_up()

    def cut(self, reason: str) -> None:
        """End the connection at once."""
        self._line.cut(reason)

    def hang_up(self) -> None:
        """End the connection once all that was said is sent."""
        self._line.hang_up()

    @abstractmethod
    def welcome(self) -> Welcome:
        """What it is told when it has said who it is."""

    @abstractmethod
    def take(self, record: Record) -> None:
        """Do what it asks for; never a hello."""

    @abstractmethod
    def release(self) -> None:
        """It holds nothing any more: it is gone, or has to go. May be repeated."""

    @abstractmethod
    def left(self) -> None:
        """It is gone, and its socket is closed."""

    def _beat(self, now: float) -> None:
        """Say that we are there, if nothing else was said since the last time; note whether it is."""
        if self._has_heard:
            self.heard_at, self._has_heard = now, False
        if not self._has_said and self.is_welcome:
            self._line.say(_BEAT)
        self._has_said = False

    def _hear(self, data: bytes) -> None:
        self._has_heard = True
        self._decoder.feed(data)
        try:
            for record in self._decoder.records():
                if isinstance(record, Hello):
                    self._greet(record)
                else:
                    self.take(record)
                if not self._line.is_open:
                    return
        except OtherVersion as error:
            self.send_away(error.code, str(error))
        except MalformedMessage as error:
            self.send_away("MALFORMED_MESSAGE", str(error))

    def _greet(self, hello: Hello) -> None:
        if hello.pid != self.peer.pid:
            reason = f"it says that it is process {hello.pid}, and is process {self.peer.pid}"
            self.send_away("IDENTITY", reason)
            return
        self.name, self.is_welcome = hello.name, True
        _LOG.log(self.level, "client %d is process %d, %r", self.number, self.peer.pid, self.name)
        self.tell(self.welcome())

    def _ended(self, reason: str) -> None:
        _LOG.log(self.level, "client %d is gone: %s", self.number, reason)
        self.release()
        self.left()


def cut(text: str) -> str:
    """As much of a text as a record takes."""
    return text.encode(errors="replace")[:MAX_TEXT_BYTES].decode(errors="ignore")
