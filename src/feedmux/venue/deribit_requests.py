"""Deribit's requests and results, typed: what to send, and how to read what comes back.

Amounts are in the unit that the instrument is traded in: US dollars for inverse perpetuals and
futures, the base coin for linear ones and for options. Prices of options are in the base coin, all
others in the quote currency. Times are Unix milliseconds, as Deribit writes them. Decimals are exact.

Source: Deribit API v2, "Trading" and "Market data" (2026-09); error codes as its servers send them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from enum import StrEnum
from typing import Final, Literal, TypeVar

import msgspec

from feedmux.model.checks import require_kind, require_number, require_text, require_whole
from feedmux.model.errors import InvalidSetting, MalformedMessage

Result = TypeVar("Result")

PRODUCTION: Final = "wss://www.deribit.com/ws/api/v2"
TEST: Final = "wss://test.deribit.com/ws/api/v2"

INVALID_CREDENTIALS: Final = 13004
UNAUTHORIZED: Final = 13009
FORBIDDEN: Final = 13021
TOO_MANY_REQUESTS: Final = 10028
NOT_NOW: Final = frozenset(
    {
        TOO_MANY_REQUESTS,
        10040,  # retry
        10041,  # settlement_in_progress
        10047,  # matching_engine_queue_full
        10066,  # too_many_concurrent_requests
        11051,  # system_maintenance
        11094,  # internal_server_error
        13028,  # temporarily_unavailable
        13888,  # timed_out
    }
)
"""Errors that say nothing about what was asked for: it may be asked again."""

Params = Mapping[str, object]


class OrderType(StrEnum):
    """How an order finds its price."""

    LIMIT = "limit"
    MARKET = "market"
    STOP_LIMIT = "stop_limit"
    STOP_MARKET = "stop_market"
    TAKE_LIMIT = "take_limit"
    TAKE_MARKET = "take_market"
    MARKET_LIMIT = "market_limit"
    TRAILING_STOP = "trailing_stop"


class TimeInForce(StrEnum):
    """How long an order stands."""

    GOOD_TIL_CANCELLED = "good_til_cancelled"
    GOOD_TIL_DAY = "good_til_day"
    FILL_OR_KILL = "fill_or_kill"
    IMMEDIATE_OR_CANCEL = "immediate_or_cancel"


class OrderRequest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An order to buy or to sell.

    Args:
        instrument_name: e.g. ``BTC-PERPETUAL``.
        amount: how much, in the instrument's unit, above 0.
        type: see :class:`OrderType`.
        price: in the instrument's price unit; needed for limit orders.
        label: ours, up to 64 characters.
        time_in_force: see :class:`TimeInForce`.
        post_only: never takes; Deribit moves the price so that it does not, unless ``reject_post_only``.
        reject_post_only: rejects a ``post_only`` order that would take.
        reduce_only: never opens or turns a position.
        trigger_price: where a stop or take order wakes up.
        trigger: what is compared with it.
        valid_until: Unix milliseconds after which the order is not taken any more.

    Raises:
        InvalidSetting: a value is outside its range, or of another type.
    """

    instrument_name: str
    amount: Decimal
    type: OrderType = OrderType.LIMIT
    price: Decimal | None = None
    label: str | None = None
    time_in_force: TimeInForce | None = None
    post_only: bool | None = None
    reject_post_only: bool | None = None
    reduce_only: bool | None = None
    trigger_price: Decimal | None = None
    trigger: Literal["index_price", "mark_price", "last_price"] | None = None
    valid_until: int | None = None

    def __post_init__(self) -> None:
        require_text("instrument_name", self.instrument_name)
        require_quantity("amount", self.amount, "a number above 0, e.g. Decimal(10)", above=0)
        _require_one_of("type", self.type, tuple(OrderType))
        for name in ("price", "trigger_price"):
            if getattr(self, name) is not None:
                require_quantity(name, getattr(self, name), "a price, e.g. Decimal('67000.5')")
        if self.label is not None:
            require_text("label", self.label, _LABEL)
            if len(self.label) > _LONGEST_LABEL:
                raise InvalidSetting("label", self.label, _LABEL)
        if self.time_in_force is not None:
            _require_one_of("time_in_force", self.time_in_force, tuple(TimeInForce))
        for name in ("post_only", "reject_post_only", "reduce_only"):
            if getattr(self, name) is not None:
                require_kind(name, getattr(self, name), bool, "True, False or None")
        if self.trigger is not None:
            _require_one_of("trigger", self.trigger, _TRIGGERS)
        if self.valid_until is not None:
            require_whole("valid_until", self.valid_until, "Unix milliseconds", least=1, most=_LAST_MS)

    def params(self) -> Params:
        """The request's parameters: what was set, decimals as JSON numbers."""
        fields = {name: getattr(self, name) for name in self.__struct_fields__}
        return {name: _number(value) for name, value in fields.items() if value is not None}


_QUOTED: Final = re.compile(r"(['\"]).*\1", re.DOTALL)
_LABEL: Final = "a text of 1 to 64 characters"
_LONGEST_LABEL: Final = 64
_TRIGGERS: Final = ("index_price", "mark_price", "last_price")
_LAST_MS: Final = 2**53
_DIGITS: Final = 30
"""Before and behind the point, of whatever is traded."""


