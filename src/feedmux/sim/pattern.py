"""Recognise a message: by its text, by what it contains, or by a function."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from feedmux.model.checks import type_of
from feedmux.model.errors import InvalidMessage, InvalidSetting

Wire = str | bytes
"""A message on the wire: text or binary."""
Message = str | bytes | Mapping[str, object]
"""A message as it is written in a test; a mapping becomes JSON text."""
Wanted = str | bytes | re.Pattern[str] | Mapping[str, object] | Callable[[Wire], object]
"""What a message is recognised by; see :func:`matches`."""

_SHOWN = 200
_MESSAGE = "a text, bytes, or a mapping that can be written as JSON"


def wire(message: Message) -> Wire:
    """Return a message as it goes over the wire.

    Raises:
        InvalidMessage: it cannot be written as JSON, or its text not as UTF-8.
    """
    try:
        if isinstance(message, str):
            message.encode()
        return message if isinstance(message, str | bytes) else msgspec.json.encode(message).decode()
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise InvalidMessage("message", f"{type_of(message)} ({error})", _MESSAGE) from error


def require_wanted(wanted: object) -> None:
    """Refuse what no message can be recognised by.

    Raises:
        InvalidSetting: it is something else.
    """
    if not (isinstance(wanted, str | bytes | re.Pattern | Mapping) or callable(wanted)):
        raise InvalidSetting("wanted", wanted, "a text, bytes, a pattern, a mapping or a function")


def matches(wanted: Wanted, message: Wire) -> bool:
    """Whether a message is one that is wanted.

    Args:
        wanted: a text or bytes: exactly these; a pattern: found anywhere in it; a mapping: it is a
            JSON object with at least these members, at any depth; a function: it says so.
        message: what came.
    """
    if isinstance(wanted, str | bytes):
        return isinstance(message, type(wanted)) and message == wanted
    if isinstance(wanted, re.Pattern):
        return wanted.search(_text(message)) is not None
    if isinstance(wanted, Mapping):
        try:
            return contains(msgspec.json.decode(message), wanted)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return False
    return bool(wanted(message))


def contains(found: Any, wanted: Any) -> bool:
    """Whether ``found`` has at least what ``wanted`` has; lists have the same length."""
    if isinstance(wanted, Mapping):
        return isinstance(found, Mapping) and all(
            name in found and contains(found[name], value) for name, value in wanted.items()
        )
    if isinstance(wanted, list | tuple):
        return isinstance(found, list) and len(found) == len(wanted) and all(map(contains, found, wanted))
    if isinstance(wanted, bool) or isinstance(found, bool):
        return wanted is found
    return bool(found == wanted)


def described(wanted: Wanted) -> str:
    """What is wanted, in words."""
    if isinstance(wanted, re.Pattern):
        return f"a message that matches {wanted.pattern!r}"
    if isinstance(wanted, Mapping):
        return f"a JSON object with {shortened(repr(dict(wanted)))}"
    if isinstance(wanted, str | bytes):
        return f"exactly {shortened(repr(wanted))}"
    return f"a message of which {getattr(wanted, '__name__', wanted)}() is true"


def shortened(text: str) -> str:
    """The beginning of a long text."""
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}… ({len(text)} characters)"


def _text(message: Wire) -> str:
    return message if isinstance(message, str) else message.decode(errors="replace")
