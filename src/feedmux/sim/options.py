"""What a simulated Bybit is told before it starts."""

from __future__ import annotations

import re

import msgspec

from feedmux.model.errors import InvalidSetting

MARKETS = ("linear", "spot", "inverse")
"""The public markets that are served, each at ``/v5/public/<market>``."""

_SYMBOL = re.compile(r"[A-Z0-9][A-Z0-9-]{1,29}")


class SimOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How the simulated venue behaves; every default is what the real one was seen to do.

    Args:
        host: the address to listen on.
        port: the port to listen on; 0 lets the system choose.
        seed: the same seed makes the same prices, sizes and ids in the same order.
        rate: ticker updates per second and symbol; 10 is the real 100 ms. Spot sends twice as many.
        trade_rate: public trades per second and symbol.
        kline_rate: pushes per second of a running candle; the one that closes it comes besides.
        candle_speed: how much faster than real time the candles' clock runs; 60 closes a
            one-minute candle every second. Only ``start``, ``end`` and ``timestamp`` follow it.
        symbols: what linear and spot trade; inverse trades ``XUSD`` for each ``XUSDT``.
        any_symbol: True trades every well-formed upper-case symbol.
        data_before_ack: True sends a snapshot and some deltas before the acknowledgement, False
            the acknowledgement first, None what each market really does (linear and inverse
            data first, spot acknowledgement first).
        ack_delay_s: seconds that an acknowledgement waits besides, in steps of one tick.
        pong: False never answers an application ping.
        idle_cut_s: seconds after which a silent connection without a subscription is cut without
            a close frame (the documents say 600; 61 was seen); None never cuts.
        reset_after_s: seconds after which every connection is reset; None never.
        refuse: topics that are refused although they look right.
        garbage_every: every n-th frame of a market is spoilt, one kind after the other; 0 none.
        backlog_bytes: how much may wait for a connection that does not read before it is cut.
    """

    host: str = "127.0.0.1"
    port: int = 0
    seed: int = 1
    rate: float = 10.0
    trade_rate: float = 5.0
    kline_rate: float = 1.0
    candle_speed: float = 1.0
    symbols: tuple[str, ...] = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT", "DOGEUSDT")
    any_symbol: bool = False
    data_before_ack: bool | None = None
    ack_delay_s: float = 0.0
    pong: bool = True
    idle_cut_s: float | None = 600.0
    reset_after_s: float | None = None
    refuse: tuple[str, ...] = ()
    garbage_every: int = 0
    backlog_bytes: int = 16 * 1024 * 1024

    def __post_init__(self) -> None:
        """Refuse what cannot work.

        Raises:
            InvalidSetting: a number is outside its range, or a symbol is none.
        """
        for name in ("rate", "kline_rate", "candle_speed", "backlog_bytes"):
            self._require(name, getattr(self, name) > 0, "a number above 0")
        for name in ("trade_rate", "ack_delay_s", "garbage_every"):
            self._require(name, getattr(self, name) >= 0, "0 or more")
        for name in ("idle_cut_s", "reset_after_s"):
            seconds = getattr(self, name)
            self._require(name, seconds is None or seconds > 0, "seconds above 0, or none")
        for symbol in self.symbols:
            if not is_symbol(symbol):
                raise InvalidSetting("symbols", symbol, "upper-case letters, digits and '-'")

    def _require(self, name: str, right: bool, expected: str) -> None:
        if not right:
            raise InvalidSetting(name, getattr(self, name), expected)

    def traded(self, market: str) -> frozenset[str]:
        """The symbols that ``market`` trades when it does not trade any."""
        if market == "inverse":
            return frozenset(s.removesuffix("T") for s in self.symbols if s.endswith("USDT"))
        return frozenset(self.symbols)

    def acks_last(self, market: str) -> bool:
        """True when data precedes the acknowledgement in ``market``.

        Source: captures of 2026-09 on linear (data first) and on spot (acknowledgement first).
        """
        return market != "spot" if self.data_before_ack is None else self.data_before_ack


def is_symbol(text: str) -> bool:
    """True when a venue could trade something of that name."""
    return _SYMBOL.fullmatch(text) is not None
