"""Put a gateway together: the only module that knows concrete classes of every stage."""

from __future__ import annotations

import asyncio
import os
import socket
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from feedmux._native.outbox import TopicRow
from feedmux._native.text import data_frame
from feedmux.app import process, subscriptions, terms
from feedmux.app.census import Figures
from feedmux.app.keys import local_keys
from feedmux.app.local import wiring as local
from feedmux.app.pages import Page, pages
from feedmux.app.scrapes import Scrapes
from feedmux.app.sources import wiring as sources
from feedmux.bus.inproc import InprocBus
from feedmux.bus.shm import RingParts, ShmReader, ShmWriter
from feedmux.bus.shm_road import make_road
from feedmux.client.clock import SystemClock
from feedmux.core import latency as latency_figures
from feedmux.core import stats
from feedmux.core.access import Access
from feedmux.core.latency import Latency
from feedmux.edge import house
from feedmux.edge.door import Door, make_counts, shared_door
from feedmux.edge.house import House, ServerConfig
from feedmux.edge.http import Everywhere, Reply, Route
from feedmux.edge.login import Rights
from feedmux.edge.paths import Offer, paths
from feedmux.edge.rango_session import RangoSession
from feedmux.edge.server import Server, listen_for
from feedmux.edge.session import Rules, Session
from feedmux.edge.tls import Tls, TlsFiles
from feedmux.feed.sources import Feeds
from feedmux.hub.hub import Hub
from feedmux.share.offer import LocalOffer
from feedmux.wire.place import Places
from feedmux.wire.rango_topic import VENUE as BROKER
from feedmux.wire.stream import StreamFormat

if TYPE_CHECKING:
    from feedmux.app.settings import Settings
    from feedmux.edge.auth import Authenticator

__all__ = ["build", "build_edge", "build_feed", "listen_for", "make_counts", "make_road", "shared_door"]

RULES: Final[stats.Rules] = {
    "server": house.RULES,
    "latency": latency_figures.RULES,
    "feeds": stats.Rule.JOIN,
    "brokers": stats.Rule.JOIN,
    "nodes": stats.Rule.JOIN,
    "process": process.RULES,
    "tokens": {"keys": stats.Rule.LEAST},
    "local": local.RULES,
}
"""How the figures of several processes add up."""


class Edge(NamedTuple):
    """What serves clients.

    Args:
        server: all of them.
        auth: says who they are; None: nobody is asked.
        rights: what all clients share about tokens and roles.
        scrapes: answers with the metrics of the whole gateway.
        local: the topics for programs of the same user; None: they are not offered.
    """

    server: Server
    auth: Authenticator | None
    rights: Rights
    scrapes: Scrapes
    local: LocalOffer | None

    async def start(self, sockets: Iterable[socket.socket] | None = None) -> None:
        """Let clients in; see :meth:`feedmux.edge.server.Server.start`."""
        await self.server.start(sockets)
        if self.local is not None:
            self.local.start()

    async def drain(self, grace_s: float, spread_s: float) -> None:
        """Send everybody away; see :meth:`feedmux.edge.server.Server.drain`."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.server.drain(grace_s, spread_s))
            if self.local is not None:
                tasks.create_task(self.local.drain(grace_s))

    async def stop(self) -> None:
        """End at once."""
        await self.server.stop()
        if self.local is not None:
            await self.local.stop()

    def figures(self) -> Figures:
        """What it counts."""
        found = {"server": self.server.statistics(), "scrapes": self.scrapes.statistics()}
        if self.auth is not None:
            found["tokens"] = self.auth.statistics()
        if self.local is not None:
            found["local"] = self.local.statistics()
        return found

    def grant(self, roles: Mapping[str, Collection[str]]) -> None:
        """Let these roles open prefixes from now on; a stream that its reader may not have any more ends."""
        self.rights.access = Access.of(roles)
        for guest in list(self.server.house.guests):
            if isinstance(guest.session, Session | RangoSession):
                guest.session.recheck()


class Gateway(NamedTuple):
    """A gateway's parts, connected and not started."""

    edge: Edge
    hub: Hub
    latency: Latency
    feeds: Feeds


