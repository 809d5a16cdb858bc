"""The public channels of a simulated Deribit, besides books: tickers, quotes, trades, candles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

from feedmux.sim.candle import Candle
from feedmux.sim.clock import Moment
from feedmux.sim.deribit_book_streams import BookChanges, BookWindow
from feedmux.sim.deribit_channels import RAW, Channel
from feedmux.sim.deribit_json import number
from feedmux.sim.deribit_market import Index, Market
from feedmux.sim.deribit_order import Trade
from feedmux.sim.deribit_stream import MAX_WAITING, Stream, period_ms
from feedmux.sim.deribit_ticker import quote, ticker

_MAX_LATE_CANDLES = 10
_INDEX_MS = 1000
_STATE_MS = 400


class Tickers(Stream):
    """``ticker.{instrument}.{interval}``: everything each time."""

    def __init__(self, channel: Channel, market: Market, period_ms: int) -> None:
        super().__init__(channel, period_ms)
        self._market = market
        self._shown = -1

    def settle(self, moment: Moment) -> None:
        if self._shown != self._market.version and self.readers:
            self.put(self.first(moment))

    def first(self, moment: Moment) -> object:
        self._shown = self._market.version
        return ticker(self._market, moment.now_ms)


class IncrementalTicker(Stream):
    """``incremental_ticker.{instrument}``: everything once, then what changed."""

    def __init__(self, channel: Channel, market: Market, period_ms: int) -> None:
        super().__init__(channel, period_ms)
        self._market = market
        self._version = -1
        self._shown: dict[str, object] = {}

    def settle(self, moment: Moment) -> None:
        if self._version == self._market.version or not self.readers:
            return
        self._version = self._market.version
        now = ticker(self._market, moment.now_ms)
        changed = {key: value for key, value in now.items() if self._shown.get(key) != value}
        self._shown = now
        head = {"type": "change", "timestamp": moment.now_ms, "instrument_name": self._market.product.name}
        self.put(head | changed)

    def first(self, moment: Moment) -> object:
        self._version = self._market.version
        self._shown = ticker(self._market, moment.now_ms)
        return {"type": "snapshot"} | self._shown


class Quotes(Stream):
    """``quote.{instrument}``: the best of both sides, when it is another."""

    def __init__(self, channel: Channel, market: Market, period_ms: int) -> None:
        super().__init__(channel, period_ms)
        self._market = market
        self._shown: dict[str, object] = {}

    def settle(self, moment: Moment) -> None:
        now = quote(self._market)
        if now != self._shown and self.readers:
            self.put(self.first(moment))

    def first(self, moment: Moment) -> object:
        self._shown = quote(self._market)
        return {"timestamp": moment.now_ms, "instrument_name": self._market.product.name} | self._shown


class Trades(Stream):
    """``trades.…``: what was traded, a list in each delivery; one per taker when ``raw``."""

    def __init__(self, channel: Channel, period_ms: int) -> None:
        super().__init__(channel, period_ms)
        self._pending: list[dict[str, object]] = []

    def traded(self, trades: Sequence[Trade], moment: Moment) -> None:
        if self.muted or not self.readers or not self.channel.covers(trades[0].product):
            return
        if len(self._pending) < MAX_WAITING:
            self._pending += [trade.view() for trade in trades]
        if self.channel.interval == RAW:
            self.settle(moment)

    def settle(self, moment: Moment) -> None:
        pending, self._pending = self._pending, []
        if pending:
            self.put(pending)


class Chart(Stream):
    """``chart.trades.{instrument}.{resolution}``: the running candle; nothing says when it is closed."""

    def __init__(self, channel: Channel, market: Market, moment: Moment) -> None:
        super().__init__(channel, 100)
        self._market = market
        self._interval = "D" if channel.resolution == "1D" else channel.resolution
        self._candle = Candle(self._interval, moment.candle_ms, market.last)
        self._is_news = True

    def traded(self, trades: Sequence[Trade], moment: Moment) -> None:
        if trades[0].product is not self._market.product:
            return
        for trade in trades:
            volume, cost = trade.product.volume(trade.amount, trade.price)
            self._candle.add(trade.price, volume, cost)
        self._is_news = True

    def collect(self, moment: Moment) -> list[bytes]:
        if moment.candle_ms > self._candle.end:
            self._roll(moment)
        return super().collect(moment)

    def _roll(self, moment: Moment) -> None:
        """Begin the next candle; those that nobody traded in are there too, unless they are many."""
        self.settle(moment)
        for _ in range(_MAX_LATE_CANDLES):
            if moment.candle_ms <= self._candle.end:
                return
            self._begin(self._candle.end + 1, moment)
        if moment.candle_ms > self._candle.end:
            self._begin(moment.candle_ms, moment)

    def _begin(self, ms: int, moment: Moment) -> None:
        self._candle = Candle(self._interval, ms, self._market.last)
        self._is_news = True
        self.settle(moment)

    def settle(self, moment: Moment) -> None:
        if self._is_news and self.readers and not self.muted:
            self._is_news = False
            self.put(self._data())

    def _data(self) -> dict[str, object]:
        """Source: a capture of 2026-01, chart.trades."""
        candle, places = self._candle, Decimal("0.00000001")
        return {
            "tick": candle.start,
            "open": number(candle.open),
            "high": number(candle.high),
            "low": number(candle.low),
            "close": number(candle.close),
            "volume": number(candle.volume.quantize(places)),
            "cost": number(candle.turnover.quantize(places)),
        }


class PriceIndex(Stream):
    """``deribit_price_index.{index}``: once a second."""

    def __init__(self, channel: Channel, index: Index) -> None:
        super().__init__(channel, _INDEX_MS)
        self._index = index

    def settle(self, moment: Moment) -> None:
        if self.readers:
            self.put(self.first(moment))

    def first(self, moment: Moment) -> object:
        return {
            "timestamp": moment.now_ms,
            "price": number(self._index.price),
            "index_name": self._index.name,
        }


class Perpetual(Stream):
    """``perpetual.{instrument}.{interval}``: the interest of a perpetual."""

    def __init__(self, channel: Channel, market: Market, period_ms: int) -> None:
        super().__init__(channel, period_ms)
        self._market = market
        self._shown = -1

    def settle(self, moment: Moment) -> None:
        if self._shown != self._market.version and self.readers:
            self.put(self.first(moment))

    def first(self, moment: Moment) -> object:
        self._shown = self._market.version
        index = self._market.index.price
        interest = ((self._market.mark - index) / index).quantize(Decimal("0.000000000001"))
        return {"index_price": number(index), "interest": number(interest), "timestamp": moment.now_ms}


class PlatformState(Stream):
    """``platform_state``: some times a second that an index is not locked; maintenance when it is.

    Source: probes of 2026-09 (about 150 messages a minute, each of one index).
    """

    def __init__(self, channel: Channel, indexes: Sequence[str]) -> None:
        super().__init__(channel, _STATE_MS)
        self._indexes = indexes
        self._place = 0

    def announce(self, maintenance: bool) -> None:
        """Tell that maintenance begins, or is over."""
        self.put({"maintenance": maintenance})

    def settle(self, moment: Moment) -> None:
        if self.readers:
            self._place = (self._place + 1) % len(self._indexes)
            self.put({"locked": False, "price_index": self._indexes[self._place], "reasons": []})


def public_stream(
    channel: Channel,
    markets: Mapping[str, Market],
    indexes: Mapping[str, Index],
    moment: Moment,
    agg2_s: float,
) -> Stream:
    """The stream of a public channel that exists."""
    period = period_ms(channel, agg2_s)
    if channel.family == "trades":
        return Trades(channel, period)
    if channel.family == "index":
        return PriceIndex(channel, indexes[channel.index])
    if channel.family == "platform_state":
        return PlatformState(channel, sorted(indexes))
    market = markets[channel.instrument or ""]
    if channel.family == "chart":
        return Chart(channel, market, moment)
    made: dict[str, type[BookChanges | BookWindow | Tickers | IncrementalTicker | Quotes | Perpetual]] = {
        "book": BookChanges,
        "window": BookWindow,
        "ticker": Tickers,
        "incremental_ticker": IncrementalTicker,
        "quote": Quotes,
        "perpetual": Perpetual,
    }
    return made[channel.family](channel, market, period)
