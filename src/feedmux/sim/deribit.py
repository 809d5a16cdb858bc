"""A simulated Deribit: JSON-RPC over a WebSocket, market data and trading, with faults on demand.

Theory of operation
-------------------
One WebSocket server listens. ``/ws/api/v2`` leads to the one :class:`DeribitFloor`, which owns
markets and accounts and ticks in one task; a :class:`DeribitSession` reads the requests of one
connection and answers them. ``/control`` drives the simulator from another process
(:mod:`feedmux.sim.deribit_control`).

Compression is agreed to when a client offers it, as the venue does; what is sent is never
compressed, which RFC 7692 leaves to the sender.

Deliberately absent: JSON-RPC over HTTP, TLS, subaccounts, wallets, block trades, combos, trigger
orders, settlement, and prices from anywhere but dice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from itertools import count

from websockets.asyncio.server import ServerConnection
from websockets.http11 import Response
from websockets.protocol import State

from feedmux.model.errors import InvalidSetting
from feedmux.model.ports import Clock
from feedmux.sim.clock import SystemClock
from feedmux.sim.deribit_control import obey
from feedmux.sim.deribit_faults import Fault
from feedmux.sim.deribit_floor import DeribitFloor
from feedmux.sim.deribit_options import DeribitOptions
from feedmux.sim.deribit_session import DeribitSession
from feedmux.sim.misbehaviour import garbage
from feedmux.sim.venue_server import GOING_AWAY, Ticker, VenueServer

PATH = "/ws/api/v2"
_CLOSE_CODES = range(3000, 5000)


class DeribitSim(VenueServer[DeribitSession]):
    """A running simulator. All switches act at once and may not block.

    Args:
        options: how it behaves.
        clock: what time it is; the machine's when None.
    """

    def __init__(self, options: DeribitOptions | None = None, *, clock: Clock | None = None) -> None:
        self.options = options or DeribitOptions()
        super().__init__(self.options.host, self.options.port, paths=(PATH,), compression="deflate")
        self.floor = DeribitFloor(self.options, clock or SystemClock())
        self._admitted: dict[ServerConnection, str] = {}
        self._numbers = count(1)

    def url(self, path: str = PATH) -> str:
        """Where a client connects; :data:`CONTROL_PATH` is the control endpoint."""
        return self._url(path)

    # -- connections -----------------------------------------------------------------------

    def _tickers(self) -> Mapping[str, Ticker]:
        return {"deribit-sim": self.floor}

    def _turn_away(self, connection: ServerConnection) -> Response | None:
        address = str((connection.remote_address or ("",))[0])
        for other in [other for other in self._admitted if other.state is State.CLOSED]:
            del self._admitted[other]
        if Counter(self._admitted.values())[address] >= self.options.max_connections:
            return connection.respond(HTTPStatus.TOO_MANY_REQUESTS, "too many connections\n")
        self._admitted[connection] = address
        return None

    def _session(self, connection: ServerConnection, path: str) -> DeribitSession:
        return DeribitSession(self.floor, connection, next(self._numbers))

    async def _left(self, session: DeribitSession) -> None:
        session.leave()
        if session.closing is not None:
            await session.closing

    def _obey(self, message: str | bytes) -> bytes:
        return obey(self, message)

    # -- switches --------------------------------------------------------------------------

    def mute(self, topics: Iterable[str] | None = None, *, pongs: bool = True) -> None:
        """Stop the data of these channels, or of all when None; the connections stay.

        Args:
            topics: channels, as a client would subscribe to them.
            pongs: False also stops to answer: requests are lost, answers that wait go on waiting.
        """
        self.floor.mute(None if topics is None else list(topics))
        self.floor.silent = self.floor.silent or not pongs

    def unmute(self) -> None:
        """End every :meth:`mute`. States are whole again; what merely happened meanwhile is lost."""
        self.floor.unmute()

    def cut(self, *, clean: bool = False) -> int:
        """End every connection: with code 1001 when ``clean``, else by a reset. Returns how many."""
        if clean:
            return self._close_all(GOING_AWAY, "maintenance")
        sessions = list(self._sessions.values())
        for session in sessions:
            session.abort()
        return len(sessions)

    def close(self, code: int, reason: str = "") -> int:
        """Close every connection with a code. Returns how many there were.

        Raises:
            InvalidSetting: a close frame cannot have that code or reason.
        """
        if code not in _CLOSE_CODES and code not in {1000, 1001, 1008, 1011, 1012, 1013}:
            raise InvalidSetting("code", code, "1000, 1001, 1008, 1011 to 1013, or 3000 to 4999")
        if len(reason.encode()) > 123:
            raise InvalidSetting("reason", reason, "at most 123 bytes")
        return self._close_all(code, reason)

    def _close_all(self, code: int, reason: str) -> int:
        sessions = list(self._sessions.values())
        for session in sessions:
            session.close(code, reason)
        return len(sessions)

    def garbage(self, kind: str, topic: str | None = None) -> int:
        """Send one spoilt frame now, besides the real ones.

        Args:
            kind: a value of :class:`feedmux.sim.misbehaviour.Garbage`.
            topic: on which channel, made of its frames; None takes every channel.

        Returns:
            on how many channels it was sent; one that sent nothing yet has nothing to spoil.

        Raises:
            InvalidSetting: there is no such kind.
        """
        return self.floor.garble(garbage(kind), topic)

    def delist(self, topic: str) -> None:
        """Stop the data of a channel without a word and drop it from answers from now on."""
        self.floor.delist(topic)

    def relist(self, topic: str) -> None:
        """Accept a channel again; who had it must subscribe again."""
        self.floor.relist(topic)

    def skip(self, channel: str, count: int = 1) -> int:
        """Leave out the next deliveries of a channel, as if they had been sent.

        Returns:
            how many channels of that name are read: 0 or 1, or one for each account.

        Raises:
            InvalidSetting: the number is not above 0.
        """
        if count < 1:
            raise InvalidSetting("count", count, "1 or more")
        streams = self.floor.named(channel)
        for stream in streams:
            stream.skips += count
        return len(streams)

    def delay(self, seconds: float, method: str | None = None, count: int | None = None) -> None:
        """Answer later: ``count`` requests (None for ever), of one method (None for any)."""
        self.floor.faults.add(Fault.DELAY, method=method, count=count, seconds=seconds)

    def drop_answer(self, method: str | None = None, count: int | None = 1) -> None:
        """Do what is asked for and do not answer."""
        self.floor.faults.add(Fault.DROP, method=method, count=count)

    def repeat_answer(self, method: str | None = None, count: int | None = 1) -> None:
        """Answer twice."""
        self.floor.faults.add(Fault.REPEAT, method=method, count=count)

    def limit(self, method: str | None = None, count: int | None = 1) -> None:
        """Answer 10028 and close, whatever credits there are."""
        self.floor.faults.add(Fault.LIMIT, method=method, count=count)

    def expire_tokens(self) -> int:
        """Let every access token be void now. Returns how many were good."""
        return self.floor.tokens.expire(self.floor.now())

    def maintenance(self, on: bool) -> None:
        """Answer every request with 11051, or as usual again."""
        self.floor.maintain(on)

    def behave(self) -> None:
        """End maintenance, and every fault of answers that waits."""
        self.floor.faults.clear()
        if self.floor.maintenance:
            self.floor.maintain(False)

    def move(self, instrument: str, price: float) -> None:
        """Let a future be at a price at once, and what follows the same index with it.

        Raises:
            InvalidSetting: there is no such future, or the price is none.
        """
        self.floor.exchange.move(instrument, price, self.floor.moment())
        self.floor.publish()

    def statistics(self) -> dict[str, object]:
        """Connections, requests, channels, orders and frames."""
        return {
            **self.floor.statistics(),
            **self._figures(),
        }
