"""The parameters of a request, one by one, refused in the venue's words.

Source: recorded frames (``invalid value``, ``value must be >= 10``); what is said about a
missing or wrongly typed value is after the documents, 2026-09.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from feedmux.sim.deribit_rpc import Denied

_LARGEST = Decimal(10) ** 15
_FINEST = -12


def wrong(param: str, reason: str) -> Denied:
    """The refusal of one parameter."""
    return Denied(-32602, {"reason": reason, "param": param})


class Params:
    """What a request brought.

    Args:
        values: by name, as JSON was read; numbers with a point are decimals.
    """

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values

    def __contains__(self, name: str) -> bool:
        return self._values.get(name) is not None

    def text(self, name: str, default: str | None = None) -> str:
        """A text.

        Raises:
            Denied: it is missing and has no default, or is no text.
        """
        value = self._values.get(name)
        if value is None:
            value = default
        if value is None:
            raise wrong(name, "value required")
        if not isinstance(value, str):
            raise wrong(name, "wrong format")
        return value

    def choice(self, name: str, allowed: Sequence[str], default: str | None = None) -> str:
        """One of some texts.

        Raises:
            Denied: it is another, or missing without a default.
        """
        value = self.text(name, default)
        if value not in allowed:
            raise wrong(name, "invalid value")
        return value

    def number(self, name: str) -> Decimal:
        """A number.

        Raises:
            Denied: it is missing, no number, or beyond all reason.
        """
        value = self._values.get(name)
        if value is None:
            raise wrong(name, "value required")
        if isinstance(value, bool) or not isinstance(value, int | Decimal):
            raise wrong(name, "wrong format")
        exact = Decimal(value)
        if not exact.is_finite() or abs(exact) > _LARGEST:
            raise wrong(name, f"value must be <= {_LARGEST}")
        if exact and exact.adjusted() < _FINEST:
            raise wrong(name, "wrong format")
        return exact

    def whole(self, name: str, default: int, *, least: int, most: int) -> int:
        """A whole number within bounds.

        Raises:
            Denied: it is none.
        """
        if name not in self:
            return default
        value = self.number(name)
        if value != value.to_integral_value():
            raise wrong(name, "wrong format")
        if value < least:
            raise wrong(name, f"value must be >= {least}")
        if value > most:
            raise wrong(name, f"value must be <= {most}")
        return int(value)

    def flag(self, name: str, *, default: bool = False) -> bool:
        """True or false.

        Raises:
            Denied: it is neither.
        """
        value = self._values.get(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise wrong(name, "wrong format")
        return value

    def texts(self, name: str) -> list[str]:
        """A list of texts.

        Raises:
            Denied: it is missing, or something else.
        """
        value = self._values.get(name)
        if value is None:
            raise wrong(name, "value required")
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise wrong(name, "wrong format")
        return value
