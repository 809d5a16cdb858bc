"""Check what somebody set: a number that is one, within its range; a text; an object of the right kind.

True and False are no numbers here, although Python counts with them. Nor is what no clock can hold: NaN,
infinity, and whole numbers that are too large for a float.

What is of the wrong kind altogether is named by its type and not shown: it may be a secret in the wrong
place.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import inf, isfinite
from typing import TypeGuard

from feedmux.model.errors import InvalidSetting


def is_number(value: object) -> TypeGuard[float]:
    """Whether it is a finite ``int`` or ``float``."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return isfinite(value)
    except OverflowError:
        return False


def is_whole(value: object) -> TypeGuard[int]:
    """Whether it is an ``int``."""
    return isinstance(value, int) and not isinstance(value, bool)


def require_number(
    name: str, value: object, expected: str, *, above: float = -inf, least: float = -inf, most: float = inf
) -> None:
    """Refuse what is no number of the range.

    Args:
        name: the setting, as its user wrote it.
        value: what it was set to.
        expected: what would have been right.
        above: it has to be more than this.
        least: it has to be this or more.
        most: it has to be this or less.

    Raises:
        InvalidSetting: it is none.
    """
    if not (is_number(value) and above < value and least <= value <= most):
        raise InvalidSetting(name, value, expected)


def require_whole(name: str, value: object, expected: str, *, least: int, most: float = inf) -> None:
    """Refuse what is no whole number of the range; see :func:`require_number`.

    Raises:
        InvalidSetting: it is none.
    """
    if not (is_whole(value) and least <= value <= most):
        raise InvalidSetting(name, value, expected)


def require_text(name: str, value: object, expected: str = "a text that is not empty") -> None:
    """Refuse what is no text, or an empty one.

    Raises:
        InvalidSetting: it is none.
    """
    if not isinstance(value, str):
        raise InvalidSetting(name, type_of(value), expected)
    if not value:
        raise InvalidSetting(name, value, expected)


def require_kind(name: str, value: object, kind: type | tuple[type, ...], expected: str) -> None:
    """Refuse what is no object of a class.

    Raises:
        InvalidSetting: it is none; the error names its type.
    """
    if not isinstance(value, kind):
        raise InvalidSetting(name, type_of(value), expected)


def require_parts(name: str, value: object, parts: Iterable[str], expected: str) -> None:
    """Refuse an object that lacks a method or an attribute, or a class in the place of an object.

    Raises:
        InvalidSetting: it lacks one; the error names it.
    """
    if isinstance(value, type):
        raise InvalidSetting(name, f"the class {value.__name__} itself", expected)
    for part in parts:
        if not hasattr(value, part):
            raise InvalidSetting(name, f"{type_of(value)}, without {part!r}", expected)


def type_of(value: object) -> str:
    """Say of what type something is."""
    return f"a value of type {type(value).__name__}"
