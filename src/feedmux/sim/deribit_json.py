"""JSON as Deribit writes it: numbers with a point, sometimes with an exponent."""

from __future__ import annotations

from decimal import Decimal
from functools import lru_cache

import msgspec

encode = msgspec.json.Encoder().encode
"""A value as JSON text; decimals go through :func:`number` first."""


@lru_cache(maxsize=65_536)
def number(value: Decimal) -> msgspec.Raw:
    """A number as the venue prints it: in the shorter of the two forms, the plain one if equal.

    Source: captures of 2026-09 have ``1054.0`` and ``2.2e3``, ``0.0033`` and ``1.423e-4``; the
    shortest form is what they have in common.
    """
    if not value:
        return msgspec.Raw(b"0.0")
    sign, digits, exponent = value.normalize().as_tuple()
    assert isinstance(exponent, int), "prices and amounts are finite"
    text = "".join(map(str, digits))
    scientific = f"{text[0]}.{text[1:] or '0'}e{exponent + len(text) - 1}"
    plain = format(value.normalize(), "f")
    plain = plain.removeprefix("-") if "." in plain else plain.removeprefix("-") + ".0"
    shorter = scientific if len(scientific) < len(plain) else plain
    return msgspec.Raw((("-" if sign else "") + shorter).encode())


def optional(value: Decimal | None) -> msgspec.Raw | None:
    """A number, or null."""
    return None if value is None else number(value)


def real(value: float, places: int = 8) -> msgspec.Raw:
    """A number that was computed, to so many places."""
    return number(Decimal(repr(round(value, places))))
