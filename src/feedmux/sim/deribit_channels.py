"""The channels of a simulated Deribit: which names there are, and what each asks for.

A name that is none is dropped from the answer without a word, as the venue does. Source: Deribit
API v2 documents, subscriptions, 2026-09; probes of 2026-09 (unknown instruments, intervals and
depths).
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec

from feedmux.sim.deribit_product import Product

RAW, AGGREGATED, SLOW = "raw", "100ms", "agg2"
RESOLUTIONS = ("1", "3", "5", "10", "15", "30", "60", "120", "180", "360", "720", "1D")
"""Of ``chart.trades``. Source: Deribit API v2 documents, chart.trades, 2026-09."""
KINDS = ("future", "option", "any")
_ANY = "any"

_INSTRUMENT = r"(?P<instrument>[A-Z0-9_]+-[A-Z0-9-]+)"
_GROUP = r"(?P<kind>future|option|any)\.(?P<currency>[A-Z0-9]+|any)"
_INTERVAL = r"\.(?P<interval>raw|100ms|agg2)"
_PATTERNS = {
    "book": rf"book\.{_INSTRUMENT}{_INTERVAL}",
    "window": rf"book\.{_INSTRUMENT}\.none\.(?P<depth>1|10|20)\.(?P<interval>100ms|agg2)",
    "ticker": rf"ticker\.{_INSTRUMENT}{_INTERVAL}",
    "incremental_ticker": rf"incremental_ticker\.{_INSTRUMENT}",
    "quote": rf"quote\.{_INSTRUMENT}",
    "perpetual": rf"perpetual\.{_INSTRUMENT}{_INTERVAL}",
    "trades": rf"trades\.(?:{_INSTRUMENT}|{_GROUP}){_INTERVAL}",
    "chart": rf"chart\.trades\.{_INSTRUMENT}\.(?P<resolution>{'|'.join(RESOLUTIONS)})",
    "index": r"deribit_price_index\.(?P<index>[a-z0-9]+_[a-z]+)",
    "platform_state": r"platform_state",
    "user.orders": rf"user\.orders\.(?:{_INSTRUMENT}|{_GROUP}){_INTERVAL}",
    "user.trades": rf"user\.trades\.(?:{_INSTRUMENT}|{_GROUP}){_INTERVAL}",
    "user.changes": rf"user\.changes\.(?:{_INSTRUMENT}|{_GROUP}){_INTERVAL}",
    "user.portfolio": r"user\.portfolio\.(?P<currency>[A-Za-z0-9]+)",
}
_COMPILED = {family: re.compile(pattern) for family, pattern in _PATTERNS.items()}


class Channel(msgspec.Struct, frozen=True):
    """One channel.

    Args:
        name: as it is subscribed to.
        family: a key of the table above.
        instrument: which; None when it is about several.
        kind: of the instruments it is about; ``any`` for all.
        currency: that they are paid in; ``any`` for all.
        interval: ``raw``, ``100ms`` or ``agg2``.
        depth: levels of a window.
        resolution: of a chart.
        index: the index it is about.
    """

    name: str
    family: str
    instrument: str | None = None
    kind: str = _ANY
    currency: str = _ANY
    interval: str = RAW
    depth: int = 0
    resolution: str = ""
    index: str = ""

    @property
    def is_private(self) -> bool:
        """Whether only its owner may read it."""
        return self.family.startswith("user.")

    @property
    def is_raw(self) -> bool:
        """Whether it ends in ``.raw``, which takes somebody who is logged in."""
        return self.name.endswith(".raw")

    def covers(self, product: Product) -> bool:
        """Whether an instrument is one that it is about."""
        if self.instrument is not None:
            return product.name == self.instrument
        return self.kind in {_ANY, product.kind} and self.currency in {_ANY, product.currency}


class Catalog:
    """The channels that there are, given the instruments.

    Args:
        products: what is traded.
        dropped: names that are not accepted although they look right.
    """

    def __init__(self, products: Iterable[Product], dropped: Iterable[str] = ()) -> None:
        self._products = {product.name: product for product in products}
        self.dropped = set(dropped)
        self.currencies = tuple(sorted({p.currency for p in self._products.values()}))
        self.indexes = tuple(sorted({p.index_name for p in self._products.values()}))

    def find(self, name: str) -> Channel | None:
        """The channel of that name; None when there is none."""
        if name in self.dropped:
            return None
        for family, pattern in _COMPILED.items():
            found = pattern.fullmatch(name)
            if found is not None:
                channel = _channel(name, family, found.groupdict())
                return channel if self._exists(channel) else None
        return None

    def _exists(self, channel: Channel) -> bool:
        if channel.instrument is not None:
            product = self._products.get(channel.instrument)
            return product is not None and (channel.family != "perpetual" or product.is_perpetual)
        if channel.family == "index":
            return channel.index in self.indexes
        return channel.currency == _ANY or channel.currency in self.currencies


def looks_raw(name: str) -> bool:
    """Whether a name asks for every change, whatever else it says."""
    return name.endswith(".raw")


def _channel(name: str, family: str, found: dict[str, str | None]) -> Channel:
    currency = found.get("currency") or _ANY
    return Channel(
        name=name,
        family=family,
        instrument=found.get("instrument"),
        kind=found.get("kind") or _ANY,
        currency=_ANY if currency == _ANY else currency.upper(),
        interval=found.get("interval") or _default_interval(family),
        depth=int(found.get("depth") or 0),
        resolution=found.get("resolution") or "",
        index=found.get("index") or "",
    )


def _default_interval(family: str) -> str:
    return SLOW if family in {"index", "platform_state"} else RAW
