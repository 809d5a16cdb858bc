"""The streams of one symbol on a simulated Bybit market, as the JSON text of their frames."""

from __future__ import annotations

from abc import ABC, abstractmethod
from random import Random

import msgspec

from feedmux.sim.candle import INTERVALS, Candle
from feedmux.sim.clock import Moment
from feedmux.sim.frames import Reader
from feedmux.sim.market import instrument, trimmed
from feedmux.sim.tape import Tape

_encode = msgspec.json.Encoder().encode
_MAX_TRADES = 1024
"""Trades of one message. Source: Bybit V5 documents, websocket/public/trade, 2026-07."""
_MAX_LATE_CANDLES = 10


class Stream(ABC):
    """One topic: who reads it, and what waits to be sent to them.

    ``readers`` have had the first frame, ``fresh`` ones get it with the next delivery. While
    ``muted`` nothing is added to what waits.
    """

    def __init__(self, topic: str) -> None:
        self.topic = topic
        self.readers: set[Reader] = set()
        self.fresh: set[Reader] = set()
        self.muted = False
        self.waiting: list[bytes] = []
        self.last = self.before = b""

    @property
    def is_read(self) -> bool:
        return bool(self.readers or self.fresh)

    def put(self, payload: bytes) -> None:
        """Add a frame for those who read, unless the stream is muted."""
        if self.readers and not self.muted:
            self.waiting.append(payload)

    def take(self) -> list[bytes]:
        """The frames that wait, oldest first; they wait no more."""
        payloads, self.waiting = self.waiting, []
        if payloads:
            self.before = payloads[-2] if len(payloads) > 1 else self.last or payloads[-1]
            self.last = payloads[-1]
        return payloads

    @abstractmethod
    def first(self, moment: Moment) -> bytes | None:
        """The frame that a new reader gets at once; trades have none."""

    def wake(self, moment: Moment) -> None:  # noqa: B027 - most streams have nothing to wake
        """Somebody begins to read what nobody read."""

    def drop(self, reader: Reader) -> None:
        """``reader`` reads no more."""
        self.readers.discard(reader)
        self.fresh.discard(reader)


class Tickers(Stream):
    """``tickers.{symbol}``: on spot whole states, else one whole state and then what changed.

    While it is muted the changes pile up, so that the first delta after it makes a reader's
    merged state right again.
    """

    def __init__(self, desk: Desk, topic: str) -> None:
        super().__init__(topic)
        self._desk = desk
        self._changed: dict[str, str] = {}

    def changed(self, fields: dict[str, str], moment: Moment) -> None:
        """The instrument moved: ``fields`` are what changed."""
        if not self.readers:
            self._changed = {}
            return
        if self.muted:
            self._changed.update(fields)
            return
        if self._changed:
            fields, self._changed = self._changed | fields, {}
        whole = self._desk.market == "spot"
        self.put(self._payload(self._desk.instrument.fields if whole else fields, moment, whole=whole))

    def first(self, moment: Moment) -> bytes:
        return self._payload(self._desk.instrument.fields, moment, whole=True)

    def _payload(self, fields: dict[str, str], moment: Moment, *, whole: bool) -> bytes:
        kind, topic = b"snapshot" if whole else b"delta", self.topic.encode()
        data, cross, now = _encode(fields), self._desk.cross(), moment.now_ms
        if self._desk.market == "spot":
            return b'{"topic":"%b","ts":%d,"type":"%b","cs":%d,"data":%b}' % (topic, now, kind, cross, data)
        return b'{"topic":"%b","type":"%b","data":%b,"cs":%d,"ts":%d}' % (topic, kind, data, cross, now)


class Klines(Stream):
    """``kline.{interval}.{symbol}``: the running candle some times a second, the closed one at once."""

    def __init__(self, desk: Desk, topic: str, interval: str, moment: Moment) -> None:
        super().__init__(topic)
        self._desk = desk
        self.candle = Candle(interval, moment.candle_ms, desk.instrument.last)
        self._credit = 0.0

    def wake(self, moment: Moment) -> None:
        """Somebody reads again: a candle that ended while nobody did is gone."""
        if moment.candle_ms > self.candle.end:
            self._open(moment.candle_ms)

    def pass_time(self, pushes: float, moment: Moment) -> None:
        """Close what is over, then push the running candle if it is due.

        Args:
            pushes: how many pushes fall into the time that passed, mostly a fraction.
            moment: now.
        """
        for _ in range(_MAX_LATE_CANDLES):
            if moment.candle_ms <= self.candle.end:
                break
            self.put(self._payload(moment, confirm=True))
            self._open(self.candle.end + 1)
            self._credit = 1.0
        self.wake(moment)
        self._credit = min(self._credit + pushes, 1.0)
        if self._credit > 1 - 1e-9:
            self._credit = 0.0
            self.put(self._payload(moment, confirm=False))

    def first(self, moment: Moment) -> bytes:
        return self._payload(moment, confirm=False)

    def _open(self, ms: int) -> None:
        self.candle = Candle(self.candle.interval, ms, self._desk.instrument.last)

    def _payload(self, moment: Moment, *, confirm: bool) -> bytes:
        data = _encode([self.candle.data(moment.candle_ms, confirm=confirm)])
        return b'{"topic":"%b","data":%b,"ts":%d,"type":"snapshot"}' % (
            self.topic.encode(),
            data,
            moment.now_ms,
        )


