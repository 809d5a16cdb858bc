"""A gateway of several processes: a parent that holds no data, a feed, and workers that serve clients.

Theory of operation
===================
The parent starts the others and keeps them running. It owns what has to outlive them: the listening
sockets, which it lends, so that a client that waits in a dead worker's queue is served by its
successor; the page in which workers count their clients; and one control socket for each child::

    child ends                  what follows
    a worker                    its clients are counted no more, another one gets its listener and its place
    the feed                    workers tell their clients; another feed takes over, with another ring
    one that never was ready    the gateway ends: it would fail again
    too often                   the gateway ends
    the parent                  every child's control socket ends, and so do they

A worker that is ready is *joined* to a feed that is ready: both get the ends of a socket, a page and a bell,
the worker the ring too. Each second children say what they have counted, and workers get the sum.

At the end workers send their clients away first; then the feed goes.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from typing import Final

from feedmux.app import census, metrics_port, process
from feedmux.app.census import Figures
from feedmux.app.control import exactly
from feedmux.app.member import Member
from feedmux.app.messages import (
    BeginEdge,
    BeginFeed,
    Crowd,
    FromEdge,
    FromFeed,
    Leave,
    Part,
    Reader,
    Ready,
    Reload,
    Source,
    Whole,
)
from feedmux.app.packed import pack
from feedmux.app.rbac import Roles
from feedmux.app.scrapes import Scrapes
from feedmux.app.settings import Settings
from feedmux.app.wiring import RULES, listen_for, make_counts, make_road, server_config
from feedmux.model.errors import FeedmuxError

log = logging.getLogger("feedmux.workers")

SUMS_S: Final = 1.0
_PATIENCE_S: Final = 10.0
"""How much longer than it may take the end of a child is waited for before it is killed."""


class Workers:
    """The parent of one gateway.

    Args:
        settings: all of them.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._counts = make_counts()
        self._listeners: list[list[socket.socket]] = []
        self._feed = Member("the feed process", FromFeed, self._begin_feed, self._hear_feed, self._feed_ended)
        self._edges = [
            Member(f"worker {place + 1}", FromEdge, self._begin_edge, self._hear_edge, self._edge_ended)
            for place in range(settings.workers)
        ]
        self._ring = -1
        self._parts: dict[Member, Figures] = {}
        self._likes: dict[frozenset[str], Figures] = {}
        self._past: Figures = {}
        self._last_feed: Figures = {"feeds": []}
        self._spent: Figures = {}
        """What sources counted in feed processes before the last one."""
        self._blind_since = 0.0
        self._scrapes = Scrapes(self.statistics)
        self._ready = asyncio.Event()
        self._failed: FeedmuxError | None = None

    @property
    def port(self) -> int:
        """The port that is listened on."""
        return int(self._listeners[0][0].getsockname()[1])

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until ``stop``; then send the clients away, and end every child.

        Raises:
            CannotListen: the address is taken, or not ours.
            FeedmuxError: a child cannot begin, or ends too often.
        """
        self._listeners = await listen_for(server_config(self._settings), len(self._edges))
        try:
            async with metrics_port.served(self._settings, self._scrapes.page), asyncio.TaskGroup() as tasks:
                for member in (self._feed, *self._edges):
                    tasks.create_task(self._keep(member, stop))
                sums = tasks.create_task(self._add_up())
                announcing = tasks.create_task(self._announce())
                await stop.wait()
                announcing.cancel()
                await self._leave()
                sums.cancel()
        finally:
            for listeners in self._listeners:
                for sock in listeners:
                    sock.close()
            if self._ring >= 0:
                os.close(self._ring)
            os.close(self._counts.descriptor)
        if self._failed is not None:
            raise self._failed

    def reload(self, roles: Roles | None) -> None:
        """Have every worker read its certificate again, and let other roles open prefixes.

        Args:
            roles: of every prefix; None: they stay as they are.
        """
        if roles is not None:
            self._settings = self._settings.model_copy(update={"rango_rbac": roles})
            log.info("SIGHUP: roles open %s", ", ".join(roles) or "no prefix")
        for edge in self._edges:
            edge.send(Reload(self._settings.rango_rbac))

    def statistics(self) -> Figures:
        """What all have counted, the children as of the last second, and this process itself."""
        own = {"process": process.figures(), "scrapes": self._scrapes.statistics()}
        parts = [*self._parts.values(), self._past, own]
        if self._blind_since:
            parts.append(census.blind(self._last_feed, time.monotonic() - self._blind_since))
        total = census.whole(parts, RULES)
        return census.once(census.within(census.resumed(total, self._spent)))

    # Children.

    async def _keep(self, member: Member, stop: asyncio.Event) -> None:
        try:
            await member.keep()
        except FeedmuxError as error:
            self._failed = error
            stop.set()

    async def _announce(self) -> None:
        await self._ready.wait()
        scheme = "wss" if self._settings.tls_cert else "ws"
        count = len(self._edges)
        log.info("Listening on %s://%s:%d/ws with %d workers", scheme, self._settings.host, self.port, count)

    async def _leave(self) -> None:
        """Let the workers send their clients away, then the feed go."""
        log.info("Going away: %d clients are sent away", self._counts.tally.total)
        patience_s = self._settings.drain_grace + self._settings.drain_seconds + _PATIENCE_S
        await asyncio.gather(*(edge.leave(Leave(), patience_s) for edge in self._edges))
        await self._feed.leave(Leave(), _PATIENCE_S)

    def _mark_ready(self) -> None:
        if all(member.is_ready for member in (self._feed, *self._edges)):
            self._ready.set()

    # The feed.

    def _begin_feed(self, member: Member) -> None:
        member.send(BeginFeed(pack(self._settings)))

    def _hear_feed(self, member: Member, message: FromFeed, descriptors: list[int]) -> None:
        if isinstance(message, Part):
            exactly(descriptors, 0)
            self._count(member, message.figures, census.OF_FEED)
            if self._blind_since:
                self._spent = census.resumed(self._last_feed, self._spent)
                self._blind_since = 0.0
            return
        (ring,) = exactly(descriptors, 1)
        if self._ring >= 0:
            os.close(self._ring)
        self._ring = ring
        member.is_ready = True
        self._mark_ready()
        for edge in self._edges:
            self._join(edge)

    def _feed_ended(self, member: Member) -> None:
        part = self._parts.pop(member, None)
        if part is not None:
            self._last_feed = part
            self._remember(part)
        self._blind_since = self._blind_since or time.monotonic()
        if self._ring >= 0:
            os.close(self._ring)
        self._ring = -1

    # Workers.

    def _begin_edge(self, member: Member) -> None:
        place = self._edges.index(member)
        lent = [sock.fileno() for sock in self._listeners[place]]
        figures = dict(self.statistics())
        begin = BeginEdge(pack(self._settings), place, figures if census.is_whole(figures) else {})
        member.send(begin, [self._counts.descriptor, *lent])

    def _hear_edge(self, member: Member, message: FromEdge, descriptors: list[int]) -> None:
        exactly(descriptors, 0)
        if isinstance(message, Ready):
            member.is_ready = True
            self._join(member)
            if self._ready.is_set():
                log.info("%s serves again", member.name)
            self._mark_ready()
        else:
            self._count(member, message.figures, census.OF_EDGE)

    def _edge_ended(self, member: Member) -> None:
        self._counts.tally.clear(self._edges.index(member))
        part = self._parts.pop(member, None)
        if part is not None:
            self._remember(part)

    def _join(self, edge: Member) -> None:
        """Let a worker read what the feed writes, once both are ready."""
        if not (edge.is_ready and self._feed.is_ready):
            return
        road = make_road()
        self._feed.send(Reader(edge.name), road.writers)
        socket_, page, bell = road.readers
        edge.send(Source(), [socket_, self._ring, page, bell])
        road.close()

    def _count(self, member: Member, figures: Figures, needed: frozenset[str]) -> None:
        """Believe what a child has counted, if it is of the kind that the first one of its kind was."""
        census.check(figures, self._likes.get(needed, figures), needed, RULES)
        self._likes.setdefault(needed, figures)
        self._parts[member] = figures

    def _remember(self, part: Figures) -> None:
        """A child has ended: what it counted stays counted."""
        self._past = census.whole([self._past, census.remains(part)], RULES)

    async def _add_up(self) -> None:
        while True:
            await asyncio.sleep(SUMS_S)
            if self._feed.is_ready:
                self._feed.send(Crowd(self.port, self._counts.tally.total))
            figures = dict(self.statistics())
            if census.is_whole(figures):
                for edge in self._edges:
                    edge.send(Whole(figures))
