"""The trading stream of a simulated Alpaca: who listens is told what becomes of orders.

There are no orders here: what is told is what a test says. Paper trading speaks binary frames that hold
JSON, live trading text frames. ``listen`` replaces the set of streams; one that does not exist is
left out of the answer. What the venue says to a message that it cannot read is not documented;
here it says nothing.
Source: Alpaca documents, websocket streaming, 2026-07.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from random import Random
from uuid import UUID

import msgspec
from websockets.asyncio.server import ServerConnection

from feedmux.model.errors import InvalidSetting
from feedmux.model.ports import Clock
from feedmux.sim.alpaca_codec import rfc3339
from feedmux.sim.alpaca_connection import AlpacaConnection
from feedmux.sim.alpaca_gate import Gate
from feedmux.sim.frames import binary_frame, text_frame

STREAMS = ("trade_updates",)
"""What can be listened to."""
EVENTS = (
    "new", "fill", "partial_fill", "canceled", "expired", "done_for_day", "replaced", "rejected",
    "pending_new", "stopped", "pending_cancel", "pending_replace", "calculated", "suspended",
    "order_replace_rejected", "order_cancel_rejected",
)  # fmt: skip
"""What can become of an order."""
_FILLS = ("fill", "partial_fill")
_UNUSED = (
    "cancel_requested_at", "failed_at", "hwm", "legs", "limit_price", "notional", "replaced_at",
    "replaced_by", "replaces", "stop_price", "trail_percent", "trail_price",
)  # fmt: skip
"""What an order has that is none of a market order."""
_encode = msgspec.json.Encoder().encode


class _Data(msgspec.Struct):
    key_id: str = ""
    secret_key: str = ""
    streams: list[str] = []


class _Request(msgspec.Struct):
    action: str
    data: _Data = msgspec.field(default_factory=_Data)
    key: str = ""
    secret: str = ""


_decode = msgspec.json.Decoder(_Request).decode


class Update(msgspec.Struct, frozen=True):
    """What became of an order.

    Args:
        event: one of :data:`EVENTS`.
        symbol: what is traded.
        side: ``buy`` or ``sell``.
        qty: shares of the order, and of the fill if it is one.
        price: dollars of a share, for a fill.
    """

    event: str
    symbol: str
    side: str = "buy"
    qty: int = 1
    price: float = 0.0


class TradingFloor:
    """The trading stream.

    Args:
        gate: who may log in; there is no limit of connections here.
        clock: what time it is.
        seed: makes the ids.
        paper: whether frames are binary.
    """

    def __init__(self, gate: Gate, clock: Clock, seed: int, *, paper: bool) -> None:
        self.gate = gate
        self.members: set[TradingSession] = set()
        self.requests: Counter[str] = Counter()
        self.frame = binary_frame if paper else text_frame
        self.silent = False
        self._muted = False
        self._clock = clock
        self._dice = Random(f"{seed}:orders")
        self._position = 0

    def statistics(self) -> dict[str, object]:
        """Connections and requests."""
        return {"connections": len(self.members), "requests": dict(self.requests)}

    def mute(self, *, on: bool) -> None:
        """Tell nobody what becomes of orders, or tell again; what happens meanwhile is lost."""
        self._muted = on

    def stall(self, *, on: bool) -> None:
        """Neither read nor write on any connection, those to come included."""
        self.silent = on
        for member in list(self.members):
            member.stall(on)

    def publish(self, update: Update) -> int:
        """Tell what became of an order.

        Returns:
            how many connections were told.

        Raises:
            InvalidSetting: nothing like that becomes of an order.
        """
        if update.event not in EVENTS:
            raise InvalidSetting("event", update.event, "one of " + ", ".join(EVENTS))
        message = {"stream": STREAMS[0], "data": self._data(update)}
        if self._muted or self.silent:
            return 0
        listening = [member for member in self.members if member.streams]
        for member in listening:
            member.say(message)
        return len(listening)

    def _data(self, update: Update) -> dict[str, object]:
        at = rfc3339(self._clock.time_ns())
        data: dict[str, object] = {
            "event": update.event,
            "execution_id": self._ident(),
            "order": self._order(update, at),
            "timestamp": at,
        }
        if update.event in _FILLS:
            self._position += update.qty if update.side == "buy" else -update.qty
            data |= {"price": str(update.price), "qty": str(update.qty), "position_qty": str(self._position)}
        return data

    def _order(self, update: Update, at: str) -> dict[str, object]:
        is_filled = update.event in _FILLS
        return {
            **dict.fromkeys(_UNUSED),
            "id": self._ident(),
            "client_order_id": self._ident(),
            "asset_id": self._ident(),
            "asset_class": "us_equity",
            "symbol": update.symbol,
            "created_at": at,
            "submitted_at": at,
            "updated_at": at,
            "filled_at": at if update.event == "fill" else None,
            "canceled_at": at if update.event == "canceled" else None,
            "expired_at": at if update.event == "expired" else None,
            "qty": str(update.qty),
            "filled_qty": str(update.qty if is_filled else 0),
            "filled_avg_price": str(update.price) if is_filled else None,
            "order_class": "",
            "order_type": "market",
            "type": "market",
            "side": update.side,
            "time_in_force": "day",
            "status": {"fill": "filled", "partial_fill": "partially_filled"}.get(update.event, update.event),
            "extended_hours": False,
        }

    def _ident(self) -> str:
        return str(UUID(int=self._dice.getrandbits(128), version=4))


class TradingSession(AlpacaConnection):
    """One connection to the trading stream.

    Args:
        floor: the stream.
        connection: its WebSocket, open.
        ident: its number.
    """

    def __init__(self, floor: TradingFloor, connection: ServerConnection, ident: int) -> None:
        super().__init__(connection, ident)
        self.streams: list[str] = []
        self._floor = floor
        floor.members.add(self)
        self.stall(floor.silent)

    def say(self, message: Mapping[str, object]) -> None:
        """Send a message, or hold it back while all stand still."""
        self._write(self._floor.frame(_encode(message)))

    def leave(self) -> None:
        """The connection is gone."""
        self._floor.members.discard(self)

    def statistics(self) -> dict[str, object]:
        """Who it is and what it listens to; no secret."""
        return {"feed": "trading", "key": self.key, "codec": "json", "subscriptions": self.streams}

    def receive(self, message: str | bytes) -> None:
        """Do what is asked and answer; a message that makes no sense is not answered."""
        try:
            request = _decode(message)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            self._floor.requests["unreadable"] += 1
            return
        self._floor.requests[request.action] += 1
        if request.action == "authenticate":
            self._log_in(request.data.key_id, request.data.secret_key)
        elif request.action == "auth":
            self._log_in(request.key, request.secret)
        elif request.action == "listen":
            self._listen(request.data.streams)

    def _log_in(self, key: str, secret: str) -> None:
        knows = self._floor.gate.knows(key, secret)
        if knows:
            self.key = key
        self._authorize("authenticate", "authorized" if knows else "unauthorized")

    def _listen(self, streams: list[str]) -> None:
        if self.key is None:
            self._authorize("listen", "unauthorized")
            return
        self.streams = [stream for stream in STREAMS if stream in streams]
        self.say({"stream": "listening", "data": {"streams": self.streams}})

    def _authorize(self, action: str, status: str) -> None:
        self.say({"stream": "authorization", "data": {"status": status, "action": action}})