class Trades(Stream):
    """``publicTrade.{symbol}``: what traded since the last message."""

    def __init__(self, desk: Desk, topic: str, tape: Tape) -> None:
        super().__init__(topic)
        self._desk = desk
        self._tape = tape
        self._credit = 0.0

    def pass_time(self, trades: float, moment: Moment) -> None:
        """Draw the trades that are due; ``trades`` is how many fall into the time that passed."""
        self._credit += trades
        due = int(self._credit + 1e-9)
        self._credit -= due
        for start in range(0, due, _MAX_TRADES):
            items = [self._item(moment) for _ in range(min(_MAX_TRADES, due - start))]
            self.put(self._payload(items, moment))

    def first(self, moment: Moment) -> None:
        return None

    def _payload(self, items: list[dict[str, object]], moment: Moment) -> bytes:
        head = b'{"topic":"%b","type":"snapshot","ts":%d,"data":%b}'
        if self._desk.market == "spot":
            head = b'{"topic":"%b","ts":%d,"type":"snapshot","data":%b}'
        return head % (self.topic.encode(), moment.now_ms, _encode(items))

    def _item(self, moment: Moment) -> dict[str, object]:
        trade, symbol, seq = self._tape.draw(), self._desk.symbol, self._desk.cross()
        if self._desk.market == "spot":
            return {
                "i": str(2_100_000_000_000_000_000 + trade.number),
                "T": moment.now_ms,
                "p": trimmed(trade.price),
                "v": trimmed(trade.size),
                "S": trade.side,
                "seq": seq,
                "s": symbol,
                "BT": False,
                "RPI": False,
            }
        return {
            "T": moment.now_ms,
            "s": symbol,
            "S": trade.side,
            "v": format(trade.size, "f"),
            "p": format(trade.price, "f"),
            "L": trade.direction,
            "i": trade.ident,
            "BT": False,
            "RPI": False,
            "seq": seq,
        }


class Desk:
    """One symbol: the instrument, and all its streams that anybody ever asked for.

    Args:
        market: ``linear``, ``spot`` or ``inverse``.
        symbol: the venue's symbol.
        seed: makes the instrument and the tape.
        moment: when trading starts.
    """

    def __init__(self, market: str, symbol: str, seed: int, moment: Moment) -> None:
        self.market = market
        self.symbol = symbol
        self.instrument = instrument(market, symbol, seed, moment.now_ms)
        self.streams: dict[str, Stream] = {}
        self._seed = seed
        self._dice = Random(f"{seed}:{market}:{symbol}:cross")
        self._cross = self._dice.randrange(10**11, 10**12)
        self._tickers: Tickers | None = None
        self._klines: list[Klines] = []
        self._trades: Trades | None = None

    @property
    def is_read(self) -> bool:
        return any(stream.is_read for stream in self.streams.values())

    def cross(self) -> int:
        """The next cross sequence; it rises by thousands, as the venue's does."""
        self._cross += self._dice.randint(1000, 9000)
        return self._cross

    def stream(self, topic: str, moment: Moment) -> Stream:
        """The stream of ``topic``, opened when it is new; the topic must be of this symbol."""
        known = self.streams.get(topic)
        if known is None:
            known = self.streams[topic] = self._open(topic, moment)
        return known

    def _open(self, topic: str, moment: Moment) -> Stream:
        kind, rest = topic.split(".", 1)
        if kind == "tickers":
            self._tickers = Tickers(self, topic)
            return self._tickers
        if kind == "kline":
            self._klines.append(Klines(self, topic, rest.split(".", 1)[0], moment))
            return self._klines[-1]
        dice = Random(f"{self._seed}:{self.market}:{self.symbol}:tape")
        self._trades = Trades(self, topic, Tape(self.instrument, dice))
        return self._trades

    def step(self, moment: Moment) -> None:
        """Let the instrument move once."""
        moved = self.instrument
        fields = moved.step(moment.now_ms)
        for klines in self._klines:
            klines.candle.add(moved.last, moved.traded, moved.paid)
        if self._tickers is not None:
            self._tickers.changed(fields, moment)

    def pass_time(self, pushes: float, trades: float, moment: Moment) -> None:
        """Let candles and tape go on; the numbers are what falls into the time that passed."""
        for klines in self._klines:
            if klines.is_read:
                klines.pass_time(pushes, moment)
        if self._trades is not None and self._trades.is_read:
            self._trades.pass_time(trades, moment)


def symbol_of(topic: str) -> str | None:
    """The symbol of a topic that is served here, else None.

    Served are ``tickers.S``, ``publicTrade.S`` and ``kline.{interval}.S``; order books and
    liquidations, which the venue has besides, are not.
    """
    kind, _, rest = topic.partition(".")
    if kind == "kline":
        interval, _, rest = rest.partition(".")
        if interval not in INTERVALS:
            return None
    elif kind not in {"tickers", "publicTrade"}:
        return None
    return rest or None
