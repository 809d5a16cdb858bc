"""One connection to a simulated Deribit: what it asks, what it is told, and how it ends.

Theory of operation
-------------------
A message is read, paid for, done, answered; then follows what waits for the answer (data of new
channels, a close). Answers to other methods may overtake one that is held back; so do data.

When the connection is gone, however that came about, its orders go too if ``cancel on disconnect``
is on for it; only ``private/logout`` leaves them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from websockets.asyncio.server import ServerConnection
from websockets.protocol import State

from feedmux.sim import deribit_methods, deribit_trading
from feedmux.sim.deribit_auth import Grant
from feedmux.sim.deribit_call import Call, Silence
from feedmux.sim.deribit_credits import GENERAL
from feedmux.sim.deribit_floor import DeribitFloor, Key
from feedmux.sim.deribit_heartbeat import CLOSE_CODE, CLOSE_REASON, Beat, Heartbeat
from feedmux.sim.deribit_params import Params
from feedmux.sim.deribit_rpc import Denied, Request, Stamp, Unreadable, answer, heartbeat, read
from feedmux.sim.frames import reset, text_frame

METHODS = deribit_methods.METHODS | deribit_trading.METHODS
"""All methods, by name."""
_POLICY = 1008
"""How a connection ends that asked or left too much; the venue's own code is not known."""


class DeribitSession:
    """One connection.

    Args:
        floor: what it is connected to.
        connection: its WebSocket, open.
        ident: its number.
    """

    def __init__(self, floor: DeribitFloor, connection: ServerConnection, ident: int) -> None:
        self.ident = ident
        self.connection = connection
        self.channels: dict[str, Key] = {}
        self.grant: Grant | None = None
        self.cancels_on_disconnect: bool | None = None
        self.heartbeat = Heartbeat(floor.options.heartbeat_grace_s)
        self.closing: asyncio.Task[None] | None = None
        self._floor = floor
        self._out: list[bytes] = []
        self._heard = floor.now()
        self._is_quiet = True
        self._logged_out = False
        floor.members.add(self)

    # -- towards the client ----------------------------------------------------------------

    def queue(self, frames: Iterable[bytes]) -> None:
        """Add data to the next write."""
        self._is_quiet = False
        self.write(frames)

    def write(self, frames: Iterable[bytes]) -> None:
        """Add whole frames to the next write."""
        self._out.extend(frames)
        self._floor.mark(self)

    def flush(self) -> None:
        """Write what is queued, at once; a client that left too much unread is closed."""
        frames, self._out = self._out, []
        if not frames or self.closing is not None or self.connection.state is not State.OPEN:
            return
        transport = self.connection.transport
        transport.write(b"".join(frames))
        self._floor.counts["frames_sent"] += len(frames)
        if transport.get_write_buffer_size() > self._floor.options.backlog_bytes:
            self._floor.counts["cut_slow"] += 1
            self.close(_POLICY, "connection_too_slow")

    def may_read(self, account: str) -> bool:
        """Whether it may be told what concerns an account, now."""
        grant = self.grant
        if grant is None or grant.account != account:
            return False
        return self._floor.tokens.is_good(grant, self._floor.now())

    def sweep(self, now: float) -> None:
        """Beat if it is time; cut the connection if it was silent for too long.

        A venue that is silent itself does neither.
        """
        if self.closing is not None or self._floor.silent:
            return
        beats = self.heartbeat.due(now, idle=self._is_quiet)
        if beats == [Beat.CLOSE]:
            self._floor.counts["cut_heartbeat"] += 1
            self.close(CLOSE_CODE, CLOSE_REASON)
        elif beats:
            self.write(text_frame(heartbeat(beat.value)) for beat in beats)
            self._is_quiet = True
        cut_s = self._floor.options.idle_cut_s
        if cut_s is not None and not self.channels and now - self._heard >= cut_s:
            self._floor.counts["cut_idle"] += 1
            self.abort()

    # -- how it ends -----------------------------------------------------------------------

    def close(self, code: int, reason: str) -> None:
        """Close the connection, after what is queued."""
        self.flush()
        if self.closing is None:
            name = f"deribit-sim-close-{self.ident}"
            self.closing = asyncio.create_task(self.connection.close(code, reason), name=name)

    def abort(self) -> None:
        """Reset the TCP connection: the client sees no close frame."""
        reset(self.connection)

    def log_out(self) -> None:
        """Let the orders stay when the connection ends."""
        self._logged_out = True

    def leave(self) -> None:
        """The connection is gone."""
        floor = self._floor
        floor.leave(self)
        if self.cancels_on_disconnect and not self._logged_out:
            for ledger in floor.exchange.ledgers.values():
                floor.exchange.engine.cancel_where(
                    ledger,
                    lambda order: order.ticket.connection == self.ident,
                    floor.now_ms(),
                    "cancel_on_disconnect",
                )
        floor.tokens.leave(self.ident)
        floor.bank.close(self.ident)
        floor.publish()

    # -- from the client -------------------------------------------------------------------

    def receive(self, message: str | bytes) -> None:
        """Answer one request; while the venue is silent it is lost."""
        self._heard = self._floor.now()
        if self.closing is not None:
            return
        if self._floor.silent:
            self._floor.counts["unheard"] += 1
            return
        us_in = self._floor.now_us()
        try:
            request = read(message)
        except Unreadable as error:
            self._floor.requests["unreadable"] += 1
            self.write([self._frame(Request("", {}, error.ident), error.denied, us_in)])
            self.flush()
            return
        self._obey(request, us_in)

    def _obey(self, request: Request, us_in: int) -> None:
        call = Call(self, self._floor, Params(request.params))
        try:
            outcome = self._run(request, call)
        except Denied as denied:
            self._floor.counts["denied"] += 1
            outcome = denied
        self._reply(request, outcome, us_in, call.after)
        self._floor.publish()

    def _run(self, request: Request, call: Call) -> object:
        floor, method = self._floor, METHODS.get(request.method)
        floor.requests[request.method if method else "unknown"] += 1
        pool = method.pool if method else GENERAL
        payer = (
            self.grant.account if self.grant and floor.tokens.is_good(self.grant, call.now) else self.ident
        )
        if floor.faults.limits(request.method) or not floor.bank.spend(payer, pool, call.now):
            call.after.append(lambda: self.close(_POLICY, "too_many_requests"))
            raise Denied(10028)
        if floor.maintenance:
            raise Denied(11051)
        if method is None:
            raise Denied(-32601)
        if method.domain is not None:
            call.authorize(method.domain, write=method.write)
        return method.run(call)

    def _reply(self, request: Request, outcome: object, us_in: int, after: list[Callable[[], None]]) -> None:
        """Send the answer as often and as late as it is due, then do what follows it."""
        treatment = self._floor.faults.treat(request.method)
        copies = 0 if isinstance(outcome, Silence) else treatment.copies
        frames = [self._frame(request, outcome, us_in)] * copies if copies else []
        delay_s = self._floor.options.answer_delay_s + treatment.delay_s

        def follow() -> None:
            for action in after:
                action()

        if delay_s and self._floor.postpone(self, frames, delay_s, follow):
            return
        self.write(frames)
        self.flush()
        follow()

    def _frame(self, request: Request, outcome: object, us_in: int) -> bytes:
        floor = self._floor
        stamp = Stamp(us_in, max(floor.now_us(), us_in), floor.options.testnet)
        dice = floor.dice if floor.options.any_order else None
        return text_frame(answer(request.ident, outcome, stamp, dice))
