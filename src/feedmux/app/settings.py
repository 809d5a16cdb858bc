"""Declare every setting once: name, type, bounds, unit, default and one sentence.

The environment name is the attribute's name in capitals. Everything that speaks about
settings (``feedmux config print|check``, docs/reference/config.md, error texts) is read
from here. A class is a section, its docstring the section's title; :class:`Settings` is
all of them, flat. Only :mod:`feedmux.app.config` reads the world; ``Settings()`` alone
is the defaults, whatever the environment says.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import NoDecode

from feedmux.app.authentication import Authentication
from feedmux.app.secret import Secret
from feedmux.app.section import PowerOfTwo, RedisUrl, Section, Url, auto, key, lower, split, upper

Category = Literal["linear", "spot", "inverse"]
LogLevel = Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]
VenueName = Literal["bybit.linear", "bybit.spot", "bybit.inverse", "deribit"]

NO_CLUSTER = "clustering is not available in this version; one node serves by itself"


def _without_repeats(names: tuple[VenueName, ...]) -> tuple[VenueName, ...]:
    return tuple(dict.fromkeys(names))


Venues = Annotated[tuple[VenueName, ...], NoDecode, BeforeValidator(split), AfterValidator(_without_repeats)]


class Server(Section):
    """The server"""

    host: str = key("0.0.0.0", "Address that the server listens on.", min_length=1, expected="an address")  # noqa: S104
    port: int = key(
        8000, "TCP port that the server listens on; 0 lets the system choose one.", between=(0, 65535)
    )
    brand: str = key(
        "mudrex",
        "First word of every stream name, and the `source` of every message.",
        pattern=r"^[a-z0-9][a-z0-9_-]{0,31}$",
        expected="1 to 32 of a-z, 0-9, _ and -",
    )
    environment: str = key(
        "production",
        "Name of the deployment; `production` turns JSON log lines on.",
        min_length=1,
        expected="a name",
    )
    debug: bool = key(False, "Log at DEBUG, whatever LOG_LEVEL says.")
    status_messages: bool = key(
        True, "Tell the subscribers of a stream when its state changes (live, stale, reconnecting, refused)."
    )
    health_check_enabled: bool = key(True, "Answer `GET /health`.")
    metrics_enabled: bool = key(True, "Answer `GET /metrics`.")
    drain_grace: float = key(
        0.0,
        "How long clients stay after a stop was asked for, while new ones are turned away with 503.",
        between=(0, 3600),
        unit="s",
    )
    drain_seconds: float = key(
        5.0,
        "Over how long clients are sent away; who does not follow is cut off at its end.",
        between=(0, 3600),
        unit="s",
    )
    uvloop: bool = key(True, "Use the uvloop event loop where it is installed.")


class Security(Section):
    """TLS"""

    tls_cert: str = key(
        "",
        "PEM file of the certificate that the listener shows, followed by those up to its authority; "
        "empty serves without TLS.",
        expected="a path, together with TLS_KEY",
    )
    tls_key: str = key(
        "", "PEM file of the private key of TLS_CERT.", expected="a path, together with TLS_CERT"
    )
    tls_key_password: Secret = key(Secret(""), "Password of TLS_KEY, if it is encrypted.")


class Clients(Section):
    """Clients and their limits"""

    max_clients_total: int = key(10000, "How many clients may be connected at once.", between=(1, 10_000_000))
    max_subscriptions_per_client: int = key(
        100, "How many streams one client may hold.", between=(1, 1_000_000)
    )
    max_message_rate_per_client: int = key(
        100, "How many messages one client may send.", between=(1, 1_000_000), unit="1/s"
    )
    client_idle_timeout: float = key(
        300.0,
        "After how long a client without any subscription that sends nothing is closed.",
        between=(1, 604800),
        unit="s",
    )
    client_ping_interval: float = key(20.0, "How often a client is pinged.", between=(0.1, 3600), unit="s")
    client_ping_timeout: float = key(
        10.0, "How long a client may take to answer a ping.", between=(0.1, 3600), unit="s"
    )
    client_max_message_bytes: int = key(
        1_048_576, "The longest message that a client may send.", between=(1024, 1 << 30), unit="bytes"
    )
    fanout_callback_timeout: float = key(
        5.0,
        "How long a client may stay stalled, reading nothing of what waits for it, before it is closed.",
        between=(0.1, 3600),
        unit="s",
    )
    outbox_max_frames: int = key(
        4096, "How many frames may wait for one client.", between=(16, 1_000_000), unit="frames"
    )
    outbox_max_bytes: int = key(
        1_048_576, "How much may wait for one client.", between=(65536, 1 << 30), unit="bytes"
    )
    client_max_lag: float = key(
        60.0,
        "A client whose socket is full for so long is closed with 4008, even if it reads a little.",
        between=(0.1, 86_400),
        unit="s",
    )
    send_buffer_bytes: int = key(
        262_144,
        "Size of each client's buffer in the kernel, where nothing is replaced any more; 0 leaves it to it.",
        between=(0, 1 << 30),
        unit="bytes",
    )
    unsent_bytes: int = key(
        131_072,
        "How much of it may wait there for a client that takes no more; 0 leaves it to the kernel.",
        between=(0, 1 << 30),
        unit="bytes",
    )
    slow_policy: Literal["gap", "close"] = key(
        "gap",
        "What happens when too much waits for a client: gap lets values go that nothing replaces (trades)"
        " and tells which; close closes with 4008.",
    )
    subscribe_timeout: float = key(
        5.0,
        "How long the answer to a subscription waits for the venue; what is open then is named as pending.",
        between=(0, 300),
        unit="s",
    )
    handshake_timeout: float = key(
        5.0, "How long a new connection may take to send its request.", between=(0.1, 300), unit="s"
    )
    max_half_open: int = key(
        4096,
        "How many connections may be there that are no WebSockets yet; the next one is reset.",
        between=(16, 1_000_000),
    )
    accept_backlog: int = key(
        4096,
        "How many connections the kernel holds until they are accepted; the system may hold fewer.",
        between=(16, 65535),
    )
    close_timeout: float = key(
        5.0, "How long a client may take to answer a close.", between=(0.1, 300), unit="s"
    )


class Upstream(Section):
    """Venues"""

    bybit_category: Annotated[Category, BeforeValidator(lower)] = key(
        "linear", "The Bybit market that VENUES defaults to."
    )
    venues: Venues = key(
        about="The markets that are served, separated by commas; plain arguments mean the first one.",
        default_factory=lambda data: (f"bybit.{data.get('bybit_category', 'linear')}",),
        min_length=1,
        expected="names out of bybit.linear, bybit.spot, bybit.inverse and deribit, separated by commas",
    )
    bybit_ws_url: Url = key(
        "wss://stream.bybit.com/v5/public/linear",
        "Where Bybit is; of its own URLs BYBIT_TESTNET and the market decide host and path, "
        "any other URL, a simulator's say, is used.",
        expected="a URL that begins with ws:// or wss://",
    )
    bybit_testnet: bool = key(False, "Use Bybit's testnet.")
    bybit_connect_timeout: float = key(
        10.0, "How long connecting to Bybit may take.", between=(0.1, 300), unit="s"
    )
    bybit_max_symbols_per_subscription: int = key(
        10, "How many topics one request to Bybit names at most.", between=(1, 500)
    )
    bybit_max_symbols_per_connection: int = key(
        500,
        "Does nothing: what a connection carries is limited by characters, as Bybit counts.",
        between=(1, 1_000_000),
        idle="a connection to Bybit is limited by the characters of its topics, as Bybit counts",
    )
    bybit_request_rate: float = key(
        100.0, "How many requests one connection sends to Bybit.", between=(0.1, 10000), unit="1/s"
    )
    bybit_reconnect_delay_initial: float = key(
        1.0, "How long the first wait before a new connection may last.", between=(0.01, 3600), unit="s"
    )
    bybit_reconnect_delay_max: float = key(
        60.0,
        "How long a wait before a new connection may last at most; not below the initial one.",
        between=(0.01, 3600),
        unit="s",
    )
    bybit_reconnect_delay_multiplier: float = key(
        2.0, "By how much the wait grows with every failure.", between=(1, 10)
    )
    bybit_ping_interval: float = key(20.0, "How often Bybit is pinged.", between=(0.1, 300), unit="s")
    bybit_ping_timeout: float = key(
        10.0, "How long Bybit may take to answer a ping.", between=(0.1, 300), unit="s"
    )
    ticker_silence: float = key(
        30.0, "After how long without news a ticker is marked stale.", between=(1, 86400), unit="s"
    )
    kline_silence: float = key(
        75.0, "After how long without news a candle is marked stale.", between=(1, 86400), unit="s"
    )
    unsubscribe_linger: float = key(
        5.0,
        "How long a topic stays subscribed at the venue after its last reader left.",
        between=(0, 3600),
        unit="s",
    )
    refused_memory: float = key(
        60.0,
        "How long a refusal of the venue is believed before it is asked again.",
        between=(0, 86400),
        unit="s",
    )


class Deribit(Section):
    """Deribit"""

    deribit_ws_url: Url = key(
        "wss://www.deribit.com/ws/api/v2",
        "Where Deribit is; `wss://test.deribit.com/ws/api/v2` is its testnet.",
        expected="a URL that begins with ws:// or wss://",
    )
    deribit_connect_timeout: float = key(
        10.0, "How long connecting to Deribit may take.", between=(0.1, 300), unit="s"
    )
    deribit_max_channels_per_subscription: int = key(
        500, "How many channels one request to Deribit names at most.", between=(1, 500)
    )
    deribit_request_rate: float = key(
        3.3,
        "How many requests one connection sends to Deribit; less, where several programs share an address.",
        between=(0.1, 3.3),
        unit="1/s",
    )
    deribit_reconnect_delay_initial: float = key(
        1.0, "How long the first wait before a new connection may last.", between=(0.01, 3600), unit="s"
    )
    deribit_reconnect_delay_max: float = key(
        60.0,
        "How long a wait before a new connection may last at most; not below the initial one.",
        between=(0.01, 3600),
        unit="s",
    )
    deribit_reconnect_delay_multiplier: float = key(
        2.0, "By how much the wait grows with every failure.", between=(1, 10)
    )
    deribit_ping_interval: float = key(
        20.0,
        "How often Deribit is asked for a sign of life, by `public/test`.",
        between=(0.1, 300),
        unit="s",
    )
    deribit_ping_timeout: float = key(
        10.0, "How long Deribit may take to answer that.", between=(0.1, 300), unit="s"
    )


class Processes(Section):
    """Processes"""

    workers: int = key(
        1,
        "How many processes serve clients; with more than one, another one speaks to the venues.",
        between=(1, 32),
    )
    shm_ring_bytes: PowerOfTwo = key(
        64 << 20,
        "Size of the shared memory through which workers get their data.",
        between=(1 << 20, 1 << 34),
        unit="bytes",
        expected="a power of two from 1048576 to 17179869184",
    )


class Logging(Section):
    """Log"""

    log_level: Annotated[LogLevel, BeforeValidator(upper)] = key("INFO", "The least level that is logged.")
    log_json: Annotated[bool | None, BeforeValidator(auto)] = key(
        None,
        "Whether log lines are JSON; `auto`: if ENVIRONMENT is `production` and stderr is not a terminal.",
        expected="true, false or auto",
    )
    log_format: str = key(
        "",
        "Does nothing: a log line is either JSON or laid out for a terminal.",
        idle="a log line is either JSON or laid out for a terminal, see LOG_JSON",
    )


class Cluster(Section):
    """Redis"""

    redis_url: RedisUrl = key(
        Secret(""),
        "Accepted, not used yet: " + NO_CLUSTER + ".",
        expected="a URL that begins with redis://, rediss:// or unix://",
        idle=NO_CLUSTER,
    )
    redis_max_connections: int = key(
        50, "Accepted, not used yet: see REDIS_URL.", between=(1, 100_000), idle=NO_CLUSTER
    )
    redis_socket_timeout: float = key(
        5.0, "Accepted, not used yet: see REDIS_URL.", between=(0.1, 300), unit="s", idle=NO_CLUSTER
    )
    redis_retry_on_timeout: bool = key(True, "Accepted, not used yet: see REDIS_URL.", idle=NO_CLUSTER)


SECTIONS: tuple[type[Section], ...] = (
    Server, Security, Authentication, Clients, Processes, Upstream, Deribit, Logging, Cluster
)  # fmt: skip


class Settings(Cluster, Logging, Deribit, Upstream, Processes, Clients, Authentication, Security, Server):
    """Every setting of a gateway, as flat attributes; frozen."""

    @model_validator(mode="after")
    def _delays_are_in_order(self) -> Self:
        if self.bybit_reconnect_delay_max < self.bybit_reconnect_delay_initial:
            raise ValueError("bybit_reconnect_delay_max")
        if self.deribit_reconnect_delay_max < self.deribit_reconnect_delay_initial:
            raise ValueError("deribit_reconnect_delay_max")
        return self

    @model_validator(mode="after")
    def _certificate_and_key_come_together(self) -> Self:
        if bool(self.tls_cert) != bool(self.tls_key):
            raise ValueError("tls_key" if self.tls_cert else "tls_cert")
        return self


def plain(settings: Settings) -> dict[str, Any]:
    """Return every setting as a value that travels, secrets revealed: for our own processes only."""
    values = settings.model_dump()
    return {name: value.reveal() if isinstance(value, Secret) else value for name, value in values.items()}


def fields() -> dict[str, FieldInfo]:
    """Return every setting's declaration by its attribute name, section by section."""
    return {name: field for section in SECTIONS for name, field in section.model_fields.items()}
