"""A seeded random market: what trades at which price, in the field sets of Bybit's tickers.

Theory of operation
-------------------
An :class:`Instrument` moves only when it is told to ``step``. A step draws from the
instrument's own dice, so the n-th step of a symbol is the same for the same seed, whatever
else runs and however long it takes. Most steps trade (the last price moves by some ticks, the
day's high, low, volume and turnover follow); all of them change at least one side of the top
of the book. What a step changed is returned as Bybit's fields; ``fields`` is the whole state.

Laws that hold after every step (seen on captures of 2026-09, linear):

- ``openInterest * markPrice`` rounded to 2 places is ``openInterestValue`` (inverse divides);
- ``(lastPrice - prevPrice24h) / prevPrice24h`` cut to 6 places is ``price24hPcnt`` (spot
  rounds to 4);
- bid < ask, low <= last <= high; price and size of a side change together.

All arithmetic is decimal. Public trades are drawn apart (:mod:`feedmux.sim.tape`), with other
dice, at the current price; they do not move it.
"""

from __future__ import annotations

from decimal import ROUND_DOWN, ROUND_HALF_EVEN, Decimal
from random import Random

import msgspec

_KNOWN = {
    "BTC": ("83024.60", "0.10", "0.001"),
    "ETH": ("2665.25", "0.01", "0.01"),
    "SOL": ("141.530", "0.010", "0.1"),
    "XRP": ("2.2145", "0.0001", "0.1"),
    "DOGE": ("0.17833", "0.00001", "1"),
}
"""Coin: price, price step and size step of its linear contract."""
_CENT = Decimal("0.01")
_FOUR = Decimal("0.0001")
_SIX = Decimal("0.000001")
_EIGHT = Decimal("0.00000001")
_FUNDING_MS = 8 * 3_600_000


class Contract(msgspec.Struct, frozen=True):
    """What is traded.

    Args:
        symbol: the venue's name of it.
        price: where the price starts.
        tick: the smallest price step.
        lot: the smallest size step.
    """

    symbol: str
    price: Decimal
    tick: Decimal
    lot: Decimal


def contract(market: str, symbol: str, seed: int) -> Contract:
    """The contract of ``symbol``: well-known coins near real prices, others by the seed."""
    dice = Random(f"{seed}:contract:{symbol}")
    coin = symbol.split("USD", maxsplit=1)[0]
    if coin in _KNOWN:
        price, tick, lot = (Decimal(text) for text in _KNOWN[coin])
    else:
        places = dice.randint(1, 5)
        tick = Decimal(1).scaleb(-places)
        price, lot = dice.randint(5_000, 90_000) * tick, Decimal("0.1")
    if market == "spot":
        lot = lot.scaleb(-3)
    elif market == "inverse":
        lot = Decimal(1)
    return Contract(symbol, price, tick, lot)


