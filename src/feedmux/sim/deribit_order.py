"""One order at a simulated Deribit, and one trade."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from feedmux.sim.deribit_json import number, optional
from feedmux.sim.deribit_product import Product

BUY, SELL = "buy", "sell"
FOREVER = "good_til_cancelled"
DAY = "good_til_day"
ALL_OR_NOTHING = "fill_or_kill"
AT_ONCE = "immediate_or_cancel"
TIMES_IN_FORCE = (FOREVER, DAY, ALL_OR_NOTHING, AT_ONCE)


class Ticket(msgspec.Struct, frozen=True):
    """What somebody wants done.

    Args:
        product: the instrument.
        direction: ``buy`` or ``sell``.
        amount: how much, in the instrument's unit.
        price: the limit; None takes what there is.
        kind: ``limit``, ``market`` or ``market_limit``.
        time_in_force: one of :data:`TIMES_IN_FORCE`.
        post_only: never take.
        reject_post_only: refuse what would take instead of giving it another price.
        reduce_only: never open or grow a position.
        label: the owner's own name of it.
        connection: the connection that it came over.
    """

    product: Product
    direction: str
    amount: Decimal
    price: Decimal | None = None
    kind: str = "limit"
    time_in_force: str = FOREVER
    post_only: bool = False
    reject_post_only: bool = False
    reduce_only: bool = False
    label: str = ""
    connection: int = 0


class Order:
    """An order and what became of it.

    Args:
        ident: its id.
        account: whose it is.
        ticket: what was asked for.
        now_ms: Unix milliseconds.
    """

    __slots__ = (
        "account", "amount", "cancel_reason", "cost", "created_ms", "expires_ms", "filled", "ident",
        "post_only", "price", "replaced", "state", "ticket", "updated_ms",
    )  # fmt: skip

    def __init__(self, ident: str, account: str, ticket: Ticket, now_ms: int) -> None:
        self.ident = ident
        self.account = account
        self.ticket = ticket
        self.amount = ticket.amount
        self.price = ticket.price
        self.post_only = ticket.post_only
        self.filled = self.cost = Decimal(0)
        self.state = "open"
        self.replaced = False
        self.cancel_reason: str | None = None
        self.created_ms = self.updated_ms = now_ms
        self.expires_ms: int | None = None

    @property
    def left(self) -> Decimal:
        """What is not filled yet."""
        return self.amount - self.filled

    @property
    def is_open(self) -> bool:
        """Whether anything can still happen to it."""
        return self.state == "open"

    def fill(self, amount: Decimal, price: Decimal, now_ms: int) -> None:
        """``amount`` of it was done at ``price``."""
        assert 0 < amount <= self.left, "nothing is filled twice"
        self.filled += amount
        self.cost += self.ticket.product.worth(amount, price)
        self.updated_ms = now_ms
        if not self.left:
            self.state = "filled"

    def cancel(self, reason: str | None, now_ms: int) -> None:
        """It ends unfilled, or partly; None when it only did what its time in force says."""
        self.state = "cancelled"
        self.cancel_reason = reason
        self.updated_ms = now_ms

    @property
    def average(self) -> Decimal:
        """The average price of what is filled; 0 before."""
        if not self.filled:
            return Decimal(0)
        inverse = self.ticket.product.inverse
        average = self.filled / self.cost if inverse else self.cost / self.filled
        return average.quantize(Decimal("0.00000001"))

    def view(self, user_id: int) -> dict[str, object]:
        """It as the venue shows it to its owner. Source: captures of 2026-01, private/buy."""
        ticket = self.ticket
        shown: dict[str, object] = {
            "label": ticket.label,
            "price": "market_price" if self.price is None else number(self.price),
            "user_id": user_id,
            "amount": number(self.amount),
            "direction": ticket.direction,
            "time_in_force": ticket.time_in_force,
            "instrument_name": ticket.product.name,
            "web": False,
            "api": True,
            "order_id": self.ident,
            "creation_timestamp": self.created_ms,
            "replaced": self.replaced,
            "filled_amount": number(self.filled),
            "last_update_timestamp": self.updated_ms,
            "post_only": self.post_only,
            "reduce_only": ticket.reduce_only,
            "average_price": number(self.average),
            "mmp": False,
            "contracts": number(self.amount / ticket.product.size),
            "reject_post_only": ticket.reject_post_only,
            "order_state": self.state,
            "order_type": ticket.kind,
            "is_liquidation": False,
            "risk_reducing": ticket.reduce_only,
        }
        return shown | ({"cancel_reason": self.cancel_reason} if self.cancel_reason else {})


class Trade(msgspec.Struct, frozen=True, kw_only=True):
    """What happened between somebody who took and somebody who waited.

    Args:
        product: the instrument.
        seq: counts the instrument's trades, without a hole.
        ident: the venue's id of it.
        ms: Unix milliseconds.
        tick: how its price compares with the one before: 0 up, 1 equal after up, 2 down, 3 equal after down.
        price: at which price.
        amount: how much.
        direction: what the taker did.
        mark: the mark price then.
        index: the index price then.
        iv: the volatility of an option's price, per cent; None else.
        taker: his order; None when it was nobody's here.
        maker: the order that waited; None when it was nobody's here.
    """

    product: Product
    seq: int
    ident: str
    ms: int
    tick: int
    price: Decimal
    amount: Decimal
    direction: str
    mark: Decimal
    index: Decimal
    iv: Decimal | None = None
    taker: Order | None = None
    maker: Order | None = None

    def view(self) -> dict[str, object]:
        """It as everybody sees it. Source: captures of 2025-03 and 2025-12, trades channels."""
        shown: dict[str, object] = {
            "timestamp": self.ms,
            "price": number(self.price),
            "amount": number(self.amount),
            "direction": self.direction,
            "index_price": number(self.index),
            "instrument_name": self.product.name,
            "trade_seq": self.seq,
            "mark_price": number(self.mark),
            "tick_direction": self.tick,
            "contracts": number(self.amount / self.product.size),
            "trade_id": self.ident,
        }
        return shown if self.iv is None else shown | {"iv": optional(self.iv)}
