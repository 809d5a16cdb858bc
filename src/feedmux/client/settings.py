"""What a link can be told: bounds, deadlines and headers, checked when they are set."""

from __future__ import annotations

import re
from math import isfinite
from typing import Final

import msgspec

from feedmux.core.reconnect import Backoff
from feedmux.model.errors import InvalidSetting

_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
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
)


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
        headers: extra HTTP headers of the upgrade request; their values never show in ``repr``.

    Raises:
        InvalidSetting: a value is outside its range; it names the setting, and of a header
            only the name.
    """

    connect_timeout_s: float = 5.0
    close_timeout_s: float = 1.0
    retry_delay_s: float = 1.0
    retry_multiplier: float = 2.0
    max_backoff_s: float = 60.0
    ping_interval_s: float = 20.0
    ping_timeout_s: float = 10.0
    max_message_bytes: int = 10 * 1024 * 1024
    max_write_buffer_bytes: int = 1024 * 1024
    headers: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        for name in _SECONDS:
            value = getattr(self, name)
            if not (_is_number(value) and isfinite(value) and value > 0):
                raise InvalidSetting(name, value, "a number above 0")
        if self.retry_multiplier < 1:
            raise InvalidSetting("retry_multiplier", self.retry_multiplier, "a factor of at least 1")
        if self.max_backoff_s < self.retry_delay_s:
            expected = f"seconds, at least retry_delay_s ({self.retry_delay_s:g})"
            raise InvalidSetting("max_backoff_s", self.max_backoff_s, expected)
        for name in ("max_message_bytes", "max_write_buffer_bytes"):
            value = getattr(self, name)
            if not (isinstance(value, int) and not isinstance(value, bool) and value > 0):
                raise InvalidSetting(name, value, "a whole number of bytes above 0")
        for header in self.headers:
            _check_header(*header)

    @property
    def backoff(self) -> Backoff:
        """The bounds of the waits between two attempts."""
        return Backoff(self.retry_delay_s, self.retry_multiplier, self.max_backoff_s)

    def __repr__(self) -> str:
        shown = ", ".join(
            f"{name}={getattr(self, name)!r}" for name in self.__struct_fields__ if name != "headers"
        )
        return f"LinkConfig({shown}, headers={tuple((name, '***') for name, _ in self.headers)!r})"


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _check_header(name: str, value: str) -> None:
    """Refuse what would break the request, or the protocol, apart.

    Source: RFC 9110 §5.1 and §5.5 (field names and values), RFC 6455 §4.1 (ours to send).
    """
    if not _TOKEN.fullmatch(name):
        raise InvalidSetting("headers", name, "a header name of letters, digits and hyphens")
    if name.lower() in _OURS:
        raise InvalidSetting("headers", name, "none of the headers that the upgrade itself sends")
    if not _FIELD_VALUE.fullmatch(value):
        raise InvalidSetting("headers", f"{name}: ***", "a value of printable ASCII characters")
