"""Run a broker: one process by which programs of one user share WebSockets.

Theory of operation
===================

::

    elected (:func:`feedmux.share.door.claim`) ──▶ serving ──▶ ending ──▶ over
                                                      │
          nobody was there for ``linger_s`` ──────────┤
          a client asked for it, or a signal came ────┘

A client that only asks, as ``feedmux share status`` does, does not keep it alive. Before it ends for want
of clients it looks once more whether one is at the door; who comes later finds the place free. When it
ends otherwise, those who share a WebSocket read that it is closed; then all sockets are.

Everything that a client can cause ends at most its own connection. Nothing is written to files or to a
terminal; the lines of the log go to the clients that asked for them (:mod:`feedmux.share.listening`).

Invariants: a client counts from the moment it is let in, whatever it says; no task, timer or descriptor
outlives :meth:`Broker.run`.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from typing import Any, Final

import msgspec

from feedmux import __version__
from feedmux.client.peer import Peer
from feedmux.share.company import Company
from feedmux.share.config import MOST_CLIENTS, ShareConfig
from feedmux.share.door import Door
from feedmux.share.guest import SILENT, Guest
from feedmux.share.listening import Listening
from feedmux.share.table import Table
from feedmux.wire.local_records import Welcome

_LOG: Final = logging.getLogger(__name__)


class Broker:
    """A broker; see *Theory of operation*. Used once.

    Args:
        config: how it behaves.
        listener: as :func:`feedmux.share.door.claim` returned it; it is ours from now on.
    """

    table: Table

    def __init__(self, config: ShareConfig, listener: socket.socket) -> None:
        self._config = config
        self._door = Door(listener, self._enter)
        self._guests: Company[Guest] = Company()
        self._began_at = self._alone_since = time.monotonic()
        self._stop = asyncio.Event()
        self._log = Listening(self._tell_line)
        self._ticker: asyncio.TimerHandle | None = None
        self._farewell = ""

    async def run(self) -> None:
        """Serve until nobody needs it or it is stopped; the owner awaits this, once."""
        self._log.begin()
        try:
            async with asyncio.TaskGroup() as tasks:
                self.table = Table(self._config.ring_bytes, tasks)
                self._door.open()
                self._tick()
                try:
                    await self._stop.wait()
                finally:
                    self._end()
            await self._guests.see_off()
        finally:
            self._log.end()

    # What guests ask for.

    def welcome(self, guest: Guest) -> Welcome:
        """What a client is told that says who it is."""
        beat_ms, dead_ms = int(self._config.beat_s * 1000), int(self._config.dead_s * 1000)
        return Welcome(os.getpid(), guest.number, beat_ms, dead_ms)

    def stop(self, reason: str) -> None:
        """End the broker; :meth:`run` returns when everything is closed."""
        if not self._stop.is_set():
            _LOG.warning("the broker ends: %s", reason)
            self._farewell = reason
            self._stop.set()

    def listens(self) -> None:
        """A client wants other lines of the log than before."""
        self._log.want(min((guest.log_level for guest in self._guests), default=SILENT))

    def left(self, guest: Guest) -> None:
        """A client is gone."""
        self._guests.leave(guest)
        self._note_company()
        self.listens()

    def status(self) -> bytes:
        """What people may know of it, as JSON."""
        now = time.monotonic()
        clients = [self._client(guest) for guest in self._guests if guest.is_welcome]
        return msgspec.json.encode(
            {
                "name": self._config.name,
                "pid": os.getpid(),
                "version": __version__,
                "up_s": round(now - self._began_at, 3),
                "linger_s": self._config.linger_s,
                "ring_bytes": self._config.ring_bytes,
                "refused": self._door.refused,
                "clients": clients,
                "websockets": self.table.status(),
            }
        )

    # Within.

    def _client(self, guest: Guest) -> dict[str, Any]:
        return {
            "client": guest.number,
            "pid": guest.peer.pid,
            "name": guest.name,
            "asks": guest.has_asked,
            "websockets": self.table.shared_by(guest),
        }

    def _enter(self, sock: socket.socket, peer: Peer) -> None:
        self._note_company()
        guest = Guest(self._guests.number(), sock, peer, self, time.monotonic())
        self._guests.enter(guest)
        if len(self._guests) > MOST_CLIENTS:
            guest.send_away("CAPACITY", f"there are {MOST_CLIENTS} clients already")

    def _note_company(self) -> None:
        """Begin to count how long it is alone, while somebody is still there."""
        self._alone_since = time.monotonic()

    def _tick(self) -> None:
        """Beat, miss those who do not, and see whether anybody is left."""
        now = time.monotonic()
        self._guests.look_after(now, self._config.client_dead_s)
        if any(guest.is_welcome and not guest.has_asked for guest in self._guests):
            self._note_company()
        if now - self._alone_since >= self._config.linger_s:
            self._door.look()
            if now - self._alone_since >= self._config.linger_s:
                self.stop("nobody needed it")
        if not self._stop.is_set():
            self._ticker = asyncio.get_running_loop().call_later(self._config.beat_s, self._tick)

    def _tell_line(self, level: int, line: str) -> None:
        shown = self.table.hide(line)
        for guest in self._guests:
            guest.log(level, shown)

    def _end(self) -> None:
        """Let nobody in, and close everything upstream; the group awaits it."""
        self._door.close()
        if self._ticker is not None:
            self._ticker.cancel()
        self.table.close(f"the broker ends: {self._farewell}")
