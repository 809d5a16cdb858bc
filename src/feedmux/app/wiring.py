"""Put a gateway together: the only module that knows concrete classes of every stage."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import AsyncIterable, Callable, Collection, Mapping
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from feedmux._native.outbox import TopicRow
from feedmux._native.text import data_frame
from feedmux.app import process, subscriptions, terms, terms_redis
from feedmux.app.bybit_url import venue_url
from feedmux.app.census import Figures
from feedmux.app.keys import local_keys
from feedmux.app.pages import Page, pages
from feedmux.app.scrapes import Scrapes
from feedmux.bus.inproc import InprocBus
from feedmux.bus.shm import RingParts, ShmReader, ShmWriter
from feedmux.bus.shm_road import make_road
from feedmux.client.clock import SystemClock
from feedmux.client.settings import LinkConfig
from feedmux.core import latency as latency_figures
from feedmux.core import stats
from feedmux.core.access import Access
from feedmux.core.increments import ObjectLimits
from feedmux.core.latency import Latency
from feedmux.core.roster import Roster
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
from feedmux.feed import market as markets
from feedmux.feed.market import Market
from feedmux.feed.shard import ShardConfig
from feedmux.feed.sources import Feeds
from feedmux.hub.hub import Hub
from feedmux.model.ports import Clock, Feed, Publisher
from feedmux.wire.place import Places
from feedmux.wire.rango_topic import VENUE as BROKER
from feedmux.wire.rango_topic import route
from feedmux.wire.stream import StreamFormat

if TYPE_CHECKING:
    from feedmux.app.settings import Settings
    from feedmux.bus.redis_node import RedisNode
    from feedmux.edge.auth import Authenticator
    from feedmux.feed.rabbitmq import RabbitMq

__all__ = ["build", "build_edge", "build_feed", "listen_for", "make_counts", "make_road", "shared_door"]

RULES: Final[stats.Rules] = {
    "server": house.RULES,
    "latency": latency_figures.RULES,
    "feeds": stats.Rule.JOIN,
    "brokers": stats.Rule.JOIN,
    "nodes": stats.Rule.JOIN,
    "process": process.RULES,
    "tokens": {"keys": stats.Rule.LEAST},
}
"""How the figures of several processes add up."""


class Edge(NamedTuple):
    """What serves clients.

    Args:
        server: all of them.
        auth: says who they are; None: nobody is asked.
        rights: what all clients share about tokens and roles.
        scrapes: answers with the metrics of the whole gateway.
    """

    server: Server
    auth: Authenticator | None
    rights: Rights
    scrapes: Scrapes

    def figures(self) -> Figures:
        """What it counts."""
        found = {"server": self.server.statistics(), "scrapes": self.scrapes.statistics()}
        return found if self.auth is None else {**found, "tokens": self.auth.statistics()}

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
    feeds = _feeds(settings, bus)
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
    feeds = _feeds(settings, writer)
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

    edge = _edge(settings, hub, latency, lambda: whole(figures()), loop=loop, door=door)
    return EdgeParts(edge, reader, figures)


def build_scraped(settings: Settings, page: Callable[[], Page], *, loop: asyncio.AbstractEventLoop) -> Server:
    """A server of its own, not started, that answers on every path of METRICS_PORT with this page."""
    config = msgspec.structs.replace(server_config(settings), **terms.scraped(settings))
    routes = Everywhere(_route(page))
    return Server(House(config, endpoints={}, routes=routes, clock=SystemClock(), loop=loop))


def _feeds(settings: Settings, publisher: Publisher) -> Feeds:
    clock = SystemClock()
    served = [_market(settings, name) for name in settings.venues]
    node = _node(settings, clock) if settings.redis_url and served else None
    drivers: dict[tuple[str, str], Feed] = {}
    for one in served:
        make = partial(markets.driver, one, clock=clock, **terms.driver(settings))
        rest = markets.figures_at_rest(one)
        source = make(publisher) if node is None else node.source(one.place, make, publisher, rest)
        drivers[one.place.venue, one.place.market] = source
    broker = _broker(settings, publisher, clock) if terms.asks_broker(settings) else None
    return Feeds(drivers, broker, node)


def _node(settings: Settings, clock: Clock) -> RedisNode:
    terms_redis.require_redis(settings)
    from feedmux.bus.redis_config import RedisConfig
    from feedmux.bus.redis_node import RedisNode
    from feedmux.core.lease import Terms

    redis, leases = RedisConfig(**terms_redis.redis(settings)), Terms(**terms_redis.leases(settings))
    return RedisNode(redis, clock=clock, terms=leases, **terms_redis.node(settings))


def _broker(settings: Settings, publisher: Publisher, clock: Clock) -> RabbitMq:
    terms.require_amqp(settings)
    from feedmux.feed.broker import BrokerConfig
    from feedmux.feed.rabbitmq import RabbitMq
    from feedmux.feed.relay import RelayLimits
    from feedmux.feed.stream import ObjectRules

    are_numbered = settings.rabbitmq_sequences == "check"
    return RabbitMq(
        publisher,
        BrokerConfig(**terms.broker(settings)),
        route=route,
        rules=ObjectRules(limits=_object_limits(settings), are_numbered=are_numbered),
        limits=RelayLimits(**terms.relay(settings)),
        clock=clock,
    )


async def survey(settings: Settings) -> Roster:
    """Ask Redis what it knows of the cluster; a FeedmuxError says that it cannot be asked."""
    terms_redis.require_redis(settings)
    from feedmux.bus import redis_survey
    from feedmux.bus.redis_config import RedisConfig

    return await redis_survey.survey(RedisConfig(**terms_redis.redis(settings)), terms_redis.prefix(settings))


async def publish(settings: Settings, messages: AsyncIterable[tuple[str, bytes]]) -> None:
    """Publish messages to RabbitMQ; a FeedmuxError says that it is not there, or refuses something."""
    terms.require_amqp(settings)
    from feedmux.feed import broker, rabbitmq

    await rabbitmq.publish(broker.BrokerConfig(**terms.broker(settings)), messages)


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
    latency, limits = Latency(), _object_limits(settings)
    return Hub(TopicRow, SystemClock(), loop.call_later, latency=latency, limits=limits), latency


def _object_limits(settings: Settings) -> ObjectLimits:
    """The same for who writes an object and who reads it, so that no reader loses what its writer has."""
    return ObjectLimits(increments=settings.object_increments, bytes=settings.object_bytes)


def _edge(
    settings: Settings,
    hub: Hub,
    latency: Latency,
    figures: Callable[[], Figures],
    *,
    loop: asyncio.AbstractEventLoop,
    door: Door | None = None,
) -> Edge:
    """The edge of a hub; ``figures`` are those of the whole gateway."""
    clock = SystemClock()
    routes: dict[str, Route] = {}
    auth = authenticator(settings) if terms.has_keys(settings) else None
    rights = Rights(
        access=Access.of(settings.rango_rbac),
        clock=clock,
        authenticate=None if auth is None else auth.identify,
        **terms.rights(settings),
    )
    served = paths(_offer(settings, hub, rights, auth))
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
    return Edge(server, auth, rights, scrapes)


def _offer(settings: Settings, hub: Hub, rights: Rights, auth: Authenticator | None) -> Offer:
    """What there is for clients, on whatever path."""
    markets_served = [_market(settings, name).place for name in settings.venues]
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


def _market(settings: Settings, name: str) -> Market:
    """What a name of ``VENUES`` stands for."""
    venue, _, market = name.partition(".")
    link, shard = LinkConfig(**terms.link(settings, venue)), ShardConfig(**terms.shard(settings, venue))
    if venue == "bybit":
        return markets.bybit(market, venue_url(settings, market), link, shard)
    if venue == "alpaca":
        return markets.alpaca(link, shard, **terms.alpaca(settings))
    return markets.deribit(settings.deribit_ws_url, link, shard)


def server_config(settings: Settings) -> ServerConfig:
    """What the settings say about the listener and its clients."""
    return ServerConfig(**terms.server(settings))


def _route(page: Callable[[], Page]) -> Route:
    return lambda: Reply(*page())
