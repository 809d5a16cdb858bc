"""Write JSON numbers as plain decimal texts, to the last digit that a venue wrote.

A number never passes through a float, and one without an exponent is not touched at all.
"""

from __future__ import annotations

import re
from decimal import Decimal
from functools import lru_cache
from typing import Annotated, Final

from msgspec import Meta, Raw, ValidationError

__all__ = ["NOTHING", "Milliseconds", "optional", "required"]

Milliseconds = Annotated[int, Meta(gt=0, le=9_223_372_036_854)]
"""Unix milliseconds that still fit a signed 64-bit number of nanoseconds (until 2262)."""

NOTHING: Final = Raw(b"null")
"""What a field is that the venue left out."""

# The bounds keep a stranger's exponent from becoming a text of a gigabyte.
_NUMBER: Final = re.compile(rb"-?[0-9]{1,30}(?:\.[0-9]{1,30})?([eE][+-]?[0-9]{1,2})?")
_REMEMBERED: Final = 16_384
_SHOWN: Final = 40


def optional(number: Raw) -> str:
    """Give the text of a number; empty when the venue wrote ``null`` or nothing.

    Raises:
        msgspec.ValidationError: it is neither.
    """
    return "" if number is NOTHING else _plain(bytes(number))


def required(number: Raw) -> str:
    """Give the text of a number that must be there.

    Raises:
        msgspec.ValidationError: it is no number.
    """
    text = _plain(bytes(number))
    if not text:
        raise ValidationError("Expected a number, got nothing")
    return text


@lru_cache(_REMEMBERED)
def _plain(number: bytes) -> str:
    """The text without an exponent; remembered, because a venue repeats most of its numbers."""
    if number == b"null":
        return ""
    found = _NUMBER.fullmatch(number)
    if found is None:
        raise ValidationError(f"Expected a number, got {number[:_SHOWN].decode('ascii', 'replace')!r}")
    text = number.decode("ascii")
    return text if found[1] is None else format(Decimal(text), "f")
