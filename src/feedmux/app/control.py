"""What a parent and its child processes say to each other, descriptors included.

Theory of operation
===================
Each child has one Unix socket of its parent that keeps packets apart (``SOCK_SEQPACKET``). A packet is one
message as JSON, and the descriptors that belong to it. What arrives is checked like anything from
outside: a child that was replaced by another program must not bring its parent down::

    what comes                               what happens
    a message that is expected               it is handed on, with its descriptors
    anything else, or too many descriptors   the other side is cut: as if it had ended; descriptors are closed
    the socket's end                         the other side has ended

Whoever is handed descriptors owns them. A message that cannot be sent at once waits; when too many wait, the
other side does not read any more and is cut. A process whose parent's socket ends, ends.
"""

from __future__ import annotations

import array
import asyncio
import contextlib
import logging
import os
import socket
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from feedmux.model.errors import CapacityError, MalformedMessage, PeerError

log = logging.getLogger("feedmux.control")

MAX_BYTES: Final = 1 << 20
MAX_DESCRIPTORS: Final = 8
MAX_WAITING: Final = 64
_BUFFER_BYTES: Final = 4 << 20

Take = Callable[[Any, list[int]], None]


class Control:
    """One end of the socket.

    Args:
        sock: a connected Unix socket of packets; it is ours from now on.
        accepts: the union of messages that may come, tagged :class:`msgspec.Struct`\\ s.
        take: is handed each message and the descriptors that came with it; they are its own.
        ended: is told once, with the reason, when the other side is gone.
        peer: who that is, for people.
    """

    def __init__(
        self, sock: socket.socket, accepts: Any, *, take: Take, ended: Callable[[str], None], peer: str
    ) -> None:
        sock.setblocking(False)
        with contextlib.suppress(OSError):  # the system's own limit may be lower: then less fits
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER_BYTES)
        self._sock, self._take, self._ended, self.peer = sock, take, ended, peer
        self._decoder = msgspec.json.Decoder(accepts)
        self._waiting: deque[tuple[bytes, tuple[int, ...]]] = deque()
        self._loop = asyncio.get_running_loop()
        self._is_over = False
        self._loop.add_reader(sock, self._readable)

    def send(self, message: msgspec.Struct, descriptors: Sequence[int] = ()) -> None:
        """Send one message; the descriptors stay the caller's, who may close them afterwards."""
        if self._is_over:
            return
        data = msgspec.json.encode(message)
        if len(data) > MAX_BYTES:
            self.cut(f"a message of {len(data)} bytes is too long; at most {MAX_BYTES} are sent")
            return
        if self._waiting or not self._send(data, descriptors):
            self._wait(data, descriptors)

    def cut(self, reason: str) -> None:
        """End it, for this reason."""
        if self._is_over:
            return
        self._is_over = True
        self._loop.remove_reader(self._sock)
        self._loop.remove_writer(self._sock)
        self._sock.close()
        for _, descriptors in self._waiting:
            _close(descriptors)
        self._waiting.clear()
        self._ended(reason)

    def _send(self, data: bytes, descriptors: Sequence[int]) -> bool:
        """Whether it left, or never will."""
        try:
            socket.send_fds(self._sock, [data], list(descriptors))
        except BlockingIOError:
            return False
        except OSError as error:
            self.cut(f"{self.peer} ended: {os.strerror(error.errno or 0)}")
        return True

    def _wait(self, data: bytes, descriptors: Sequence[int]) -> None:
        if len(self._waiting) >= MAX_WAITING:
            self.cut(f"{self.peer} does not read: {MAX_WAITING} messages wait for it")
            return
        if not self._waiting:
            self._loop.add_writer(self._sock, self._writable)
        self._waiting.append((data, tuple(map(os.dup, descriptors))))

    def _writable(self) -> None:
        while self._waiting and not self._is_over:
            data, descriptors = self._waiting[0]
            if not self._send(data, descriptors):
                return
            if self._waiting:
                self._waiting.popleft()
                _close(descriptors)
        if not self._is_over:
            self._loop.remove_writer(self._sock)

    def _readable(self) -> None:
        for _ in range(MAX_WAITING):  # others have their turn then
            if self._is_over:
                return
            try:
                data, descriptors, flags = _receive(self._sock)
            except BlockingIOError:
                return
            except OSError as error:
                self.cut(f"{self.peer} ended: {os.strerror(error.errno or 0)}")
                return
            if not data:
                _close(descriptors)
                self.cut(f"{self.peer} ended")
                return
            try:
                self._take(self._read(data, flags), descriptors)
            except (MalformedMessage, CapacityError, PeerError) as error:
                _close(descriptors)
                log.warning("%s is cut off: %s", self.peer, error)
                self.cut(f"{self.peer} sent what cannot be used: {error}")

    def _read(self, data: bytes, flags: int) -> Any:
        if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
            raise MalformedMessage("control message", "it is cut short")
        try:
            return self._decoder.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise MalformedMessage("control message", str(error)) from error


def _receive(sock: socket.socket) -> tuple[bytes, list[int], int]:
    """One packet, its descriptors, and what the system says of it."""
    room = socket.CMSG_SPACE(MAX_DESCRIPTORS * array.array("i").itemsize)
    data, ancillary, flags, _ = sock.recvmsg(MAX_BYTES, room, socket.MSG_CMSG_CLOEXEC)
    found = array.array("i")
    for level, kind, content in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            found.frombytes(content[: len(content) - len(content) % found.itemsize])
    return data, list(found), flags


def _close(descriptors: Sequence[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


def exactly(descriptors: list[int], count: int) -> list[int]:
    """Return the descriptors of a message, of which there must be so many.

    Raises:
        MalformedMessage: there are not; all of them are closed.
    """
    if len(descriptors) != count:
        _close(descriptors)
        raise MalformedMessage("control message", f"it has {len(descriptors)} descriptors; expected {count}")
    return descriptors
