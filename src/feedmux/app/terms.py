"""What the settings say, in the terms of the stages: each is passed on to the stage's own configuration.

Only :mod:`feedmux.app.wiring` knows the stages, so these are dictionaries; a wrong name is found by the
type checker.
"""

from __future__ import annotations

import ssl
from importlib.util import find_spec
from typing import TYPE_CHECKING, NotRequired, TypedDict
from urllib.parse import unquote, urlsplit

from feedmux.core.outbox import OutboxLimits
from feedmux.core.reconnect import Backoff
from feedmux.model.errors import InvalidSetting

if TYPE_CHECKING:
    from feedmux.app.settings import Settings


class LinkTerms(TypedDict):
    """Of :class:`feedmux.client.settings.LinkConfig`."""

    connect_timeout_s: float
    retry_delay_s: float
    retry_multiplier: float
    max_backoff_s: float
    ping_interval_s: float
    ping_timeout_s: float
    breaker_failures: int


class ShardTerms(TypedDict):
    """Of :class:`feedmux.feed.shard.ShardConfig`."""

    batch: int
    request_rate: NotRequired[float]
    request_burst: NotRequired[float]
    silence_s: dict[str, float]


class AlpacaTerms(TypedDict):
    """Of :func:`feedmux.feed.market.alpaca`; what it holds is never shown."""

    key: str
    secret: str
    url: str


class DriverTerms(TypedDict):
    """Of :func:`feedmux.feed.market.driver`."""

    linger_s: float
    refused_memory_s: float


class SessionTerms(TypedDict):
    """Of :class:`feedmux.edge.session.Rules`."""

    max_subscriptions: int
    max_rate: int
    subscribe_timeout_s: float


class RightsTerms(TypedDict):
    """Of :class:`feedmux.edge.login.Rights`."""

    enforces_expiry: bool
    warning_s: float


class OfferTerms(TypedDict):
    """Of :class:`feedmux.edge.paths.Offer`."""

    origins: tuple[str, ...]
    statuses: bool
    speaks_rango: bool
    is_rango_everywhere: bool
    rango_message_bytes: int


class RoomTerms(TypedDict):
    """Of :func:`feedmux.app.descriptors.make_room`."""

    max_clients: int
    max_half_open: int
    local_programs: int


class LocalTerms(TypedDict):
    """Of :class:`feedmux.share.config.OfferConfig`."""

    name: str
    ring_bytes: int
    most_readers: int
    max_message_bytes: int


class BrokerTerms(TypedDict):
    """Of :class:`feedmux.feed.broker.BrokerConfig`."""

    host: str
    port: int
    user: str
    password: str
    vhost: str
    tls: ssl.SSLContext | None
    exchange: str
    exchange_type: str
    durable: bool
    auto_delete: bool
    queue_messages: int
    heartbeat_s: int
    backoff: Backoff


class RelayTerms(TypedDict):
    """Of :class:`feedmux.feed.relay.RelayLimits`."""

    body_bytes: int
    objects: int


class ServerTerms(TypedDict):
    """Of :class:`feedmux.edge.house.ServerConfig`."""

    host: str
    port: int
    max_clients: int
    max_message_bytes: int
    max_frames: int
    handshake_timeout_s: float
    max_half_open: int
    backlog: int
    close_timeout_s: float
    ping_interval_s: float
    pong_timeout_s: float
    idle_timeout_s: float
    stall_timeout_s: float
    max_lag_s: float
    send_buffer_bytes: int
    unsent_bytes: int
    outbox: OutboxLimits


class ScrapedTerms(TypedDict):
    """Of :class:`feedmux.edge.house.ServerConfig`, where METRICS_PORT differs from the other port."""

    port: int
    max_half_open: int
    backlog: int


def bybit_link(settings: Settings) -> LinkTerms:
    """How connections to Bybit behave."""
    return {
        "connect_timeout_s": settings.bybit_connect_timeout,
        "retry_delay_s": settings.bybit_reconnect_delay_initial,
        "retry_multiplier": settings.bybit_reconnect_delay_multiplier,
        "max_backoff_s": settings.bybit_reconnect_delay_max,
        "ping_interval_s": settings.bybit_ping_interval,
        "ping_timeout_s": settings.bybit_ping_timeout,
        "breaker_failures": 0,  # the backoff is enough: everybody waits for this feed
    }


