"""Check what a link is made of, when it is made: later nobody would know whose mistake it was."""

from __future__ import annotations

from collections.abc import Iterable
from math import inf
from ssl import SSLContext
from typing import Final

from feedmux.client.limiter import Limiter
from feedmux.client.recorder import Recorder
from feedmux.client.settings import LinkConfig
from feedmux.model.checks import require_kind, require_number, require_parts, type_of
from feedmux.model.errors import InvalidSetting

ADAPTER: Final = (
    "name",
    "has_credentials",
    "codec",
    "correlator",
    "authenticate",
    "prepare",
    "subscribe",
    "unsubscribe",
    "inspect",
    "ping",
    "penalty_s",
)
"""What :class:`feedmux.model.adapter.Adapter` has."""
_LONGEST: Final = 10_000
_CHANNELS: Final = f"texts of 1 to {_LONGEST} characters that can be written as UTF-8"


def check_parts(
    *, adapter: object, config: object, listener: object, limiter: object, policy: object, ssl: object
) -> None:
    """Refuse what no link can be made of.

    Raises:
        InvalidSetting: one of them is something else; it is named by its type.
    """
    require_kind("config", config, LinkConfig, "a LinkConfig")
    require_parts("adapter", adapter, ADAPTER, "an adapter, e.g. one that inherits from PlainAdapter")
    if listener is not None and not callable(listener):
        raise InvalidSetting("listener", type_of(listener), "a function that takes a message")
    if limiter is not None:
        require_kind("limiter", limiter, Limiter, "a Limiter")
    if not callable(policy):
        raise InvalidSetting("policy", type_of(policy), "a function of an error and a number")
    if ssl is not None:
        require_kind("ssl", ssl, SSLContext, "an ssl.SSLContext")


def check_recorder(recorder: object) -> None:
    """Refuse what nothing can be recorded with; None records nothing.

    Raises:
        InvalidSetting: it is something else.
    """
    if recorder is not None:
        require_kind("recorder", recorder, Recorder, "a Recorder, or None")


def channels_of(channels: str | Iterable[str]) -> tuple[str, ...]:
    """Return what is to be subscribed to; repeats count once.

    Raises:
        InvalidSetting: one is no text, or none that any server could be asked for.
    """
    if isinstance(channels, bytes) or not isinstance(channels, Iterable):
        raise InvalidSetting("channels", type_of(channels), _CHANNELS)
    listed = [channels] if isinstance(channels, str) else list(channels)
    for text in listed:
        require_kind("channels", text, str, _CHANNELS)
        if not 0 < len(text) <= _LONGEST or not _can_be_sent(text):
            raise InvalidSetting("channels", text, _CHANNELS)
    return tuple(dict.fromkeys(listed))


def patience_s(timeout_s: float | None, default_s: float) -> float:
    """Return how long to wait for an answer.

    Raises:
        InvalidSetting: it is no time above 0.
    """
    if timeout_s is None:
        return default_s
    require_number("timeout_s", timeout_s, "seconds above 0", above=0)
    return timeout_s


def check_wait(name: str, seconds: float | None) -> None:
    """Refuse what is no time to wait; None waits for ever.

    Raises:
        InvalidSetting: it is below 0, or no number.
    """
    if seconds is not None:
        require_number(name, seconds, "seconds, 0 or more, or None", least=0, most=inf)


def _can_be_sent(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
