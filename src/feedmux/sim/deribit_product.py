"""What a simulated Deribit trades: names, steps and units of its instruments.

The unit of an amount depends on the instrument: US dollars on inverse perpetuals and futures,
the base coin on linear ones and on options. Source: Deribit API v2 documents, get_instruments,
2026-09; the page of the book channels says otherwise about linear ones, the wire does not.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal

import msgspec

from feedmux.sim.deribit_json import number, real
from feedmux.sim.market import contract

_NAME = re.compile(
    r"(?P<coin>[A-Z0-9]{2,10})(?P<linear>_USDC)?-"
    r"(?:(?P<perpetual>PERPETUAL)|(?P<day>\d{1,2}(?:JAN|FEB|MAR|APR|MAY|JUN|JUL|AUG|SEP|OCT|NOV|DEC)\d\d)"
    r"(?:-(?P<strike>[1-9]\d{0,8})-(?P<right>[CP]))?)"
)
_STEPS = {
    "BTC": ("0.5", "10", "10"),
    "ETH": ("0.05", "1", "1"),
    "BTC_USDC": ("0.5", "0.001", "0.001"),
    "ETH_USDC": ("0.05", "0.001", "0.001"),
}
"""Price step, amount step and contract size of perpetuals and futures."""
_OPTION_STEPS = {"BTC": ("0.0005", "0.1", "1")}
_FOREVER_MS = 32_503_708_800_000
"""When a perpetual expires. Source: Deribit API v2 documents, get_instruments, 2026-09."""
_EXPIRY_HOUR = 8
_CREATED_MS = 1_534_242_287_000
_LEVERAGE = 50


class Product(msgspec.Struct, frozen=True):
    """One instrument.

    Args:
        name: the venue's name of it.
        kind: ``future`` (perpetuals too) or ``option``.
        base: the coin.
        currency: what profit and loss are paid in.
        tick: the smallest price step.
        lot: the smallest amount, and its step.
        size: the amount of one contract.
        inverse: True when an amount is in US dollars and paid in the coin.
        expiry_ms: when it ends; None never.
        strike: of an option, else None.
        call: True for a call.
    """

    name: str
    kind: str
    base: str
    currency: str
    tick: Decimal
    lot: Decimal
    size: Decimal
    inverse: bool
    expiry_ms: int | None = None
    strike: Decimal | None = None
    call: bool = False

    @property
    def is_option(self) -> bool:
        """True for an option."""
        return self.strike is not None

    @property
    def is_perpetual(self) -> bool:
        """True for what never ends."""
        return self.expiry_ms is None

    @property
    def index_name(self) -> str:
        """The index that it follows."""
        return f"{self.base}_{'usdc' if self.currency == 'USDC' else 'usd'}".lower()

    def worth(self, amount: Decimal, price: Decimal) -> Decimal:
        """What ``amount`` costs at ``price``, in the currency it is paid in."""
        return amount / price if self.inverse else amount * price

    def volume(self, amount: Decimal, price: Decimal) -> tuple[Decimal, Decimal]:
        """``amount`` as base coin and as quote currency, at ``price``."""
        return (amount / price, amount) if self.inverse else (amount, amount * price)

    def years_left(self, now_ms: int) -> float:
        """Years until it ends, never less than an hour; 0 for what never ends."""
        if self.expiry_ms is None:
            return 0.0
        return max(self.expiry_ms - now_ms, 3_600_000) / (365 * 86_400_000)

    def listing(self, ident: int) -> dict[str, object]:
        """Its item in ``public/get_instruments``.

        Source: Deribit API v2 documents, get_instruments, 2026-09.
        """
        listed: dict[str, object] = {
            "tick_size": number(self.tick),
            "tick_size_steps": [],
            "taker_commission": number(Decimal("0.0003" if self.is_option else "0.0005")),
            "settlement_period": "perpetual" if self.is_perpetual else "month",
            "settlement_currency": self.currency,
            "quote_currency": self.currency if self.is_option or not self.inverse else "USD",
            "price_index": self.index_name,
            "min_trade_amount": number(self.lot),
            "maker_commission": number(Decimal("0.0003" if self.is_option else 0)),
            "kind": self.kind,
            "is_active": True,
            "instrument_type": "linear" if self.currency == "USDC" else "reversed",
            "instrument_name": self.name,
            "instrument_id": ident,
            "expiration_timestamp": self.expiry_ms or _FOREVER_MS,
            "creation_timestamp": _CREATED_MS,
            "counter_currency": "USDC" if self.currency == "USDC" else "USD",
            "contract_size": number(self.size),
            "block_trade_commission": number(Decimal("0.0003")),
            "base_currency": self.base,
        }
        if self.strike is None:
            return listed | {"max_leverage": _LEVERAGE}
        return listed | {
            "strike": real(float(self.strike)),
            "option_type": "call" if self.call else "put",
        }


def is_product(name: str) -> bool:
    """True when an instrument could have that name."""
    found = _NAME.fullmatch(name)
    if found is None or (found["linear"] and found["strike"]):
        return False
    return found["day"] is None or _expiry_ms(found["day"]) is not None


def product(name: str, seed: int) -> Product:
    """The instrument of that name; coins that are not well known get their steps by the seed."""
    found = _NAME.fullmatch(name)
    assert found is not None and is_product(name), "names are checked before"
    coin, linear = found["coin"], bool(found["linear"])
    tick, lot, size = _steps(coin, linear=linear, option=bool(found["strike"]), seed=seed)
    return Product(
        name=name,
        kind="option" if found["strike"] else "future",
        base=coin,
        currency="USDC" if linear else coin,
        tick=tick,
        lot=lot,
        size=size,
        inverse=not linear and not found["strike"],
        expiry_ms=None if found["day"] is None else _expiry_ms(found["day"]),
        strike=Decimal(found["strike"]) if found["strike"] else None,
        call=found["right"] == "C",
    )


def _steps(coin: str, *, linear: bool, option: bool, seed: int) -> tuple[Decimal, Decimal, Decimal]:
    if option:
        texts = _OPTION_STEPS.get(coin, ("0.0005", "1", "1"))
    elif (name := f"{coin}_USDC" if linear else coin) in _STEPS:
        texts = _STEPS[name]
    else:
        made = contract("linear", f"{coin}USDT", seed)
        size = format(made.lot, "f") if linear else "1"
        texts = (format(made.tick, "f"), size, size)
    tick, lot, size_of_one = (Decimal(text) for text in texts)
    return tick, lot, size_of_one


def _expiry_ms(day: str) -> int | None:
    """08:00 UTC on a day like ``28DEC29``; None when there is no such day."""
    try:
        at = datetime.strptime(day, "%d%b%y").replace(tzinfo=UTC, hour=_EXPIRY_HOUR)
    except ValueError:
        return None
    return int(at.timestamp()) * 1000
