"""Accept connections: a few in each turn of the event loop, and none beyond the room there is.

The event loops' own servers do neither. asyncio accepts as many as its backlog holds before it looks
at anybody else; uvloop accepts one in each turn, so that a loop whose turns are long lets in a few
hundred in a second while the kernel turns others away. And neither can refuse.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import struct
from collections.abc import Callable, Iterable
from functools import partial
from typing import Final

from feedmux.edge.doorway import Doorway

log = logging.getLogger(__name__)

ACCEPTS: Final = 16
"""Connections that are accepted in one turn."""

EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
"""What accepting fails with when the process or the machine has no more to give. Source: accept(2)."""
REST_S: Final = 1.0
"""After which it is tried again; what is still waiting cannot be told apart from what is new."""

_RESET: Final = struct.pack("ii", 1, 0)
"""For SO_LINGER: closing resets the connection, and leaves nothing in the kernel."""


class Listener:
    """The listening sockets of a server.

    Args:
        make: makes the protocol of a connection that was accepted.
        doorway: how many there may be.
        loop: the event loop that everything runs in.
    """

    def __init__(
        self, make: Callable[[], asyncio.Protocol], *, doorway: Doorway, loop: asyncio.AbstractEventLoop
    ) -> None:
        self._make = make
        self._doorway = doorway
        self._loop = loop
        self._sockets: list[socket.socket] = []
        self._tasks: set[asyncio.Task[object]] = set()
        self._rest: asyncio.TimerHandle | None = None

    @property
    def port(self) -> int:
        """The port that is listened on."""
        return int(self._sockets[0].getsockname()[1])

    def start(self, sockets: Iterable[socket.socket]) -> None:
        """Accept from now on, from sockets that listen (see :func:`bind`); they are ours to close."""
        self._sockets += sockets
        self._watch()

    def close(self) -> None:
        """Accept nobody any more; the port is free. May be repeated."""
        for sock in self._sockets:
            self._loop.remove_reader(sock)
        if self._rest is not None:
            self._rest.cancel()
        self._close_sockets()

    async def wait_closed(self) -> None:
        """Wait until connections that were just accepted have their protocols."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _watch(self) -> None:
        self._rest = None
        for sock in self._sockets:
            self._loop.add_reader(sock, self._accept, sock)

    def _accept(self, listening: socket.socket) -> None:
        for _ in range(ACCEPTS):
            if self._doorway.waiting >= ACCEPTS:
                return
            try:
                sock, _ = listening.accept()
            except OSError as error:  # nobody is there any more, or whoever was has gone
                if error.errno in EXHAUSTED:
                    self._take_a_rest(error)
                return
            self._welcome(sock)

    def _welcome(self, sock: socket.socket) -> None:
        if self._doorway.is_full:
            self._doorway.refused += 1
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            sock.close()
            return
        sock.setblocking(False)
        protocol = self._make()
        task = self._loop.create_task(self._loop.connect_accepted_socket(lambda: protocol, sock))
        self._tasks.add(task)
        task.add_done_callback(partial(self._connected, sock, protocol))

    def _connected(self, sock: socket.socket, protocol: asyncio.Protocol, task: asyncio.Task[object]) -> None:
        self._tasks.discard(task)
        if task.cancelled() or task.exception() is not None:
            sock.close()
            protocol.connection_lost(None)

    def _take_a_rest(self, error: OSError) -> None:
        """Leave the rest in the backlog for a while, or the loop would turn for nothing."""
        log.warning("No connection can be accepted for %g s: %s", REST_S, error.strerror)
        for sock in self._sockets:
            self._loop.remove_reader(sock)
        self._rest = self._loop.call_later(REST_S, self._watch)

    def _close_sockets(self) -> None:
        for sock in self._sockets:
            sock.close()
        self._sockets.clear()


async def bind(
    host: str,
    port: int,
    *,
    backlog: int,
    send_buffer_bytes: int = 0,
    unsent_bytes: int = 0,
    is_shared: bool = False,
) -> list[socket.socket]:
    """Listen on every address of ``host``.

    Args:
        host: a name or an address.
        port: 0 lets the system choose.
        backlog: connections that the kernel holds until they are accepted.
        send_buffer_bytes: of accepted sockets; 0 leaves it to the system.
        unsent_bytes: of these, what may wait although the peer has no room for it; 0 as above.
        is_shared: others of this user may listen there too, and the kernel spreads connections over
            all of them.

    Raises:
        OSError: an address cannot be bound.
    """
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    sockets: list[socket.socket] = []
    try:
        for family, kind, protocol, _, address in dict.fromkeys(found):
            sockets.append(sock := socket.socket(family, kind, protocol))
            _prepare(sock, is_shared=is_shared)
            _bound_buffers(sock, send_buffer_bytes, unsent_bytes)
            sock.bind(address)
            sock.listen(backlog)
    except OSError:
        for sock in sockets:
            sock.close()
        raise
    return sockets


def _prepare(sock: socket.socket, *, is_shared: bool) -> None:
    """Set what accepted sockets inherit, and what a restarted server needs."""
    sock.setblocking(False)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if is_shared:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)


def _bound_buffers(sock: socket.socket, send_buffer_bytes: int, unsent_bytes: int) -> None:
    """Let what is not sent wait where it can still be replaced."""
    if send_buffer_bytes:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer_bytes)
    if unsent_bytes:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, unsent_bytes)