class FeedParts(NamedTuple):
    """The parts of a feed process, connected and not started."""

    writer: ShmWriter
    feeds: Feeds

    def figures(self) -> Figures:
        """What it counts."""
        return {**self.feeds.figures(), "process": process.figures()}


class EdgeParts(NamedTuple):
    """The parts of an edge process, connected and not started.

    Args:
        edge: its clients.
        reader: its end of the bus.
        figures: what it counts itself.
    """

    edge: Edge
    reader: ShmReader
    figures: Callable[[], Figures]

    async def attach(self, road: int, ring: int, page: int, bell: int) -> None:
        """Read from another feed; the descriptors are ours from now on."""
        await self.reader.attach(socket.socket(fileno=road), RingParts(ring, page, bell))


def build(settings: Settings, *, loop: asyncio.AbstractEventLoop) -> Gateway:
    """Connect venues, bus, hub and edge as ``settings`` say, all in this process.

    Raises:
        InvalidCertificate, InvalidKey: the files of TLS, or the keys of tokens, cannot be used.
    """
    bus = InprocBus()
    feeds = sources.feeds(settings, bus)
    bus.serve(feeds.source(BROKER))
    hub, latency = _hub(settings, loop)
    hub.connect(bus.reader("hub", hub))

    def figures() -> Figures:
        return {**_edge_figures(settings, edge, hub, latency), **feeds.figures()}

    edge = _edge(settings, hub, latency, figures, loop=loop)
    return Gateway(edge, hub, latency, feeds)


def build_feed(settings: Settings) -> FeedParts:
    """Connect venues and the writer's end of a bus to other processes.

    Raises:
        NoMemory: the system does not lend enough for the ring.
    """
    writer = ShmWriter(capacity=settings.shm_ring_bytes)
    feeds = sources.feeds(settings, writer)
    writer.serve(feeds.source(BROKER))
    return FeedParts(writer, feeds)


def build_edge(
    settings: Settings,
    *,
    loop: asyncio.AbstractEventLoop,
    door: Door,
    whole: Callable[[Figures], Figures],
) -> EdgeParts:
    """Connect the reader's end of a bus from another process, hub and edge.

    Args:
        settings: all of them.
        loop: the event loop.
        door: counts the clients of all edges.
        whole: of our own figures makes those of the whole gateway.

    Raises:
        InvalidCertificate, InvalidKey: the files of TLS, or the keys of tokens, cannot be used.
    """
    hub, latency = _hub(settings, loop)
    reader = ShmReader(hub)
    hub.connect(reader)

    def figures() -> Figures:
        return _edge_figures(settings, edge, hub, latency)

    edge = _edge(settings, hub, latency, lambda: whole(figures()), loop=loop, door=door, parent=os.getppid())
    return EdgeParts(edge, reader, figures)


def build_scraped(settings: Settings, page: Callable[[], Page], *, loop: asyncio.AbstractEventLoop) -> Server:
    """A server of its own, not started, that answers on every path of METRICS_PORT with this page."""
    config = msgspec.structs.replace(server_config(settings), **terms.scraped(settings))
    routes = Everywhere(_route(page))
    return Server(House(config, endpoints={}, routes=routes, clock=SystemClock(), loop=loop))


def _edge_figures(settings: Settings, edge: Edge, hub: Hub, latency: Latency) -> Figures:
    states = Counter(str(state or "pending") for state in hub.topics().values())
    figures = {
        **edge.figures(),
        "hub": hub.statistics(),
        "latency": latency.statistics(),
        "states": dict(states),
        "process": process.figures(),
    }
    if not terms.asks_broker(settings):
        return figures
    return {**figures, "subscriptions": subscriptions.count(hub.readers(), BROKER)}


