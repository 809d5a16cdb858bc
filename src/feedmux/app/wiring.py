"""Put a gateway together: the only module that knows concrete classes of every stage."""

from __future__ import annotations

import asyncio
import random
import socket
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Final, NamedTuple

from feedmux._native.outbox import TopicRow
from feedmux._native.text import MergedText, ObjectText, data_frame
from feedmux.app import census, metrics
from feedmux.app.census import Figures
from feedmux.app.config import venue_url
from feedmux.app.keys import local_keys
from feedmux.app.settings import Settings
from feedmux.bus.inproc import InprocBus
from feedmux.bus.shm import RingParts, ShmReader, ShmWriter
from feedmux.bus.shm_road import make_road
from feedmux.client.carrier import Carrier
from feedmux.client.clock import SystemClock
from feedmux.client.settings import LinkConfig
from feedmux.client.user import CarrierUser
from feedmux.core import latency as latency_figures
from feedmux.core import stats
from feedmux.core.latency import Latency
from feedmux.core.outbox import OutboxLimits
from feedmux.edge import claims, house, keys
from feedmux.edge.auth import Authenticator
from feedmux.edge.door import Door, make_counts, shared_door
from feedmux.edge.house import House, ServerConfig
from feedmux.edge.http import Reply, Route
from feedmux.edge.server import Server, listen_for
from feedmux.edge.session import Peer, Rules, Session
from feedmux.edge.tls import Tls, TlsFiles
from feedmux.feed.driver import Driver, DriverConfig
from feedmux.feed.shard import ShardConfig
from feedmux.feed.sources import Sources
from feedmux.feed.writer import MakeMerge
from feedmux.hub.hub import Hub
from feedmux.model.ports import Clock, Outlet, Publisher
from feedmux.model.venue import Venue
from feedmux.venue import deribit
from feedmux.venue.bybit import INTERVALS, Bybit
from feedmux.venue.bybit_data import TICKER_PLAN
from feedmux.wire.place import Place, Places
from feedmux.wire.stream import StreamFormat

__all__ = ["build", "build_edge", "build_feed", "listen_for", "make_counts", "make_road", "shared_door"]

RULES: Final[stats.Rules] = {
    "server": house.RULES,
    "latency": latency_figures.RULES,
    "feeds": stats.Rule.JOIN,
}
"""How the figures of several processes add up."""

LABELS = {"linear": "futures", "spot": "spot", "inverse": "inverse"}
"""The word that stands for a Bybit market in stream names."""


class Gateway(NamedTuple):
    """A gateway's parts, connected and not started."""

    server: Server
    hub: Hub
    latency: Latency
    drivers: tuple[Driver, ...]
    auth: Authenticator


class Served(NamedTuple):
    """One venue and market as a gateway serves it.

    Args:
        venue: its codec.
        place: how users name it.
        url: where it is.
        link: how its connections behave.
        shard: what is expected of them.
        merging: what merges and writes a ticker that comes in parts; the codec writes it if absent.
    """

    venue: Venue
    place: Place
    url: str
    link: LinkConfig
    shard: ShardConfig
    merging: MakeMerge | None = None


class FeedParts(NamedTuple):
    """The parts of a feed process, connected and not started."""

    writer: ShmWriter
    drivers: tuple[Driver, ...]

    def figures(self) -> Figures:
        """What it counts."""
        return {"feeds": [driver.statistics() for driver in self.drivers]}


class EdgeParts(NamedTuple):
    """The parts of an edge process, connected and not started.

    Args:
        server: its clients.
        reader: its end of the bus.
        figures: what it counts itself.
        auth: says who they are.
    """

    server: Server
    reader: ShmReader
    figures: Callable[[], Figures]
    auth: Authenticator

    async def attach(self, road: int, ring: int, page: int, bell: int) -> None:
        """Read from another feed; the descriptors are ours from now on."""
        await self.reader.attach(socket.socket(fileno=road), RingParts(ring, page, bell))


def build(settings: Settings, *, loop: asyncio.AbstractEventLoop) -> Gateway:
    """Connect venues, bus, hub and edge as ``settings`` say, all in this process.

    Raises:
        InvalidCertificate, InvalidKey: the files of TLS, or the keys of tokens, cannot be used.
    """
    bus = InprocBus()
    drivers = _drivers(settings, bus)
    bus.serve(Sources(drivers))
    hub, latency = _hub(loop)
    hub.connect(bus.reader("hub", hub))
    feeds = tuple(drivers.values())

    def figures() -> Figures:
        feed = {"feeds": [driver.statistics() for driver in feeds]}
        return {**_edge_figures(server, hub, latency), **feed}

    server = _server(settings, hub, latency, figures, loop=loop)
    return Gateway(server, hub, latency, feeds, authenticator(settings))


