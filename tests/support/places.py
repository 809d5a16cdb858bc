"""The places of a gateway that serves two markets of Bybit and one venue without candles."""

from __future__ import annotations

from typing import Final

from feedmux.wire.place import Place, Places

INTERVALS: Final = {"1m": "1", "1h": "60", "1d": "D"}
LINEAR: Final = Place("bybit.linear", "bybit", "linear", "futures", INTERVALS)
SPOT: Final = Place("bybit.spot", "bybit", "spot", "spot", INTERVALS)
DERIBIT: Final = Place("deribit", "deribit", "", "deribit", {})
PLACES: Final = Places("mudrex", [LINEAR, SPOT, DERIBIT])
