"""Be elected, and let clients in.

To bind an address is to be the one who is found there: the system lets one process do so, whatever races.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from feedmux.client.peer import Peer, peer_of
from feedmux.model.share_errors import ForeignBroker
from feedmux.wire.local_address import address

_LOG: Final = logging.getLogger(__name__)
_BACKLOG: Final = 128
_PAUSE_S: Final = 0.5
"""After the system lent no descriptor for a client."""


def claim(name: str) -> socket.socket | None:
    """Become the broker of this name; None if there is one.

    Returns:
        A listening socket that does not block.

    Raises:
        InvalidSetting: the name is none.
        ForeignBroker: another user holds the place.
    """
    place = address(os.getuid(), name)
    listener = take_place(place)
    if listener is None and (holder := holder_of(place)) is not None and holder.uid != os.getuid():
        raise ForeignBroker(name, holder.uid)
    return listener


def take_place(place: str) -> socket.socket | None:
    """Be the one who is found at an address; None if somebody is.

    Returns:
        A listening socket that does not block.
    """
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        listener.bind(place)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        if error.errno != errno.EADDRINUSE:
            raise
        return None
    return listener


def holder_of(place: str) -> Peer | None:
    """Who is found at an address; None if that cannot be said: he is gone, or has no time."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as probe, suppress(OSError):
        probe.connect(place)
        return peer_of(probe)
    return None


class Door:
    """Lets clients of the same user in.

    Args:
        listener: as :func:`take_place` returned it; it is ours from now on.
        entered: takes a client's socket and who it is.
    """

    def __init__(self, listener: socket.socket, entered: Callable[[socket.socket, Peer], None]) -> None:
        self._listener, self._entered = listener, entered
        self._loop = asyncio.get_running_loop()
        self._pause: asyncio.TimerHandle | None = None
        self.refused = 0
        """How many clients of other users were sent away."""

    def open(self) -> None:
        """Let clients in from now on."""
        self._pause = None
        self._loop.add_reader(self._listener, self.look)

    def look(self) -> None:
        """Let in whoever is there."""
        while self._pause is None:
            try:
                sock, _ = self._listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                _LOG.warning("no client can be let in for now: %s", error.strerror or error)
                self._loop.remove_reader(self._listener)
                self._pause = self._loop.call_later(_PAUSE_S, self.open)
                return
            self._let_in(sock)

    def close(self) -> None:
        """Let nobody in any more; the place is free."""
        if self._pause is not None:
            self._pause.cancel()
        self._loop.remove_reader(self._listener)
        self._listener.close()

    def _let_in(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        peer = peer_of(sock)
        if peer.uid == os.getuid():
            self._entered(sock, peer)
        else:
            self.refused += 1
            _LOG.warning("process %d of the user %d was sent away", peer.pid, peer.uid)
            sock.close()
