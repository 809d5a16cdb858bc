"""What a link can be told: bounds, deadlines and headers, checked when they are set."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final

import msgspec

from feedmux.client.proxy import Proxy
from feedmux.core.reconnect import Backoff
from feedmux.model.checks import require_kind, require_number, require_whole, type_of
from feedmux.model.errors import InvalidSetting

_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_PRINTABLE: Final = re.compile(r"[!-~]+")
_FIELD_VALUE: Final = re.compile(r"[\t\x20-\x7e]*")
_OURS: Final = frozenset(
    {"connection", "upgrade", "sec-websocket-key", "sec-websocket-version", "sec-websocket-extensions"}
)

_SECONDS: Final = (
    "connect_timeout_s",
    "close_timeout_s",
    "retry_delay_s",
    "retry_multiplier",
    "max_backoff_s",
    "ping_interval_s",
    "ping_timeout_s",
    "request_timeout_s",
    "breaker_cooldown_s",
)
_SECONDS_OR_NONE: Final = ("silence_s", "channel_silence_s")
_LARGEST: Final = 2**40
_BYTES: Final = ("max_message_bytes", "max_write_buffer_bytes")
_COUNTS: Final = {
    "max_attempts": (0, "a number of attempts in a row, or 0 for no bound"),
    "max_redirects": (0, "a number of redirects, or 0 for none"),
    "max_in_flight": (1, "a number of requests above 0"),
    "max_waiting": (1, "a number of messages above 0"),
    "breaker_failures": (0, "a number of failures in a row, or 0 for none"),
}
_PAIRS: Final = 'a sequence of pairs of texts, e.g. (("X-Api-Key", "…"),)'


class WhenFull(StrEnum):
    """What a link does while nobody takes its messages."""

    PAUSE = "pause"
    """Reads no more, so that the server has to wait; its patience is its own."""
    DROP = "drop"
    """Lets the oldest message go, and tells how many went."""
    CLOSE = "close"
    """Ends the link with :class:`feedmux.model.errors.Overflow`."""


class LinkConfig(msgspec.Struct, frozen=True, kw_only=True):
    """How a link behaves. Every wait and every buffer has its bound here.

    Args:
        connect_timeout_s: for the whole way to an open connection: name, TCP, TLS and upgrade.
        close_timeout_s: how long the server may take to answer a CLOSE.
        retry_delay_s: the longest first wait before connecting again.
        retry_multiplier: by how much each further failure prolongs the wait; at least 1.
        max_backoff_s: the longest wait of all; at least ``retry_delay_s``.
        ping_interval_s: how often the server is asked for a sign of life.
        ping_timeout_s: how long its answer may take before the connection is replaced.
        max_message_bytes: the longest message that is taken, fragments together.
        max_write_buffer_bytes: how much may wait to be sent.
        request_timeout_s: how long an answer to a request is waited for, unless the call says.
        max_attempts: failed attempts in a row after which the link ends; 0: it never does.
        breaker_failures: failures in a row after which nothing is tried for a while; 0: never.
        breaker_cooldown_s: that while.
        max_redirects: how many redirects are followed, to the same host only.
        proxy: what every connection passes; see :class:`feedmux.client.proxy.Proxy`.
        silence_s: how long a connection may bring nothing at all; None: for ever.
        channel_silence_s: how long a channel that is subscribed to may; None: for ever.
        max_in_flight: requests that wait for their answers.
        max_waiting: messages that wait to be taken.
        when_full: what happens at that bound.
        headers: extra HTTP headers of the upgrade request; their values never show in ``repr``.

    Raises:
        InvalidSetting: a value is outside its range; it names the setting, and of a header
            only the name.
    """

    connect_timeout_s: float = 5.0
    close_timeout_s: float = 1.0
    retry_delay_s: float = 1.0
    retry_multiplier: float = 2.0
    max_backoff_s: float = 30.0
    ping_interval_s: float = 30.0
    ping_timeout_s: float = 10.0
    max_message_bytes: int = 10 * 1024 * 1024
    max_write_buffer_bytes: int = 1024 * 1024
    request_timeout_s: float = 30.0
    max_attempts: int = 0
    breaker_failures: int = 10
    breaker_cooldown_s: float = 60.0
    max_redirects: int = 0
    proxy: str | None = None
    silence_s: float | None = None
    channel_silence_s: float | None = None
    max_in_flight: int = 1000
    max_waiting: int = 10_000
    when_full: WhenFull = WhenFull.PAUSE
    headers: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        for name in _SECONDS:
            require_number(name, getattr(self, name), "a number above 0", above=0)
        for name in _SECONDS_OR_NONE:
            if getattr(self, name) is not None:
                require_number(name, getattr(self, name), "a number above 0, or None", above=0)
        require_number("retry_multiplier", self.retry_multiplier, "a factor of at least 1", least=1)
        if self.max_backoff_s < self.retry_delay_s:
            expected = f"seconds, at least retry_delay_s ({self.retry_delay_s:g})"
            raise InvalidSetting("max_backoff_s", self.max_backoff_s, expected)
        for name in _BYTES:
            expected = "a whole number of bytes above 0, at most a tebibyte"
            require_whole(name, getattr(self, name), expected, least=1, most=_LARGEST)
        for name, (least, expected) in _COUNTS.items():
            require_whole(name, getattr(self, name), expected, least=least)
        if not (isinstance(self.when_full, str) and self.when_full in set(WhenFull)):
            raise InvalidSetting("when_full", self.when_full, f"one of {', '.join(WhenFull)}")
        if self.proxy is not None:
            Proxy(self.proxy)
        require_kind("headers", self.headers, (tuple, list), _PAIRS)
        for header in self.headers:
            _check_header(header)

    @property
    def backoff(self) -> Backoff:
        """The bounds of the waits between two attempts."""
        return Backoff(self.retry_delay_s, self.retry_multiplier, self.max_backoff_s)

    def __repr__(self) -> str:
        hidden = {"headers": tuple((name, "***") for name, _ in self.headers), "proxy": self.proxy and "***"}
        shown = {name: hidden.get(name, getattr(self, name)) for name in self.__struct_fields__}
        return f"LinkConfig({', '.join(f'{name}={value!r}' for name, value in shown.items())})"


def _check_header(header: object) -> None:
    """Refuse what would break the request, or the protocol, apart; its value never shows.

    Source: RFC 9110 §5.1 and §5.5 (field names and values), RFC 6455 §4.1 (ours to send).
    """
    if not (isinstance(header, tuple | list) and len(header) == 2):
        raise InvalidSetting("headers", type_of(header), _PAIRS)
    name, value = header
    if not (isinstance(name, str) and isinstance(value, str)):
        raise InvalidSetting("headers", f"{type_of(name)}: {type_of(value)}", _PAIRS)
    if not _TOKEN.fullmatch(name):
        raise InvalidSetting("headers", "***", "a header name of letters, digits and hyphens")
    if name.lower() in _OURS:
        raise InvalidSetting("headers", name, "none of the headers that the upgrade itself sends")
    if not _FIELD_VALUE.fullmatch(value):
        raise InvalidSetting("headers", f"{name}: ***", "a value of printable ASCII characters")