def _hub(settings: Settings, loop: asyncio.AbstractEventLoop) -> tuple[Hub, Latency]:
    latency, limits = Latency(), sources.object_limits(settings)
    return Hub(TopicRow, SystemClock(), loop.call_later, latency=latency, limits=limits), latency


def _edge(
    settings: Settings,
    hub: Hub,
    latency: Latency,
    figures: Callable[[], Figures],
    *,
    loop: asyncio.AbstractEventLoop,
    door: Door | None = None,
    parent: int = 0,
) -> Edge:
    """The edge of a hub; ``figures`` are those of the whole gateway, ``parent`` is that of a worker."""
    clock = SystemClock()
    routes: dict[str, Route] = {}
    auth = authenticator(settings) if terms.has_keys(settings) else None
    rights = Rights(
        access=Access.of(settings.rango_rbac),
        clock=clock,
        authenticate=None if auth is None else auth.identify,
        **terms.rights(settings),
    )
    offer = _offer(settings, hub, rights, auth)
    served = paths(offer)
    house = House(
        server_config(settings),
        endpoints=served.endpoints,
        catch_all=served.catch_all,
        routes=routes,
        clock=clock,
        loop=loop,
        latency=latency,
        door=door,
    )
    server = Server(house, tls(settings))
    scrapes = Scrapes(figures)
    found = pages(settings, figures, lambda: server.draining, scrapes.page)
    routes.update({path: _route(page) for path, page in found.items()})
    return Edge(server, auth, rights, scrapes, local.offer(settings, offer, house, parent=parent))


def _offer(settings: Settings, hub: Hub, rights: Rights, auth: Authenticator | None) -> Offer:
    """What there is for clients, on whatever path."""
    markets_served = [sources.market(settings, name).place for name in settings.venues]
    places = Places(settings.brand, markets_served, has_broker=terms.asks_broker(settings))
    return Offer(
        hub=hub,
        places=places,
        layout=StreamFormat(places, statuses=settings.status_messages, data_frame=data_frame),
        rules=Rules(**terms.session(settings)),
        rights=rights,
        identify=None if auth is None else auth.admit,
        **terms.offer(settings),
    )


def tls(settings: Settings) -> Tls | None:
    """Read the listener's certificate; None when there is to be no TLS.

    Raises:
        InvalidCertificate: the files cannot be used.
    """
    if not settings.tls_cert:
        return None
    return Tls(TlsFiles(settings.tls_cert, settings.tls_key, settings.tls_key_password.reveal()))


def check_files(settings: Settings) -> None:
    """Read the files that settings name, and forget them.

    Raises:
        InvalidCertificate, InvalidKey, InvalidSetting: one of them cannot be used.
    """
    tls(settings)
    if terms.has_keys(settings):
        authenticator(settings)
    if terms.asks_broker(settings):
        terms.broker(settings)


def authenticator(settings: Settings) -> Authenticator:
    """Return what says who clients are; keys that are at a URL come later (:mod:`feedmux.app.keys`).

    Raises:
        InvalidKey: the keys cannot be used.
    """
    from feedmux.edge import keys
    from feedmux.edge.auth import Authenticator
    from feedmux.edge.claims import TokenRules

    enforces = settings.jwt_expiry == "enforce"
    rules = TokenRules(settings.jwt_leeway, settings.jwt_audience, settings.jwt_issuer, enforces)
    found = local_keys(settings)
    known = keys.KeySet() if found is None else keys.read(found.content, found.source, is_jwks=found.is_jwks)
    return Authenticator(known, rules, clock=SystemClock(), in_url=settings.jwt_query_token)


def server_config(settings: Settings) -> ServerConfig:
    """What the settings say about the listener and its clients."""
    return ServerConfig(**terms.server(settings))


def _route(page: Callable[[], Page]) -> Route:
    return lambda: Reply(*page())