def build_feed(settings: Settings) -> FeedParts:
    """Connect venues and the writer's end of a bus to other processes.

    Raises:
        NoMemory: the system does not lend enough for the ring.
    """
    writer = ShmWriter(capacity=settings.shm_ring_bytes)
    drivers = _drivers(settings, writer)
    writer.serve(Sources(drivers))
    return FeedParts(writer, tuple(drivers.values()))


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
    hub, latency = _hub(loop)
    reader = ShmReader(hub)
    hub.connect(reader)

    def figures() -> Figures:
        return _edge_figures(server, hub, latency)

    server = _server(settings, hub, latency, lambda: whole(figures()), loop=loop, door=door)
    return EdgeParts(server, reader, figures, authenticator(settings))


def _drivers(settings: Settings, publisher: Publisher) -> dict[tuple[str, str], Driver]:
    clock = SystemClock()
    served = [_served(settings, name) for name in settings.venues]
    return {(one.place.venue, one.place.market): _driver(settings, one, publisher, clock) for one in served}


def _edge_figures(server: Server, hub: Hub, latency: Latency) -> Figures:
    states = Counter(str(state or "pending") for state in hub.topics().values())
    return {
        "server": server.statistics(),
        "hub": hub.statistics(),
        "latency": latency.statistics(),
        "states": dict(states),
    }


def _hub(loop: asyncio.AbstractEventLoop) -> tuple[Hub, Latency]:
    latency = Latency()
    return Hub(TopicRow, SystemClock(), loop.call_later, latency=latency), latency


def _server(
    settings: Settings,
    hub: Hub,
    latency: Latency,
    figures: Callable[[], Figures],
    *,
    loop: asyncio.AbstractEventLoop,
    door: Door | None = None,
) -> Server:
    """The edge of a hub; ``figures`` are those of the whole gateway."""
    clock = SystemClock()
    places = Places(settings.brand, [_served(settings, name).place for name in settings.venues])
    layout = stream_format(places, statuses=settings.status_messages)
    rules = _rules(settings)

    def make_session(peer: Peer, outlet: Outlet) -> Session:
        return Session(peer, outlet=outlet, hub=hub, layout=layout, places=places, rules=rules, clock=clock)

    routes: dict[str, Route] = {}
    house = House(
        server_config(settings),
        make_session=make_session,
        routes=routes,
        clock=clock,
        loop=loop,
        latency=latency,
        door=door,
    )
    server = Server(house, tls(settings))
    routes.update(_routes(server, figures, settings))
    return server


def tls(settings: Settings) -> Tls | None:
    """Read the listener's certificate; None when there is to be no TLS.

    Raises:
        InvalidCertificate: the files cannot be used.
    """
    if not settings.tls_cert:
        return None
    return Tls(TlsFiles(settings.tls_cert, settings.tls_key, settings.tls_key_password.reveal()))


def authenticator(settings: Settings) -> Authenticator:
    """Return what says who clients are; keys that are at a URL come later (:mod:`feedmux.app.keys`).

    Raises:
        InvalidKey: the keys cannot be used.
    """
    rules = claims.TokenRules(
        settings.jwt_leeway, settings.jwt_audience, settings.jwt_issuer, settings.jwt_expiry == "enforce"
    )
    found = local_keys(settings)
    known = keys.KeySet() if found is None else keys.read(found.content, found.source, is_jwks=found.is_jwks)
    return Authenticator(known, rules, clock=SystemClock(), in_url=settings.jwt_query_token)


def _driver(settings: Settings, served: Served, publisher: Publisher, clock: Clock) -> Driver:
    config = DriverConfig(
        linger_s=settings.unsubscribe_linger,
        refused_memory_s=settings.refused_memory,
        shard=served.shard,
    )
    return Driver(
        served.venue,
        publisher,
        make_link=partial(_link, served.url, served.link, clock),
        config=config,
        clock=clock,
        merging=served.merging,
    )


def _served(settings: Settings, name: str) -> Served:
    """What a name of ``VENUES`` stands for."""
    venue, _, market = name.partition(".")
    return _deribit(settings) if venue == deribit.NAME else _bybit(settings, market)


