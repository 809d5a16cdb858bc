"""Check what somebody set: a number that is one, within its range.

True and False are no numbers here, although Python counts with them. Nor is what no clock can hold: NaN,
infinity, and whole numbers that are too large for a float.
"""

from __future__ import annotations

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
