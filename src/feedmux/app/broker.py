"""The settings that say where RabbitMQ is and what comes from it; a part of :mod:`feedmux.app.settings`."""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator

from feedmux.app.secret import Secret
from feedmux.app.section import Section, key, lower


def _amqp_url(secret: Secret) -> Secret:
    parts = urlsplit(secret.reveal())
    if secret and (parts.scheme not in {"amqp", "amqps"} or not parts.hostname):
        raise ValueError("not a URL of RabbitMQ")
    _ = parts.port  # raises ValueError when it is no port
    return secret


class Broker(Section):
    """RabbitMQ and Rango"""

    rabbitmq_host: str = key("", "Host of the RabbitMQ whose messages are served; empty: none is asked.")
    rabbitmq_port: int = key(5672, "Its port.", between=(1, 65535))
    rabbitmq_user: str = key("guest", "Who we are there.", min_length=1, expected="a name")
    rabbitmq_password: Secret = key(Secret("guest"), "Password of RABBITMQ_USER.")
    rabbitmq_vhost: str = key("/", "The virtual host.", min_length=1, expected="a name")
    rabbitmq_url: Annotated[Secret, AfterValidator(_amqp_url)] = key(
        Secret(""),
        "All of these in one, `amqps://` with TLS; it counts in their place.",
        expected="a URL that begins with amqp:// or amqps://",
    )
    rabbitmq_ca: str = key(
        "", "PEM file of the authorities that its certificate is checked with; empty: the system's."
    )
    rabbitmq_exchange: str = key(
        "peatio.events.ranger", "The exchange that is listened to.", min_length=1, expected="a name"
    )
    rabbitmq_exchange_type: str = key(
        "topic", "Its type, as its producers declare it.", min_length=1, expected="a type"
    )
    rabbitmq_exchange_durable: bool = key(False, "Whether its producers declare it durable.")
    rabbitmq_exchange_auto_delete: bool = key(False, "Whether they declare that it goes with its last queue.")
    rabbitmq_queue_messages: int = key(
        100_000,
        "How many messages RabbitMQ keeps for us while we do not read; then the oldest go.",
        between=(1, 1_000_000_000),
    )
    rabbitmq_heartbeat: int = key(
        10, "How often it gives a sign of life; without three it counts as gone.", between=(1, 3600), unit="s"
    )
    rabbitmq_reconnect_delay_max: float = key(
        15.0, "How long a wait before a new connection may last.", between=(0.1, 3600), unit="s"
    )
    rabbitmq_max_body_bytes: int = key(
        1_048_576,
        "The longest body; a longer one is dropped, counted and named in the log.",
        between=(1024, 1 << 30),
        unit="bytes",
    )
    rabbitmq_sequences: Annotated[Literal["check", "ignore"], BeforeValidator(lower)] = key(
        "check",
        "Whether a hole in the `sequence` of a book's increments marks it stale until its next snapshot.",
    )
    object_increments: int = key(
        256,
        "How many increments are kept after a snapshot; then a book is folded, anything else let go.",
        between=(1, 1_000_000),
    )
    object_bytes: int = key(
        1_048_576,
        "How much one stored snapshot and its increments may be.",
        between=(1024, 1 << 30),
        unit="bytes",
    )
    objects_max: int = key(
        10_000,
        "How many snapshots are stored; then the one that changed longest ago goes.",
        between=(1, 10_000_000),
    )
    ranger_host: str = key(
        "0.0.0.0",  # noqa: S104
        "Address that `feedmux rango` listens on.",
        min_length=1,
        expected="an address",
    )
    ranger_port: int = key(
        8080, "Port that `feedmux rango` listens on; 0 lets the system choose one.", between=(0, 65535)
    )
