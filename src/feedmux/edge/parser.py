"""Read the frames of many clients with few parsers.

Theory of operation
-------------------
Between two messages a parser of an open connection remembers nothing, so that any other would
read on alike. A client that says nothing therefore needs none: it borrows one when bytes come in,
and gives it back as soon as all of them were whole messages. That is most of what a connection
would weigh. A parser keeps its client while a frame or a fragmented message is under way, and for
good once the closing handshake has begun.
"""

from __future__ import annotations

from logging import Logger
from typing import Final, cast

from websockets.frames import Close, Frame
from websockets.protocol import State
from websockets.server import ServerProtocol

SPARE: Final = 32
"""Parsers that are kept for whoever comes next."""

_SHORT, _MEDIUM = 126, 65536


class Parser:
    """One parser, and what it still waits for.

    Args:
        protocol: websockets' sans-I/O protocol after a handshake.
    """

    __slots__ = ("_due", "_protocol")

    def __init__(self, protocol: ServerProtocol) -> None:
        self._protocol = protocol
        self._due = 0

    @property
    def is_between(self) -> bool:
        """Whether everything that was fed was whole messages, and nothing waits to be sent."""
        protocol = self._protocol
        return self._due == 0 and protocol.current_size is None and protocol.state is State.OPEN

    @property
    def close_sent(self) -> Close | None:
        """The close that was sent."""
        return self._protocol.close_sent

    def feed(self, data: bytes) -> list[Frame]:
        """Read the frames that ``data`` completes."""
        self._protocol.receive_data(data)
        frames = cast("list[Frame]", self._protocol.events_received())
        self._due += len(data)
        for frame in frames:
            self._due -= _wire_size(len(frame.data))
        return frames

    def close(self, code: int, reason: str) -> None:
        """Send a close, unless one was sent."""
        if self._protocol.state is State.OPEN:
            self._protocol.send_close(code, reason)

    def to_send(self) -> list[bytes]:
        """What the parser wants to say; an empty text means that it has said all."""
        return self._protocol.data_to_send()


class Parsers:
    """The parsers of a house.

    Args:
        max_message_bytes: a longer message is answered with 1009.
        log: of the protocol.
    """

    def __init__(self, max_message_bytes: int, log: Logger) -> None:
        self._max_message_bytes = max_message_bytes
        self._log = log
        self._spare: list[Parser] = []

    def take(self) -> Parser:
        """A parser that has been fed nothing, or whole messages only."""
        if self._spare:
            return self._spare.pop()
        return Parser(ServerProtocol(state=State.OPEN, max_size=self._max_message_bytes, logger=self._log))

    def give_back(self, parser: Parser) -> None:
        """Keep a parser for the next one; it must be between two messages."""
        if len(self._spare) < SPARE:
            self._spare.append(parser)


def _wire_size(size: int) -> int:
    """The bytes of a client's frame whose length is written as short as it can be.

    One that is written longer makes its parser look as if it waited for more for ever; such a
    client keeps its parser, and nothing else happens.
    """
    if size < _SHORT:
        return 6 + size
    return 8 + size if size < _MEDIUM else 14 + size