def _bybit(settings: Settings, market: str) -> Served:
    return Served(
        Bybit(market),
        Place(f"bybit.{market}", "bybit", market, LABELS[market], INTERVALS),
        venue_url(settings, market),
        LinkConfig(
            connect_timeout_s=settings.bybit_connect_timeout,
            retry_delay_s=settings.bybit_reconnect_delay_initial,
            retry_multiplier=settings.bybit_reconnect_delay_multiplier,
            max_backoff_s=settings.bybit_reconnect_delay_max,
            ping_interval_s=settings.bybit_ping_interval,
            ping_timeout_s=settings.bybit_ping_timeout,
            breaker_failures=0,  # the backoff is enough: everybody waits for this feed
        ),
        ShardConfig(
            batch=settings.bybit_max_symbols_per_subscription,
            request_rate=settings.bybit_request_rate,
            request_burst=max(1.0, settings.bybit_request_rate),
            silence_s=_silence(settings),
        ),
        merging(),
    )


def _deribit(settings: Settings) -> Served:
    return Served(
        deribit.Deribit(),
        Place(deribit.NAME, deribit.NAME, deribit.MARKET, deribit.NAME, deribit.INTERVALS),
        settings.deribit_ws_url,
        LinkConfig(
            connect_timeout_s=settings.deribit_connect_timeout,
            retry_delay_s=settings.deribit_reconnect_delay_initial,
            retry_multiplier=settings.deribit_reconnect_delay_multiplier,
            max_backoff_s=settings.deribit_reconnect_delay_max,
            ping_interval_s=settings.deribit_ping_interval,
            ping_timeout_s=settings.deribit_ping_timeout,
            breaker_failures=0,  # the backoff is enough: everybody waits for this feed
        ),
        ShardConfig(
            batch=settings.deribit_max_channels_per_subscription,
            request_rate=settings.deribit_request_rate,
            silence_s=_silence(settings),
        ),
    )


def _silence(settings: Settings) -> dict[str, float]:
    return {"ticker": settings.ticker_silence, "kline": settings.kline_silence}


def merging() -> MakeMerge:
    """How tickers of Bybit are merged and written."""
    how = ObjectText(TICKER_PLAN)
    return lambda topic: MergedText(how, topic.instrument)


def stream_format(places: Places, *, statuses: bool = True) -> StreamFormat:
    """The format of a data message as a gateway runs it."""
    return StreamFormat(places, statuses=statuses, data_frame=data_frame)


def _link(url: str, config: LinkConfig, clock: Clock, user: CarrierUser) -> Carrier:
    return Carrier(url, user, config=config, clock=clock, dice=random.SystemRandom())


def _rules(settings: Settings) -> Rules:
    return Rules(
        max_subscriptions=settings.max_subscriptions_per_client,
        max_rate=settings.max_message_rate_per_client,
        subscribe_timeout_s=settings.subscribe_timeout,
    )


def server_config(settings: Settings) -> ServerConfig:
    """What the settings say about the listener and its clients."""
    return ServerConfig(
        host=settings.host,
        port=settings.port,
        max_clients=settings.max_clients_total,
        max_message_bytes=settings.client_max_message_bytes,
        max_frames=2 * settings.max_message_rate_per_client,
        handshake_timeout_s=settings.handshake_timeout,
        max_half_open=settings.max_half_open,
        backlog=settings.accept_backlog,
        close_timeout_s=settings.close_timeout,
        ping_interval_s=settings.client_ping_interval,
        pong_timeout_s=settings.client_ping_timeout,
        idle_timeout_s=settings.client_idle_timeout,
        stall_timeout_s=settings.fanout_callback_timeout,
        max_lag_s=settings.client_max_lag,
        send_buffer_bytes=settings.send_buffer_bytes,
        unsent_bytes=settings.unsent_bytes,
        outbox=OutboxLimits(
            settings.outbox_max_frames, settings.outbox_max_bytes, gaps=settings.slow_policy == "gap"
        ),
    )


def _routes(server: Server, figures: Callable[[], Figures], settings: Settings) -> dict[str, Route]:
    def now() -> metrics.Snapshot:
        return census.snapshot(figures())

    routes: dict[str, Route] = {
        "/": lambda: Reply(200, metrics.about(settings.brand)),
        "/ready": lambda: Reply(503, {"ok": False}) if server.draining else Reply(200, {"ok": True}),
        "/stats": lambda: Reply(200, metrics.stats(now(), max_clients=settings.max_clients_total)),
    }
    if settings.health_check_enabled:
        routes["/health"] = lambda: Reply(*metrics.health(now()))
    if settings.metrics_enabled:
        routes["/metrics"] = lambda: Reply(200, metrics.prometheus(now()), (), metrics.CONTENT_TYPE)
    return routes