class Instrument:
    """One symbol on the spot market; derivatives add their fields to it.

    Args:
        made: what is traded.
        dice: its own source of chance.
        now_ms: Unix milliseconds, when trading starts.
    """

    pcnt_step = _FOUR
    pcnt_rounding = ROUND_HALF_EVEN

    def __init__(self, made: Contract, dice: Random, now_ms: int) -> None:
        self.contract = made
        self.dice = dice
        self.last = made.price
        self.previous = made.price + made.tick * dice.randint(-1200, 1200)
        self.high = max(self.last, self.previous) + made.tick * dice.randint(0, 400)
        self.low = min(self.last, self.previous) - made.tick * dice.randint(0, 400)
        self.volume = made.lot * dice.randint(10_000_000, 90_000_000)
        self.turnover = self.worth(self.volume)
        self.traded = self.paid = Decimal(0)
        self.trade_direction = "ZeroPlusTick"
        self.fields: dict[str, str] = {"symbol": made.symbol, **self.opening(now_ms)}

    def opening(self, now_ms: int) -> dict[str, str]:
        """All fields but the symbol, in the venue's order. ``now_ms`` is for derivatives."""
        return {
            "lastPrice": self.text(self.last),
            "highPrice24h": self.text(self.high),
            "lowPrice24h": self.text(self.low),
            "prevPrice24h": self.text(self.previous),
            "volume24h": trimmed(self.volume),
            "turnover24h": trimmed(self.turnover.quantize(_EIGHT)),
            "price24hPcnt": self.pcnt(),
            "usdIndexPrice": self.near(self.last, 40),
        }

    def step(self, now_ms: int) -> dict[str, str]:
        """Move on. Returns the changed fields, the symbol among them; costs some microseconds.

        ``now_ms`` (Unix milliseconds) only says whether the next funding is due.
        """
        changed = {"symbol": self.contract.symbol}
        self.trade_once()
        changed["lastPrice"] = self.text(self.last)
        changed["highPrice24h"] = self.text(self.high)
        changed["lowPrice24h"] = self.text(self.low)
        changed["volume24h"] = trimmed(self.volume)
        changed["turnover24h"] = trimmed(self.turnover.quantize(_EIGHT))
        changed["price24hPcnt"] = self.pcnt()
        if self.dice.random() < 0.3:
            changed["usdIndexPrice"] = self.near(self.last, 40)
        self.fields.update(changed)
        return changed

    def trade_once(self) -> None:
        """Let something trade: move the last price and what hangs on it."""
        dice, made = self.dice, self.contract
        move = dice.randint(-9, 9) if dice.random() < 0.6 else 0
        if abs(self.last - made.price) * 5 > made.price:  # keep within a fifth of the start
            move = -9 if self.last > made.price else 9
        price = self.last + move * made.tick
        self.trade_direction = direction(price, self.last, self.trade_direction)
        self.last = price
        self.high, self.low = max(self.high, price), min(self.low, price)
        self.traded = made.lot * dice.randint(1, 2000)
        self.paid = self.worth(self.traded)
        self.volume += self.traded
        self.turnover += self.paid

    def worth(self, size: Decimal) -> Decimal:
        """The turnover of ``size`` at the last price."""
        return size * self.last

    def text(self, price: Decimal) -> str:
        """A price as this market prints it; spot leaves trailing zeros out."""
        return trimmed(price)

    def near(self, price: Decimal, ticks: int) -> str:
        """A price not far from ``price``, as a text."""
        return self.text(price + self.contract.tick * self.dice.randint(-ticks, ticks))

    def pcnt(self) -> str:
        """The change over 24 hours, as this market prints it."""
        change = (self.last - self.previous) / self.previous
        return trimmed(change.quantize(self.pcnt_step, self.pcnt_rounding))


