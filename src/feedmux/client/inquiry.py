"""Ask a broker of shared WebSockets about itself, and wait for the answer; blocks."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import closing, suppress
from typing import Final

from feedmux.client.peer import peer_of
from feedmux.model.errors import Refused
from feedmux.model.share_errors import ForeignBroker, NoBroker
from feedmux.wire.local import LocalDecoder, encode
from feedmux.wire.local_address import address
from feedmux.wire.local_records import BROKER, Answer, Ask, Failed, Hello, Query, Record

_READ_BYTES: Final = 64 * 1024


def ask_broker(name: str, query: Query, within_s: float = 5.0) -> bytes:
    """Ask, and return the answer, JSON; who asked to stop waits until the broker has hung up.

    Args:
        name: of the broker.
        query: what is asked.
        within_s: how long each step may take.

    Raises:
        InvalidSetting: the name is none.
        NoBroker: nobody is there, or it does not answer.
        ForeignBroker: another user holds the place.
        Refused: the broker does not answer that.
        MalformedMessage: it does not speak as it should.
    """
    place = address(os.getuid(), name)
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as sock:
        sock.settimeout(within_s)
        try:
            sock.connect(place)
            uid = peer_of(sock).uid
            if uid != os.getuid():
                raise ForeignBroker(name, uid)
            sock.sendall(encode(Hello(os.getpid(), "feedmux share")) + encode(Ask(1, query)))
            answer = _answer(_records(sock))
            if query == Query.STOP:
                _wait_end(sock)
        except (ConnectionResetError, BrokenPipeError) as error:
            raise NoBroker(name, "it hung up") from error
        except TimeoutError as error:
            raise NoBroker(name, f"it does not answer within {within_s:g} s") from error
        except ConnectionRefusedError as error:
            raise NoBroker(name, "none is running") from error
    if answer is None:
        raise NoBroker(name, "it hung up")
    return answer


def _wait_end(sock: socket.socket) -> None:
    with suppress(ConnectionResetError):  # it hung up with something unread
        while sock.recv(_READ_BYTES):
            pass


def _answer(records: Iterator[Record]) -> bytes | None:
    for record in records:
        if isinstance(record, Answer):
            return record.body
        if isinstance(record, Failed):
            raise Refused("the question", f"{record.code}: {record.reason}")
    return None


def _records(sock: socket.socket) -> Iterator[Record]:
    decoder = LocalDecoder(BROKER)
    while data := sock.recv(_READ_BYTES):
        decoder.feed(data)
        yield from decoder.records()
