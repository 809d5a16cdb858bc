"""JSON-RPC as a simulated Deribit speaks it: what a request may be, and what answers look like.

Batches and parameters by position are refused; a request without an id is answered without one.
Source: probes of 2026-09 (text that is no JSON, unknown methods, missing ids); Deribit API v2
documents, JSON-RPC, 2026-09. How the venue words the refusal of a batch, of a request that names
no method and of an id of another type is not known; here they are ``bad_request`` too.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from random import Random
from typing import Any

import msgspec

from feedmux.model.errors import FeedmuxError
from feedmux.sim.deribit_json import encode

NO_ID = msgspec.UNSET
Id = int | str | msgspec.UnsetType

MESSAGES = {
    -32601: "Method not found",
    -32602: "Invalid params",
    10004: "order_not_found",
    10005: "price_too_low",
    10007: "price_too_high",
    10009: "not_enough_funds",
    10013: "pme_max_total_open_orders",
    10020: "invalid_or_unsupported_instrument",
    10028: "too_many_requests",
    10029: "not_owner_of_order",
    10040: "retry",
    11029: "invalid_arguments",
    11030: "other_reject",
    11044: "not_open_order",
    11050: "bad_request",
    11051: "system_maintenance",
    11054: "post_only_reject",
    13004: "invalid_credentials",
    13009: "unauthorized",
    13020: "not_found",
    13021: "forbidden",
    13778: "raw_subscriptions_not_available_for_unauthorized",
}
"""Code: what the venue calls it. Source: recorded frames of several projects, 2024 to 2026."""


class Denied(FeedmuxError):
    """A request that the simulated venue answers with an error.

    Args:
        number: the error's code, one of :data:`MESSAGES`.
        data: what its ``data`` says; None leaves it out.
    """

    code = "DENIED"

    def __init__(self, number: int, data: object = None) -> None:
        super().__init__(number, data)
        self.number, self.data = number, data

    def __str__(self) -> str:
        return f"error {self.number} ({MESSAGES[self.number]}): {self.data}"

    def view(self) -> dict[str, object]:
        """The ``error`` of an answer."""
        error: dict[str, object] = {"code": self.number}
        if self.data is not None:
            error["data"] = self.data
        return error | {"message": MESSAGES[self.number]}


class Request(msgspec.Struct, frozen=True):
    """One request.

    Args:
        method: what is to be done.
        params: with what.
        ident: what the answer repeats; unset when the request had none.
    """

    method: str
    params: Mapping[str, Any]
    ident: Id = NO_ID


class Unreadable(FeedmuxError):
    """A message that is no request.

    Args:
        denied: how it is answered.
        ident: its id, if it has one.
    """

    code = "UNREADABLE"

    def __init__(self, denied: Denied, ident: Id = NO_ID) -> None:
        super().__init__(denied, ident)
        self.denied, self.ident = denied, ident

    def __str__(self) -> str:
        return f"not a request: {self.denied}"


_decode = msgspec.json.Decoder(float_hook=Decimal).decode
_INT64 = range(-(2**63), 2**63)


def read(message: str | bytes) -> Request:
    """Understand one message.

    Raises:
        Unreadable: it is no request.
    """
    try:
        seen = _decode(message)
    except (msgspec.MsgspecError, ValueError, ArithmeticError, RecursionError):
        raise Unreadable(Denied(11050, "invalid json")) from None
    if not isinstance(seen, dict):
        reason = "batch requests are not supported" if isinstance(seen, list) else "an object was expected"
        raise Unreadable(Denied(11050, reason))
    ident = seen.get("id", NO_ID)
    if isinstance(ident, bool) or not isinstance(ident, int | str | msgspec.UnsetType):
        raise Unreadable(Denied(11050, "invalid id"))
    if isinstance(ident, int) and ident not in _INT64:
        raise Unreadable(Denied(11050, "invalid id"))
    method, params = seen.get("method"), seen.get("params", {})
    if not isinstance(method, str):
        raise Unreadable(Denied(11050, "no method"), ident)
    if not isinstance(params, dict):
        data = {"reason": "parameters by position are not supported", "param": "params"}
        raise Unreadable(Denied(-32602, data), ident)
    return Request(method.removeprefix("/"), params, ident)


class Stamp(msgspec.Struct, frozen=True):
    """What every answer says besides.

    Args:
        us_in: when the request came, Unix microseconds.
        us_out: when the answer went.
        testnet: which of the two venues it is.
    """

    us_in: int
    us_out: int
    testnet: bool


def answer(ident: Id, outcome: object, stamp: Stamp, dice: Random | None = None) -> bytes:
    """An answer as JSON text.

    Args:
        ident: the request's id.
        outcome: the result, or a :class:`Denied`.
        stamp: when, and where.
        dice: shuffles the members; None leaves them in the usual order.
    """
    members: list[tuple[str, object]] = [("jsonrpc", "2.0")]
    if ident is not NO_ID:
        members.append(("id", ident))
    members.append(("error", outcome.view()) if isinstance(outcome, Denied) else ("result", outcome))
    members += [
        ("usIn", stamp.us_in),
        ("usOut", stamp.us_out),
        ("usDiff", stamp.us_out - stamp.us_in),
        ("testnet", stamp.testnet),
    ]
    if dice is not None:
        dice.shuffle(members)
    return encode(dict(members))


def notification(channel: str, data: bytes) -> bytes:
    """What a channel says, as JSON text; ``data`` is JSON text already."""
    return b'{"jsonrpc":"2.0","method":"subscription","params":{"channel":"%b","data":%b}}' % (
        channel.encode(),
        data,
    )


def heartbeat(kind: str) -> bytes:
    """A ``heartbeat`` or a ``test_request``; its members are in this order on the wire."""
    return b'{"params":{"type":"%b"},"method":"heartbeat","jsonrpc":"2.0"}' % kind.encode()
