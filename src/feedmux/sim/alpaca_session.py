"""One connection to the market data of a simulated Alpaca: what it asks, what it is told, how it ends.

Theory of operation
-------------------
It is greeted at once. A login comes as a message, or came with the headers, and takes a place at the gate;
without one the connection ends (404). Only who has logged in may subscribe. An error changes nothing,
and the connection goes on, except after 404 and 407, after a 406 that follows a login, and
when a test says so.

Not documented, so chosen here: a connection that was told 402 or 406 may try again (the venue's own Go
client counts on that after a 406) until its deadline, which a 406 sets anew; an error that ends
the connection is followed by close code 1008.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from websockets.asyncio.server import ServerConnection

from feedmux.sim.alpaca_codec import JSON, MSGPACK, Codec, Request, Unreadable
from feedmux.sim.alpaca_connection import AlpacaConnection
from feedmux.sim.alpaca_desk import Event
from feedmux.sim.alpaca_faults import ACTIONS, ERRORS, Verdicts
from feedmux.sim.alpaca_floor import AlpacaFloor
from feedmux.sim.alpaca_subscriptions import ALL, Subscriptions

KEY_HEADER = "APCA-API-KEY-ID"
SECRET_HEADER = "APCA-API-SECRET-KEY"  # noqa: S105 - the name of a header
_POLICY = 1008


class AlpacaSession(AlpacaConnection):
    """One connection.

    Args:
        floor: what it is connected to.
        connection: its WebSocket, open.
        ident: its number, different for every connection ever.
        verdicts: errors that answer requests.
    """

    def __init__(
        self, floor: AlpacaFloor, connection: ServerConnection, ident: int, verdicts: Verdicts
    ) -> None:
        assert connection.request is not None
        headers = connection.request.headers
        super().__init__(connection, ident)
        self.subscriptions = Subscriptions()
        is_packed = headers.get("Content-Type", "").partition(";")[0].strip() == "application/msgpack"
        self.codec: Codec = MSGPACK if is_packed else JSON
        self._floor = floor
        self._verdicts = verdicts
        self._deadline: float | None = floor.now() + floor.options.auth_deadline_s
        self._fading: dict[tuple[str, str], float] = {}
        floor.members.add(self)
        self.stall(floor.silent)
        self._say({"T": "success", "msg": "connected"})
        if KEY_HEADER in headers or SECRET_HEADER in headers:
            self._log_in(headers.get(KEY_HEADER, ""), headers.get(SECRET_HEADER, ""))

    # -- towards the client ----------------------------------------------------------------

    def symbols(self) -> Iterable[str]:
        """Every symbol that it named, and what still comes late."""
        yield from self.subscriptions.symbols()
        yield from (symbol for _, symbol in self._fading)

    def wants(self, event: Event) -> bool:
        """Whether it subscribed to that, or did until a moment ago."""
        if self.subscriptions.covers(event.channel, event.symbol):
            return True
        return (event.channel, event.symbol) in self._fading or (event.channel, ALL) in self._fading

    def tell(self, items: Sequence[bytes]) -> None:
        """Send members, as many in one message as the batch allows."""
        most = self._floor.options.batch
        for start in range(0, len(items), most):
            self.post(self.codec.array(items[start : start + most]))

    def post(self, payload: bytes) -> None:
        """Send a payload as it is; a client that left too much unread is told 407 and closed."""
        self._write(self.codec.frame(payload))
        unread = self.connection.transport.get_write_buffer_size()
        if unread > self._floor.options.backlog_bytes and self.closing is None:
            self.fail(407, close=True)

    def fail(self, code: int, *, close: bool = False) -> None:
        """Say an error; may end the connection with it."""
        self._floor.errors[code] += 1
        self._say({"T": "error", "code": code, "msg": ERRORS[code]})
        if close:
            self.close(_POLICY, ERRORS[code])

    def _say(self, control: dict[str, object]) -> None:
        """Send a control message; it is always alone."""
        self._write(self.codec.frame(self.codec.array([self.codec.item(control)])))

    def _wrote(self) -> None:
        self._floor.counts["frames_sent"] += 1

    def sweep(self, now: float) -> None:
        """Forget what came late; end a connection that did not log in, unless all stand still."""
        if self._fading:
            self._fading = {key: until for key, until in self._fading.items() if now < until}
            if not self._fading:
                self._floor.changed()
        if self._deadline is not None and now >= self._deadline and not self._is_stalled:
            self._deadline = None
            self.fail(404, close=True)

    # -- how it ends -----------------------------------------------------------------------

    def leave(self) -> None:
        """The connection is gone."""
        self._floor.members.discard(self)
        self._floor.gate.leave(self.ident, self._floor.now())
        self._floor.changed()

    def statistics(self) -> dict[str, object]:
        """Who it is and what it reads; no secret."""
        return {
            "feed": self._floor.feed,
            "key": self.key,
            "codec": self.codec.name,
            "subscriptions": self.subscriptions.listed(omit_empty=True),
        }

    # -- from the client -------------------------------------------------------------------

    def receive(self, message: str | bytes) -> None:
        """Do what is asked and answer; what arrives while all stand still is lost."""
        if self.closing is not None:
            return
        if self._is_stalled:
            self._floor.counts["unheard"] += 1
            return
        try:
            request = self.codec.read(message)
        except Unreadable:
            self._floor.requests["unreadable"] += 1
            self.fail(400)
            return
        self._floor.requests[request.action if request.action in ACTIONS else "unknown"] += 1
        self._obey(request)

    def _obey(self, request: Request) -> None:
        verdict = self._verdicts.take(request.action)
        if verdict is not None:
            self.fail(verdict.code, close=verdict.close)
        elif request.action == "auth":
            self._log_in(request.key, request.secret)
        elif request.action not in ACTIONS:
            self.fail(400)
        elif self.key is None:
            self.fail(401)
        else:
            self._change(request)

    def _log_in(self, key: str, secret: str) -> None:
        floor = self._floor
        if self.key is not None:
            self.fail(403)
        elif not floor.gate.knows(key, secret):
            self.fail(402)
        elif floor.feed not in floor.options.entitled:
            self.fail(409)
        elif floor.gate.enter(self.ident, floor.feed, key, floor.now()):
            self.key, self._deadline = key, None
            self._say({"T": "success", "msg": "authenticated"})
        elif floor.options.limit_after_auth:
            self._say({"T": "success", "msg": "authenticated"})
            self.fail(406, close=True)
        else:
            self._deadline = floor.now() + floor.options.auth_deadline_s
            self.fail(406)

    def _change(self, request: Request) -> None:
        if request.news or request.orderbooks or request.imbalances:
            self.fail(410)
            return
        changes = request.changes()
        if not changes:
            self.fail(400)
            return
        floor, options = self._floor, self._floor.options
        if request.action == "unsubscribe":
            gone = self.subscriptions.remove(changes)
            self._fading |= dict.fromkeys(gone, floor.now() + options.late_s) if options.late_s else {}
        elif not self.subscriptions.add(changes, options.most_symbols(floor.feed)):
            self.fail(405)
            return
        self._say({"T": "subscription", **self.subscriptions.listed(omit_empty=options.omit_empty)})
        floor.changed()
