"""A gateway's topics for programs of the same user: where they are found, and who reads them.

Theory of operation
===================
Of several that offer topics under one name one is found, the one that could bind the address
(:func:`feedmux.wire.local_address.gateway_address`); all others try again with each beat. So when a worker
dies another worker of its gateway takes its place, and when a gateway ends another one may::

    waiting ──the place is free──▶ offering ──drain──▶ shut ──▶ over: everybody has read why
       └───────────────────────────drain───────────────┘

What a program reads, and how, is :mod:`feedmux.share.reading`'s.

Invariants: no program counts as a client of the gateway, and none can make another one wait; nothing is
left of a program that is gone, and of the whole when :meth:`LocalOffer.stop` returns.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from pathlib import Path
from typing import Final

from feedmux.client.peer import Peer
from feedmux.core.stats import Rule, Rules
from feedmux.model.ports import Statistics
from feedmux.model.share_errors import ForeignGateway
from feedmux.share.company import Company
from feedmux.share.config import OfferConfig
from feedmux.share.door import Door, holder_of, take_place
from feedmux.share.reader import Reader
from feedmux.share.reading import Means, Reading
from feedmux.wire.local_address import gateway_address
from feedmux.wire.local_records import Welcome

_LOG: Final = logging.getLogger(__name__)
_FAREWELL: Final = "the gateway is going away"

RULES: Final[Rules] = {"is_offered": Rule.MOST}
"""Of :meth:`LocalOffer.statistics`."""


class LocalOffer:
    """What a gateway, or one of its workers, does for local programs; see *Theory of operation*.

    Args:
        config: how.
        means: makes outboxes and sessions.
        parent: the process whose other children are workers of the same gateway; 0: there are none.

    Raises:
        InvalidSetting: the name is none.
    """

    def __init__(self, config: OfferConfig, means: Means, *, parent: int = 0) -> None:
        self.config, self.means = config, means
        self._place = gateway_address(os.getuid(), config.name)
        self._parent = parent
        self._readers: Company[Reader] = Company()
        self._door: Door | None = None
        self._ticker: asyncio.TimerHandle | None = None
        self._has_looked = self._is_shut = False
        self._lifetime = self._entries = self._bytes = self._left_out = self._refused = 0

    def start(self) -> None:
        """Be found, now or as soon as nobody else is."""
        self._tick()

    async def drain(self, grace_s: float) -> None:
        """Let nobody in any more, and after so long send everybody away."""
        self._shut()
        await asyncio.sleep(grace_s)
        await self.stop()

    async def stop(self) -> None:
        """Send everybody away. May be repeated."""
        self._shut()
        for reader in self._readers:
            reader.send_off(_FAREWELL)
        await self._readers.see_off()
        if self._ticker is not None:
            self._ticker.cancel()

    def statistics(self) -> Statistics:
        """Counters of all programs that are and were; they add up by :data:`RULES`."""
        readings = [reader.reading for reader in self._readers if reader.reading is not None]
        return {
            "is_offered": self._door is not None,
            "clients": len(self._readers),
            "clients_lifetime": self._lifetime,
            "entries": self._entries + sum(reading.entries for reading in readings),
            "bytes": self._bytes + sum(reading.size_bytes for reading in readings),
            "left_out": self._left_out + sum(reading.left_out for reading in readings),
            "refused": self._refused + (self._door.refused if self._door is not None else 0),
        }

    # What readers ask for

    def welcome(self, reader: Reader) -> Welcome:
        """What a program is told that says who it is."""
        beat_ms, dead_ms = int(self.config.beat_s * 1000), int(self.config.dead_s * 1000)
        return Welcome(os.getpid(), reader.number, beat_ms, dead_ms)

    def ended(self, reading: Reading) -> None:
        """Nobody reads this any more; what was counted stays counted."""
        self._entries += reading.entries
        self._bytes += reading.size_bytes
        self._left_out += reading.left_out

    def left(self, reader: Reader) -> None:
        """A program is gone."""
        self._readers.leave(reader)

    # Within

    def _tick(self) -> None:
        """Beat, miss those who do not, and see whether the place is free."""
        if self._door is None and not self._is_shut:
            self._try_place()
        self._readers.look_after(time.monotonic(), self.config.reader_dead_s)
        self._ticker = asyncio.get_running_loop().call_later(self.config.beat_s, self._tick)

    def _try_place(self) -> None:
        try:
            listener = take_place(self._place)
        except OSError as error:
            self._complain("its topics cannot be offered to local programs: %s", error.strerror or error)
            return
        if listener is not None:
            self._has_looked = False
            self._door = Door(listener, self._enter)
            self._door.open()
            _LOG.debug("its topics are offered to local programs as %r", self.config.name)
        elif not self._has_looked:
            self._look_who_is_there()

    def _complain(self, text: str, *values: object) -> None:
        """Warn, once until the place was ours."""
        if not self._has_looked:
            self._has_looked = True
            _LOG.warning(text, *values)

    def _look_who_is_there(self) -> None:
        """Say once who has the place, unless that is a worker of this gateway."""
        holder = holder_of(self._place)
        if holder is None:
            return
        if holder.uid != os.getuid():
            self._complain("%s; its topics are not offered", ForeignGateway(self.config.name, holder.uid))
        elif not (self._parent and _parent_of(holder.pid) == self._parent):
            text = "another gateway, process %d, is the one that local programs find as %r, until it ends"
            _LOG.info(text, holder.pid, self.config.name)
        self._has_looked = True

    def _enter(self, sock: socket.socket, peer: Peer) -> None:
        reader = Reader(self._readers.number(), sock, peer, self, time.monotonic())
        self._readers.enter(reader)
        if len(self._readers) > self.config.most_readers:
            reader.send_away("CAPACITY", f"there are {self.config.most_readers} local programs already")
        else:
            self._lifetime += 1

    def _shut(self) -> None:
        """Let nobody in; the place is free for another gateway."""
        self._is_shut = True
        if self._door is not None:
            self._refused += self._door.refused
            self._door.close()
            self._door = None


def _parent_of(pid: int) -> int:
    """The parent of a process; 0 if it is gone."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0
