"""One local program that reads a gateway's topics: what it says on its socket."""

from __future__ import annotations

import logging
import socket
from typing import ClassVar, Final, Protocol

from feedmux.client.peer import Peer
from feedmux.model.ring_errors import NoMemory
from feedmux.share.config import OfferConfig
from feedmux.share.reading import Means, Reading
from feedmux.share.visitor import Visitor
from feedmux.wire.local_address import TOPICS
from feedmux.wire.local_records import (
    Ask,
    Close,
    Done,
    Open,
    Opened,
    Record,
    Send,
    Subscribe,
    Unsubscribe,
    Welcome,
)

_LOG: Final = logging.getLogger(__name__)
GOING_AWAY: Final = 1001


class Desk(Protocol):
    """Who has readers."""

    @property
    def config(self) -> OfferConfig:
        """How they are served."""

    @property
    def means(self) -> Means:
        """And with what."""

    def welcome(self, reader: Reader) -> Welcome:
        """What a program is told that says who it is."""

    def ended(self, reading: Reading) -> None:
        """Nobody reads this any more."""

    def left(self, reader: Reader) -> None:
        """A program is gone."""


class Reader(Visitor):
    """A program.

    Args:
        number: its own.
        sock: its socket, which is ours from now on.
        peer: who it is, as the system says.
        desk: whose reader it is.
        now: monotonic seconds.
    """

    level: ClassVar[int] = logging.DEBUG

    def __init__(self, number: int, sock: socket.socket, peer: Peer, desk: Desk, now: float) -> None:
        super().__init__(number, sock, peer, now)
        self.reading: Reading | None = None
        """What it has opened."""
        self._desk = desk
        self._opens = 0

    def send_off(self, reason: str) -> None:
        """Say in its ring why nothing comes any more, and hang up."""
        if self.reading is not None:
            self.reading.close(GOING_AWAY, reason)
        self.hang_up()

    def welcome(self) -> Welcome:
        """What it is told when it has said who it is."""
        return self._desk.welcome(self)

    def take(self, record: Record) -> None:
        """Do what it asks for. How the log is doing is none of its business."""
        match record:
            case Open():
                self._open(record)
            case Close():
                self.release()
                self.tell(Done(record.request, 0))
            case Send():
                if self._has(record.id):
                    self._request(record.payload)
                else:
                    _LOG.debug("client %d sends to %d, which it has not opened", self.number, record.id)
            case Subscribe() | Unsubscribe():
                self._subscribe(record)
            case Ask():
                self.fail(record.request, "INVALID_SETTING", "a gateway is asked over HTTP: GET /stats")

    def release(self) -> None:
        """It reads nothing any more."""
        reading, self.reading = self.reading, None
        if reading is not None:
            reading.end()
            self._desk.ended(reading)

    def left(self) -> None:
        """It is gone."""
        self._desk.left(self)

    def _open(self, record: Open) -> None:
        if record.url != TOPICS:
            self.fail(record.request, "INVALID_SETTING", f"a gateway has {TOPICS} to be opened, nothing else")
            return
        if self.reading is not None:
            self.fail(record.request, "CAPACITY", f"it has opened {TOPICS} already; it may be open once")
            return
        config = self._desk.config
        self._opens += 1
        try:
            reading = Reading(
                self._opens, self._desk.means, ring_bytes=config.ring_bytes, closed=self._closed_itself
            )
        except NoMemory as error:
            self.fail(record.request, error.code, str(error))
            return
        self.reading = reading
        self.tell(Opened(record.request, reading.number, 1, reading.start, 0), reading.descriptors)
        reading.begin()
        for message in record.opening:
            self._request(message.payload)

    def _subscribe(self, record: Subscribe | Unsubscribe) -> None:
        """A message that asks for a symbol is a request like any other."""
        if not self._has(record.id):
            self.fail(record.request, "UNKNOWN_ID", f"it has not opened {record.id}")
            return
        self._request(record.message)
        self.tell(Done(record.request, 0))

    def _has(self, number: int) -> bool:
        return self.reading is not None and self.reading.number == number

    def _request(self, payload: bytes) -> None:
        most = self._desk.config.max_message_bytes
        if len(payload) > most:
            self.send_away("CAPACITY", f"a request of {len(payload)} bytes; the bound is {most}")
        elif self.reading is not None:
            self.reading.take(payload)

    def _closed_itself(self) -> None:
        """Its session has ended by itself."""
        self.release()
        self.hang_up()