class Derivative(Instrument):
    """A linear perpetual: one ticker is sent in parts, with the top of the book."""

    pcnt_step = _SIX
    pcnt_rounding = ROUND_DOWN

    def opening(self, now_ms: int) -> dict[str, str]:
        made, dice = self.contract, self.dice
        self.mark = self.last
        self.funding_ms = _next_funding(now_ms)
        self.interest = made.lot * dice.randint(20_000_000, 90_000_000)
        return {
            "tickDirection": self.trade_direction,
            "price24hPcnt": self.pcnt(),
            "lastPrice": self.text(self.last),
            "prevPrice24h": self.text(self.previous),
            "highPrice24h": self.text(self.high),
            "lowPrice24h": self.text(self.low),
            "prevPrice1h": self.near(self.last, 300),
            "markPrice": self.text(self.mark),
            "indexPrice": self.near(self.last, 40),
            "openInterest": format(self.interest, "f"),
            "openInterestValue": self.value(self.interest),
            **self._day(),
            "fundingIntervalHour": "8",
            "fundingCap": "0.00333",
            "singleOpenInterest": format(self.interest_one_side, "f"),
            "singleOpenInterestValue": self.value(self.interest_one_side),
            "nextFundingTime": str(self.funding_ms),
            "fundingRate": self._funding(),
            **self._bid(),
            **self._ask(),
            "preOpenPrice": "",
            "preQty": "",
            "curPreListingPhase": "",
        }

    @property
    def interest_one_side(self) -> Decimal:
        """The open interest counted once, in whole lots."""
        lots = self.interest // self.contract.lot
        return (lots + 1) // 2 * self.contract.lot

    def step(self, now_ms: int) -> dict[str, str]:
        chance = self.dice.random
        changed = {"symbol": self.contract.symbol}
        self.traded = self.paid = Decimal(0)
        moved = chance() < 0.5
        if moved:
            changed.update(self._trade_fields())
        if chance() < 0.02:
            changed.update(self._roll())
        if chance() < 0.25:
            changed["indexPrice"] = self.near(self.last, 40)
        if chance() < 0.15:
            changed.update(self._revalue())
        if now_ms >= self.funding_ms:
            self.funding_ms = _next_funding(now_ms)
            changed.update(nextFundingTime=str(self.funding_ms), fundingRate=self._funding())
        changed.update(self._book(moved=moved))
        self.fields.update(changed)
        return changed

    def _trade_fields(self) -> dict[str, str]:
        before = self.high, self.low
        self.trade_once()
        changed = {
            "tickDirection": self.trade_direction,
            "price24hPcnt": self.pcnt(),
            "lastPrice": self.text(self.last),
        }
        if before != (self.high, self.low):
            changed.update(highPrice24h=self.text(self.high), lowPrice24h=self.text(self.low))
        return changed | self._day()

    def _day(self) -> dict[str, str]:
        return {
            "turnover24h": format(self.turnover.quantize(_FOUR), "f"),
            "volume24h": format(self.volume.quantize(_FOUR), "f"),
        }

    def _roll(self) -> dict[str, str]:
        """The window of 24 hours moves on."""
        self.previous += self.contract.tick * self.dice.randint(-20, 20)
        return {
            "price24hPcnt": self.pcnt(),
            "prevPrice24h": self.text(self.previous),
            "prevPrice1h": self.near(self.last, 300),
        }

    def _revalue(self) -> dict[str, str]:
        """The mark follows the last price; every open position is worth something else."""
        self.mark = self.last + self.contract.tick * self.dice.randint(-2, 2)
        changed = {"markPrice": self.text(self.mark)}
        if self.dice.random() < 0.2:
            self.interest += self.contract.lot * self.dice.randint(-2000, 2000)
            changed["openInterest"] = format(self.interest, "f")
            changed["singleOpenInterest"] = format(self.interest_one_side, "f")
        changed["openInterestValue"] = self.value(self.interest)
        changed["singleOpenInterestValue"] = self.value(self.interest_one_side)
        return changed

    def value(self, interest: Decimal) -> str:
        """What ``interest`` is worth at the mark price, to 2 places."""
        return format((interest * self.mark).quantize(_CENT), "f")

    def _funding(self) -> str:
        return format(Decimal(self.dice.randint(-9999, 9999)) * _EIGHT, "f")

    def _book(self, *, moved: bool) -> dict[str, str]:
        """Both sides after a price move, else one or both with another size."""
        draw = self.dice.random()
        if moved or draw < 0.4:
            return self._bid() | self._ask()
        return self._bid() if draw < 0.7 else self._ask()

    def _bid(self) -> dict[str, str]:
        return {"bid1Price": self.text(self.last - self.contract.tick), "bid1Size": self._size()}

    def _ask(self) -> dict[str, str]:
        return {"ask1Price": self.text(self.last), "ask1Size": self._size()}

    def _size(self) -> str:
        return format(self.contract.lot * self.dice.randint(1, 20_000), "f")

    def text(self, price: Decimal) -> str:
        return format(price, "f")


class InverseDerivative(Derivative):
    """An inverse perpetual: one contract is one USD, its worth is counted in the coin."""

    def worth(self, size: Decimal) -> Decimal:
        return size / self.last

    def value(self, interest: Decimal) -> str:
        return format((interest / self.mark).quantize(_CENT), "f")


_KINDS = {"linear": Derivative, "inverse": InverseDerivative, "spot": Instrument}


def instrument(market: str, symbol: str, seed: int, now_ms: int) -> Instrument:
    """Open trading in ``symbol``; the same arguments make the same instrument."""
    made = contract(market, symbol, seed)
    return _KINDS[market](made, Random(f"{seed}:{market}:{symbol}"), now_ms)


def _next_funding(now_ms: int) -> int:
    return (now_ms // _FUNDING_MS + 1) * _FUNDING_MS


def direction(price: Decimal, before: Decimal, last: str) -> str:
    """Bybit's word for how a trade's price compares with the one before.

    Args:
        price: the price of this trade.
        before: the price of the trade before.
        last: the word for the trade before.
    """
    if price > before:
        return "PlusTick"
    if price < before:
        return "MinusTick"
    return "ZeroPlusTick" if last.endswith("PlusTick") else "ZeroMinusTick"


def trimmed(number: Decimal) -> str:
    """The digits of ``number`` without trailing zeros after the point."""
    text = format(number, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text