def deribit_link(settings: Settings) -> LinkTerms:
    """How connections to Deribit behave."""
    return {
        "connect_timeout_s": settings.deribit_connect_timeout,
        "retry_delay_s": settings.deribit_reconnect_delay_initial,
        "retry_multiplier": settings.deribit_reconnect_delay_multiplier,
        "max_backoff_s": settings.deribit_reconnect_delay_max,
        "ping_interval_s": settings.deribit_ping_interval,
        "ping_timeout_s": settings.deribit_ping_timeout,
        "breaker_failures": 0,  # the backoff is enough: everybody waits for this feed
    }


def alpaca_link(settings: Settings) -> LinkTerms:
    """How connections to Alpaca behave."""
    return {
        "connect_timeout_s": settings.alpaca_connect_timeout,
        "retry_delay_s": settings.alpaca_reconnect_delay_initial,
        "retry_multiplier": settings.alpaca_reconnect_delay_multiplier,
        "max_backoff_s": settings.alpaca_reconnect_delay_max,
        "ping_interval_s": settings.alpaca_ping_interval,
        "ping_timeout_s": settings.alpaca_ping_timeout,
        "breaker_failures": 0,  # the backoff is enough: everybody waits for this feed
    }


def bybit_shard(settings: Settings) -> ShardTerms:
    """What is expected of a connection to Bybit."""
    return {
        "batch": settings.bybit_max_symbols_per_subscription,
        "request_rate": settings.bybit_request_rate,
        "request_burst": max(1.0, settings.bybit_request_rate),
        "silence_s": _silence(settings),
    }


def deribit_shard(settings: Settings) -> ShardTerms:
    """What is expected of a connection to Deribit."""
    return {
        "batch": settings.deribit_max_channels_per_subscription,
        "request_rate": settings.deribit_request_rate,
        "silence_s": _silence(settings),
    }


def alpaca_shard(settings: Settings) -> ShardTerms:
    """What is expected of the connection to Alpaca."""
    return {"batch": settings.alpaca_max_symbols_per_subscription, "silence_s": _silence(settings)}


def link(settings: Settings, venue: str) -> LinkTerms:
    """How connections to a venue behave."""
    return {"bybit": bybit_link, "deribit": deribit_link, "alpaca": alpaca_link}[venue](settings)


def shard(settings: Settings, venue: str) -> ShardTerms:
    """What is expected of a connection to a venue."""
    return {"bybit": bybit_shard, "deribit": deribit_shard, "alpaca": alpaca_shard}[venue](settings)


def alpaca(settings: Settings) -> AlpacaTerms:
    """Where Alpaca is, and who we are there."""
    return {
        "key": settings.apca_api_key_id.reveal(),
        "secret": settings.apca_api_secret_key.reveal(),
        "url": settings.alpaca_ws_url.replace("{feed}", settings.alpaca_feed),
    }


def driver(settings: Settings) -> DriverTerms:
    """How feeds treat what is no longer wanted, and what was refused."""
    return {"linger_s": settings.unsubscribe_linger, "refused_memory_s": settings.refused_memory}


def session(settings: Settings) -> SessionTerms:
    """What every client may do."""
    return {
        "max_subscriptions": settings.max_subscriptions_per_client,
        "max_rate": settings.max_message_rate_per_client,
        "subscribe_timeout_s": settings.subscribe_timeout,
    }


def rights(settings: Settings) -> RightsTerms:
    """What a token is worth."""
    return {"enforces_expiry": settings.jwt_expiry == "enforce", "warning_s": settings.jwt_warning}


def offer(settings: Settings) -> OfferTerms:
    """What is spoken, and to whom."""
    return {
        "origins": settings.api_cors_origins,
        "statuses": settings.status_messages,
        "speaks_rango": asks_broker(settings),
        "is_rango_everywhere": settings.dialect == "rango",
        "rango_message_bytes": settings.rango_max_message_bytes,
    }


def room(settings: Settings) -> RoomTerms:
    """For how many there have to be descriptors."""
    return {
        "max_clients": settings.max_clients_total,
        "max_half_open": settings.max_half_open,
        "local_programs": settings.local_max_clients if settings.local else 0,
    }


def local(settings: Settings) -> LocalTerms:
    """How programs of the same user are served."""
    return {
        "name": settings.local_name,
        "ring_bytes": settings.local_ring_bytes,
        "most_readers": settings.local_max_clients,
        "max_message_bytes": settings.client_max_message_bytes,
    }


