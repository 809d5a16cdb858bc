"""Say where RabbitMQ is and what is expected of it; and what can be wrong there."""

from __future__ import annotations

import ssl
from typing import Any, Final

import msgspec

from feedmux.core.hiding import MASK
from feedmux.core.reconnect import Backoff
from feedmux.model.checks import require_kind, require_number, require_text, require_whole
from feedmux.model.errors import Refused
from feedmux.model.link_errors import LinkLost

_MOST_PORT: Final = 65_535
_MOST_HEARTBEAT_S: Final = 65_534
"""Source: AMQP 0-9-1, connection.tune: a short, of which aiormq takes all but the last."""


class ExchangeDiffers(Refused):
    """RabbitMQ has an exchange of this name, and it is another one than the settings say.

    Args:
        exchange: its name.
        expected: what the settings say it is.
        reason: RabbitMQ's own words.
    """

    code = "EXCHANGE_DIFFERS"

    def __init__(self, exchange: str, expected: str, reason: str) -> None:
        super().__init__(exchange, reason)
        self.args = (exchange, expected, reason)
        self.exchange, self.expected = exchange, expected

    def __str__(self) -> str:
        return (
            f"RabbitMQ has an exchange {self.exchange!r} that is not {self.expected}: {self.reason}; "
            "correct the settings, or delete it there"
        )


class ConsumerLost(LinkLost):
    """Nothing reaches us any more, although the connection stands."""

    code = "CONSUMER_LOST"

    def __str__(self) -> str:
        return f"nothing is consumed any more: {self.reason}"


class BrokerConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Where RabbitMQ is, who we are there, and what is declared.

    Args:
        host: its name or address.
        port: its port.
        user: who we are.
        password: never shown: not by ``repr``, in no error, in no line of the log.
        vhost: the virtual host.
        tls: what its certificate is checked with; None: no TLS.
        exchange: what everything is published to. It is declared like its producers do.
        exchange_type: ``topic``, or whatever it is.
        durable: whether it outlives a restart of RabbitMQ.
        auto_delete: whether it goes with its last queue.
        queue_messages: how many messages RabbitMQ keeps for us at most; the oldest go first.
        tells_spills: whether RabbitMQ tells us at once when they go. It takes the right to write to the
            default exchange; without it they go without a word.
        heartbeat_s: whole seconds; three times as long without a sign, and the connection is lost.
        connect_timeout_s: how long it may take until we consume.
        check_interval_s: how often the queue is looked at.
        answer_timeout_s: how long that may take.
        close_timeout_s: how long saying goodbye may take.
        backoff: waits between attempts; there is no last one.

    Raises:
        InvalidSetting: a value is outside its range.
    """

    host: str = "localhost"
    port: int = 5672
    user: str = "guest"
    password: str = "guest"  # noqa: S105 - what RabbitMQ comes with
    vhost: str = "/"
    tls: ssl.SSLContext | None = None
    exchange: str = "peatio.events.ranger"
    exchange_type: str = "topic"
    durable: bool = False
    auto_delete: bool = False
    queue_messages: int = 100_000
    tells_spills: bool = True
    heartbeat_s: int = 10
    connect_timeout_s: float = 10.0
    check_interval_s: float = 5.0
    answer_timeout_s: float = 10.0
    close_timeout_s: float = 3.0
    backoff: Backoff = Backoff(initial=0.5, multiplier=2.0, ceiling=15.0)

    def __post_init__(self) -> None:
        for name in ("host", "user", "vhost", "exchange", "exchange_type"):
            require_text(name, getattr(self, name))
        require_whole("port", self.port, f"a port from 1 to {_MOST_PORT}", least=1, most=_MOST_PORT)
        require_whole("queue_messages", self.queue_messages, "a whole number from 1", least=1)
        expected = f"whole seconds from 1 to {_MOST_HEARTBEAT_S}"
        require_whole("heartbeat_s", self.heartbeat_s, expected, least=1, most=_MOST_HEARTBEAT_S)
        for name in ("connect_timeout_s", "check_interval_s", "answer_timeout_s", "close_timeout_s"):
            require_number(name, getattr(self, name), "seconds above 0", above=0)
        require_kind("backoff", self.backoff, Backoff, "a Backoff")

    @property
    def address(self) -> str:
        """Where it is, as may be shown."""
        return f"{'amqp' if self.tls is None else 'amqps'}://{self.host}:{self.port}"

    @property
    def expected(self) -> str:
        """What the exchange should be, in words."""
        durability = "durable" if self.durable else "not durable"
        return f"{self.exchange_type}, {durability}{', deleted by itself' if self.auto_delete else ''}"

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in self.__rich_repr__())
        return f"BrokerConfig({shown})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """What may be shown, by name."""
        fields = self.__struct_fields__
        return [(name, MASK if name == "password" else getattr(self, name)) for name in fields]
