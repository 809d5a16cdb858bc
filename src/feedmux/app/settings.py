"""Declare every setting once: name, type, bounds, unit, default and one sentence.

The environment name is the attribute's name in capitals. Everything that speaks about
settings (``feedmux config print|check``, docs/reference/config.md, error texts) is read
from here. A class is a section, its docstring the section's title; :class:`Settings` is
all of them, flat. Only :mod:`feedmux.app.config` reads the world; ``Settings()`` alone
is the defaults, whatever the environment says.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import NoDecode

from feedmux.app.authentication import Authentication
from feedmux.app.broker import Broker
from feedmux.app.cluster import Cluster
from feedmux.app.markets import Alpaca, Deribit, Upstream
from feedmux.app.secret import Secret
from feedmux.app.section import Origin, PowerOfTwo, Section, auto, key, level, lower, split
from feedmux.core import origin

Dialect = Literal["op", "rango"]
LogLevel = Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]


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
    dialect: Annotated[Dialect, BeforeValidator(lower)] = key(
        "op",
        "What is spoken on paths that have no meaning: `rango` speaks Rango's protocol there, and `op`"
        " answers 404.",
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
    metrics_port: int = key(
        0,
        "Another port of HOST, without TLS, on which every path answers with the metrics; 0: none."
        " `feedmux rango` has 4242.",
        between=(0, 65535),
    )
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


class Browsers(Section):
    """Browsers"""

    api_cors_origins: Annotated[tuple[Origin, ...], NoDecode, BeforeValidator(split)] = key(
        (),
        "Web pages that may open WebSockets; empty: on /ws all may, and where Rango's protocol is spoken"
        " those whose host is the one they connect to.",
        expected=origin.EXPECTED,
    )


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
    rango_max_message_bytes: int = key(
        65_536,
        "The longest message that a client of Rango's protocol may send.",
        between=(512, 1 << 30),
        unit="bytes",
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


class LocalPrograms(Section):
    """Programs on the same machine"""

    local: bool = key(True, "Let programs of the same user on this machine read public topics through rings.")
    local_name: str = key(
        "default",
        "Name under which they find this gateway; of several with one name the first is found.",
        pattern=r"^[A-Za-z0-9._-]{1,64}$",
        expected="1 to 64 letters, digits, dots, hyphens and underscores",
    )
    local_max_clients: int = key(16, "How many such programs there may be at once.", between=(1, 1024))
    local_ring_bytes: PowerOfTwo = key(
        4 << 20,
        "Size of the shared memory of each of them, where its messages wait until it reads them.",
        between=(1 << 16, 1 << 30),
        unit="bytes",
        expected="a power of two from 65536 to 1073741824",
    )


class Logging(Section):
    """Log"""

    log_level: Annotated[LogLevel, BeforeValidator(level)] = key("INFO", "The least level that is logged.")
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


SECTIONS: tuple[type[Section], ...] = (
    Server,
    Security,
    Browsers,
    Authentication,
    Clients,
    Processes,
    LocalPrograms,
    Upstream,
    Deribit,
    Alpaca,
    Broker,
    Logging,
    Cluster,
)


class Settings(
    Cluster,
    Logging,
    Broker,
    Alpaca,
    Deribit,
    Upstream,
    LocalPrograms,
    Processes,
    Clients,
    Authentication,
    Browsers,
    Security,
    Server,
):
    """Every setting of a gateway, as flat attributes; frozen."""

    @model_validator(mode="after")
    def _delays_are_in_order(self) -> Self:
        if self.bybit_reconnect_delay_max < self.bybit_reconnect_delay_initial:
            raise ValueError("bybit_reconnect_delay_max")
        if self.deribit_reconnect_delay_max < self.deribit_reconnect_delay_initial:
            raise ValueError("deribit_reconnect_delay_max")
        if self.alpaca_reconnect_delay_max < self.alpaca_reconnect_delay_initial:
            raise ValueError("alpaca_reconnect_delay_max")
        return self

    @model_validator(mode="after")
    def _alpaca_knows_who_we_are(self) -> Self:
        if "alpaca" in self.venues:
            for name in ("apca_api_key_id", "apca_api_secret_key"):
                if not getattr(self, name):
                    raise ValueError(name)
        return self

    @model_validator(mode="after")
    def _something_is_served(self) -> Self:
        if not (self.venues or self.rabbitmq_host or self.rabbitmq_url):
            raise ValueError("venues")
        return self

    @model_validator(mode="after")
    def _certificate_and_key_come_together(self) -> Self:
        if bool(self.tls_cert) != bool(self.tls_key):
            raise ValueError("tls_key" if self.tls_cert else "tls_cert")
        return self


def fields() -> dict[str, FieldInfo]:
    """Return every setting's declaration by its attribute name, section by section."""
    return {name: field for section in SECTIONS for name, field in section.model_fields.items()}