def server(settings: Settings) -> ServerTerms:
    """What the listener and its clients are bound to."""
    return {
        "host": settings.host,
        "port": settings.port,
        "max_clients": settings.max_clients_total,
        "max_message_bytes": settings.client_max_message_bytes,
        "max_frames": 2 * settings.max_message_rate_per_client,
        "handshake_timeout_s": settings.handshake_timeout,
        "max_half_open": settings.max_half_open,
        "backlog": settings.accept_backlog,
        "close_timeout_s": settings.close_timeout,
        "ping_interval_s": settings.client_ping_interval,
        "pong_timeout_s": settings.client_ping_timeout,
        "idle_timeout_s": settings.client_idle_timeout,
        "stall_timeout_s": settings.fanout_callback_timeout,
        "max_lag_s": settings.client_max_lag,
        "send_buffer_bytes": settings.send_buffer_bytes,
        "unsent_bytes": settings.unsent_bytes,
        "outbox": OutboxLimits(
            settings.outbox_max_frames, settings.outbox_max_bytes, gaps=settings.slow_policy == "gap"
        ),
    }


def scraped(settings: Settings) -> ScrapedTerms:
    """Where the metrics have a port of their own: a few ask, so there is room for few."""
    return {"port": settings.metrics_port, "max_half_open": 64, "backlog": 64}


def broker(settings: Settings) -> BrokerTerms:
    """Where RabbitMQ is; a URL says it in the place of the other settings.

    Raises:
        InvalidSetting: the file of authorities cannot be used.
    """
    url = urlsplit(settings.rabbitmq_url.reveal())
    is_url, is_secure = bool(url.scheme), url.scheme == "amqps"
    password = settings.rabbitmq_password.reveal()
    return {
        "host": url.hostname or settings.rabbitmq_host,
        "port": (url.port or (5671 if is_secure else 5672)) if is_url else settings.rabbitmq_port,
        "user": unquote(url.username or "guest") if is_url else settings.rabbitmq_user,
        "password": unquote(url.password or "guest") if is_url else password,
        "vhost": unquote(url.path[1:]) or "/" if is_url else settings.rabbitmq_vhost,
        "tls": authorities("RABBITMQ_CA", settings.rabbitmq_ca) if is_secure else None,
        "exchange": settings.rabbitmq_exchange,
        "exchange_type": settings.rabbitmq_exchange_type,
        "durable": settings.rabbitmq_exchange_durable,
        "auto_delete": settings.rabbitmq_exchange_auto_delete,
        "queue_messages": settings.rabbitmq_queue_messages,
        "heartbeat_s": settings.rabbitmq_heartbeat,
        "backoff": Backoff(
            initial=min(0.5, settings.rabbitmq_reconnect_delay_max),
            multiplier=2.0,
            ceiling=settings.rabbitmq_reconnect_delay_max,
        ),
    }


def require_amqp(settings: Settings) -> None:
    """See that the library that speaks to RabbitMQ is there.

    Raises:
        InvalidSetting: a RabbitMQ is named, and nothing here could ask it.
    """
    if find_spec("aio_pika") is None:
        expected = "nothing, or an installation that speaks AMQP: pip install 'feedmux[rabbitmq]'"
        raise InvalidSetting("RABBITMQ_HOST", settings.rabbitmq_host, expected)


def relay(settings: Settings) -> RelayTerms:
    """What is taken of RabbitMQ, and kept."""
    return {"body_bytes": settings.rabbitmq_max_body_bytes, "objects": settings.objects_max}


def authorities(setting: str, path: str) -> ssl.SSLContext:
    """Whom a server's certificate is checked with: those of a PEM file, or the system's.

    Raises:
        InvalidSetting: the file cannot be used.
    """
    try:
        return ssl.create_default_context(cafile=path or None)
    except OSError as error:  # ssl.SSLError is one
        expected = f"a readable PEM file of certificates ({error.strerror or error})"
        raise InvalidSetting(setting, path, expected) from None


def asks_broker(settings: Settings) -> bool:
    """Whether there is a RabbitMQ to ask."""
    return bool(settings.rabbitmq_host or settings.rabbitmq_url)


def has_keys(settings: Settings) -> bool:
    """Whether there are, or will be, keys to check tokens with."""
    return bool(settings.jwt_public_key or settings.jwt_public_key_file or settings.jwt_jwks)


def _silence(settings: Settings) -> dict[str, float]:
    return {"ticker": settings.ticker_silence, "kline": settings.kline_silence}