class Order(msgspec.Struct, frozen=True):
    """An order as Deribit keeps it.

    ``average_price`` is 0 before the first fill; ``price`` is None for one that takes any price.
    """

    order_id: str
    instrument_name: str
    direction: Literal["buy", "sell"]
    amount: Decimal
    order_state: Literal["open", "filled", "rejected", "cancelled", "untriggered"]
    order_type: str
    filled_amount: Decimal = Decimal(0)
    average_price: Decimal = Decimal(0)
    price: Decimal | None = None
    label: str = ""
    time_in_force: str = ""
    post_only: bool = False
    reduce_only: bool = False
    creation_timestamp: int = 0
    last_update_timestamp: int = 0


class Trade(msgspec.Struct, frozen=True):
    """A trade, public or ours. ``trade_seq`` counts per instrument; the last three are ours alone."""

    trade_id: str
    trade_seq: int
    instrument_name: str
    timestamp: int
    direction: Literal["buy", "sell"]
    price: Decimal
    amount: Decimal
    mark_price: Decimal | None = None
    index_price: Decimal | None = None
    order_id: str | None = None
    fee: Decimal | None = None
    fee_currency: str | None = None


class Placed(msgspec.Struct, frozen=True):
    """What an order led to at once: the order as it stands now, and its fills so far."""

    order: Order
    trades: tuple[Trade, ...] = ()


class Position(msgspec.Struct, frozen=True):
    """What we hold of an instrument; ``size`` is in its unit, below 0 when it was sold short."""

    instrument_name: str
    direction: Literal["buy", "sell", "zero"]
    size: Decimal
    average_price: Decimal = Decimal(0)
    mark_price: Decimal | None = None
    floating_profit_loss: Decimal | None = None
    size_currency: Decimal | None = None


class Instrument(msgspec.Struct, frozen=True):
    """What can be traded.

    ``tick_size`` is the smallest step of its price, ``min_trade_amount`` the smallest amount.
    """

    instrument_name: str
    kind: str
    base_currency: str
    quote_currency: str
    tick_size: Decimal
    min_trade_amount: Decimal
    contract_size: Decimal
    is_active: bool = True
    instrument_type: str = ""
    settlement_period: str = ""
    expiration_timestamp: int | None = None
    strike: Decimal | None = None
    option_type: Literal["call", "put"] | None = None


class OrderBook(msgspec.Struct, frozen=True):
    """The best prices and what waits there, best first: pairs of price and amount."""

    instrument_name: str
    timestamp: int
    bids: tuple[tuple[Decimal, Decimal], ...]
    asks: tuple[tuple[Decimal, Decimal], ...]
    change_id: int = 0
    mark_price: Decimal | None = None
    index_price: Decimal | None = None


class Ticker(msgspec.Struct, frozen=True):
    """The present prices of an instrument. What Deribit does not know is None."""

    instrument_name: str
    timestamp: int
    last_price: Decimal | None = None
    mark_price: Decimal | None = None
    index_price: Decimal | None = None
    best_bid_price: Decimal | None = None
    best_bid_amount: Decimal | None = None
    best_ask_price: Decimal | None = None
    best_ask_amount: Decimal | None = None
    open_interest: Decimal | None = None
    current_funding: Decimal | None = None
    funding_8h: Decimal | None = None


def read(result: object, kind: type[Result]) -> Result:
    """Read a result into its type.

    Raises:
        MalformedMessage: it is something else.
    """
    try:
        value = msgspec.convert(_without_words(result), kind)
    except RecursionError:
        problem = "it is nested too deeply"
    except msgspec.ValidationError as error:
        problem = _QUOTED.sub("…", str(error))  # what it quotes may be a secret that was repeated
    else:
        if _is_finite(value):
            return value
        problem = "a number in it is none"
    raise MalformedMessage(f"answer of Deribit, as {kind}", problem)


def _is_finite(value: object) -> bool:
    """Whether every decimal is a number: a text "NaN" would be read as one."""
    if isinstance(value, Decimal):
        return value.is_finite()
    if isinstance(value, msgspec.Struct):
        return all(_is_finite(getattr(value, name)) for name in value.__struct_fields__)
    return all(map(_is_finite, value)) if isinstance(value, list | tuple) else True


def _without_words(value: object) -> object:
    """Take out the price of market orders, which Deribit writes as ``market_price``."""
    if isinstance(value, dict):
        return {name: _without_words(member) for name, member in value.items() if member != "market_price"}
    return [_without_words(member) for member in value] if isinstance(value, list) else value


def require_quantity(name: str, value: object, expected: str, *, above: float | None = None) -> None:
    """Refuse what no price or amount can be.

    Raises:
        InvalidSetting: it is none.
    """
    if not isinstance(value, Decimal):
        require_number(name, value, expected, least=-(10.0**_DIGITS), most=10.0**_DIGITS)
    elif (
        not value.is_finite() or abs(value.adjusted()) > _DIGITS or len(value.as_tuple().digits) > 2 * _DIGITS
    ):
        raise InvalidSetting(name, value, expected)
    if above is not None and not value > above:  # type: ignore[operator]
        raise InvalidSetting(name, value, expected)


def _length(value: Decimal) -> int:
    return len(value.as_tuple().digits)


def _require_one_of(name: str, value: object, values: Sequence[str]) -> None:
    if not (isinstance(value, str) and value in values):
        raise InvalidSetting(name, value, f"one of {', '.join(values)}")


def _number(value: object) -> object:
    """Let a decimal be written as the JSON number that it is, digit for digit."""
    return msgspec.Raw(format(value, "f").encode()) if isinstance(value, Decimal) else value
