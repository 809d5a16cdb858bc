"""The ``options`` of a subscribe request: JSON to a value, or a sentence that says what is wrong."""

from __future__ import annotations

from collections.abc import Callable
from difflib import get_close_matches
from typing import Any, Final

import msgspec

from feedmux.model.options import (
    MAX_FIELD_CHARACTERS,
    MAX_FIELD_SETS,
    MAX_FIELDS,
    RATES,
    Options,
    served_rate,
)
from feedmux.model.topic import Mode, Topic

_SHOWN: Final = 64


class InvalidOption(Exception):
    """The options cannot be served; ``str()`` is what the client is told."""


class Wish(msgspec.Struct, frozen=True):
    """The options of one request.

    Args:
        options: what holds from now on.
        snapshot: whether to send the last value now; None when the client did not say.
        served: the options as the answer repeats them.
        notes: what the client should know about them, as sentences.
    """

    options: Options
    snapshot: bool | None
    served: dict[str, Any]
    notes: tuple[str, ...] = ()


def read(raw: object) -> Wish:
    """Read the ``options`` of a request.

    Raises:
        InvalidOption: they are none; the text names the option and says what was expected.
    """
    if not isinstance(raw, dict):
        raise InvalidOption('options: expected an object, e.g. {"max_rate": 4}')
    for name in raw:
        if name not in _READERS:
            raise InvalidOption(_unknown(name))
    served = {name: _READERS[name](value) for name, value in raw.items()}
    options = Options(
        served.get("conflate"), served.get("max_rate", 0.0), frozenset(served.get("fields", ()))
    )
    return Wish(options, served.get("snapshot"), served, _notes(raw, served))


def problem_of(options: Options, topic: Topic, arg: str) -> str | None:
    """Why a stream cannot be had with these options, as a sentence for people; None when it can."""
    if options.rate and topic.mode is Mode.BOOK:
        return f"max_rate would leave out increments of {arg}, and each of them is needed by the next"
    if options.rate and not options.conflates(topic.mode):
        return f'max_rate lets newer values replace older ones, which {arg} only allows with "conflate": true'
    return None


def note_of(options: Options, topic: Topic, arg: str) -> str | None:
    """What a stream does not do although these options ask for it; None when it does all."""
    if options.conflate and topic.mode is Mode.BOOK:
        return f"{arg} is not conflated: each of its increments is needed by the next"
    return None


def comes_whole(arg: str) -> str:
    """Tell a client that a stream has too many sets of fields for one more."""
    return f"{arg} comes with all its fields: {MAX_FIELD_SETS} other sets of fields are in use there"


def _unknown(name: str) -> str:
    nearest = get_close_matches(name[:_SHOWN], _READERS, 1)
    hint = f"did you mean {nearest[0]}?" if nearest else f"the options are {', '.join(_READERS)}"
    return f"Unknown option: {name[:_SHOWN]}; {hint}"


def _notes(raw: dict[str, Any], served: dict[str, Any]) -> tuple[str, ...]:
    asked, rate = raw.get("max_rate"), served.get("max_rate")
    if asked == rate:
        return ()
    return (f"max_rate {asked} is served as {rate}, the next step below it",)


def _switch(name: str) -> Callable[[object], bool]:
    def read_switch(value: object) -> bool:
        if not isinstance(value, bool):
            raise InvalidOption(f"{name}: expected true or false")
        return value

    return read_switch


def _rate(value: object) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not RATES[0] <= value <= RATES[-1]:  # type: ignore[operator]
        raise InvalidOption(f"max_rate: expected a number from {RATES[0]} to {RATES[-1]}")
    return served_rate(value)  # type: ignore[arg-type]


def _fields(value: object) -> list[str]:
    if not isinstance(value, list) or not 1 <= len(value) <= MAX_FIELDS:
        raise InvalidOption(f"fields: expected a list of 1 to {MAX_FIELDS} names")
    for name in value:
        if not isinstance(name, str) or not 1 <= len(name) <= MAX_FIELD_CHARACTERS:
            raise InvalidOption(f"fields: expected names of 1 to {MAX_FIELD_CHARACTERS} characters")
    if len(set(value)) < len(value):
        raise InvalidOption("fields: expected each name once")
    return value


_READERS: Final[dict[str, Callable[[object], Any]]] = {
    "conflate": _switch("conflate"),
    "fields": _fields,
    "max_rate": _rate,
    "snapshot": _switch("snapshot"),
}
