"""A simulated Alpaca: the stream of market data (v2) and of order updates, with faults on demand.

Theory of operation
-------------------
One WebSocket server listens. ``/v2/<feed>`` leads to the :class:`AlpacaFloor` of that feed, which owns its
symbols and ticks in one task; an :class:`AlpacaSession` reads the requests of one connection and answers
them. ``/stream`` leads to the :class:`TradingFloor`. All share one :class:`Gate`. ``/control`` drives the
simulator from another process (:mod:`feedmux.sim.alpaca_control`).

Compression is agreed to when a client offers it, as the venue does; what is sent is never
compressed, which RFC 7692 leaves to the sender.

Deliberately absent: REST, so no orders and no history; crypto, options and news; imbalances; TLS; and
prices from anywhere but dice. How the venue pings is not documented; here it does not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import count

from websockets.asyncio.server import ServerConnection

from feedmux.model.errors import InvalidSetting
from feedmux.model.ports import Clock
from feedmux.sim.alpaca_control import obey
from feedmux.sim.alpaca_faults import Verdicts, require_error
from feedmux.sim.alpaca_floor import AlpacaFloor
from feedmux.sim.alpaca_gate import Gate
from feedmux.sim.alpaca_options import FEEDS, AlpacaOptions
from feedmux.sim.alpaca_session import AlpacaSession
from feedmux.sim.alpaca_trading import TradingFloor, TradingSession, Update
from feedmux.sim.clock import SystemClock
from feedmux.sim.misbehaviour import garbage
from feedmux.sim.venue_server import CONTROL_PATH, GOING_AWAY, Ticker, VenueServer

TRADING_PATH = "/stream"
DATA_PATHS = tuple(f"/v2/{feed}" for feed in FEEDS)
"""Market data, one path for each feed."""
PATHS = (*DATA_PATHS, TRADING_PATH, CONTROL_PATH)
"""All that is served."""


class AlpacaSim(VenueServer[AlpacaSession | TradingSession]):
    """A running simulator. All switches act at once, on all feeds, and may not block.

    Args:
        options: how it behaves.
        clock: what time it is; the machine's when None.
    """

    def __init__(self, options: AlpacaOptions | None = None, *, clock: Clock | None = None) -> None:
        self.options = options or AlpacaOptions()
        paths = (*DATA_PATHS, TRADING_PATH)
        super().__init__(self.options.host, self.options.port, paths=paths, compression="deflate")
        clock = clock or SystemClock()
        self.gate = Gate(self.options.accounts, self.options.connection_limit, self.options.linger_s)
        self.floors = {feed: AlpacaFloor(feed, self.options, clock, self.gate) for feed in FEEDS}
        self.trading = TradingFloor(self.gate, clock, self.options.seed, paper=self.options.paper)
        self.verdicts = Verdicts()
        self._numbers = count(1)

    def url(self, path: str = "/v2/iex") -> str:
        """Where a client connects; one of :data:`PATHS`."""
        return self._url(path)

    # -- connections -----------------------------------------------------------------------

    def _tickers(self) -> Mapping[str, Ticker]:
        return {f"alpaca-sim-{feed}": floor for feed, floor in self.floors.items()}

    def _session(self, connection: ServerConnection, path: str) -> AlpacaSession | TradingSession:
        ident = next(self._numbers)
        if path == TRADING_PATH:
            return TradingSession(self.trading, connection, ident)
        floor = self.floors[path.rpartition("/")[2]]
        return AlpacaSession(floor, connection, ident, self.verdicts)

    async def _left(self, session: AlpacaSession | TradingSession) -> None:
        session.leave()
        if session.closing is not None:
            await session.closing

    def _obey(self, message: str | bytes) -> bytes:
        return obey(self, message)

    async def _before_close(self) -> None:
        self.unmute()  # whoever is not read cannot answer a close

    # -- switches --------------------------------------------------------------------------

    def mute(self, topics: Iterable[str] | None = None, *, pongs: bool = True) -> None:
        """Stop the data of these topics, or of all when None; the connections stay.

        Args:
            topics: ``trades:AAPL`` and the like, on every feed; ``trade_updates`` for orders.
            pongs: False also stops to read and to write, WebSocket pings included: a stall. Who
                connects is let in and not greeted.
        """
        names = None if topics is None else list(topics)
        if names is None or "trade_updates" in names:
            self.trading.mute(on=True)
        for floor in self.floors.values():
            floor.mute(names)
            if not pongs:
                floor.stall(on=True)
        if not pongs:
            self.trading.stall(on=True)

    def unmute(self) -> None:
        """End every :meth:`mute`. Answers that waited are sent; data that did not go are lost."""
        self.trading.mute(on=False)
        self.trading.stall(on=False)
        for floor in self.floors.values():
            floor.unmute()

    def cut(self, *, clean: bool = False) -> int:
        """End every connection: with code 1001 when ``clean``, else by a reset. Returns how many."""
        sessions = list(self._sessions.values())
        for session in sessions:
            if clean:
                session.close(GOING_AWAY, "maintenance")
            else:
                session.abort()
        return len(sessions)

    def garbage(self, kind: str, topic: str | None = None) -> int:
        """Send one spoilt message now, besides the real ones.

        Args:
            kind: a value of :class:`feedmux.sim.misbehaviour.Garbage`.
            topic: made of whose data, to whom reads them; None takes every topic.

        Returns:
            on how many topics it was sent; one that sent nothing yet has nothing to spoil.

        Raises:
            InvalidSetting: there is no such kind.
        """
        chosen = garbage(kind)
        return sum(floor.garble(chosen, topic) for floor in self.floors.values())

    def delist(self, topic: str) -> None:
        """Stop the data of a topic without a word, whatever is muted or not."""
        for floor in self.floors.values():
            floor.delist(topic)

    def relist(self, topic: str) -> None:
        """Send the data of a topic again."""
        for floor in self.floors.values():
            floor.relist(topic)

    def publish(
        self, symbol: str, price: float, *, size: int = 100, ident: int | None = None, feed: str | None = None
    ) -> int:
        """Let a given trade happen.

        Args:
            symbol: what trades.
            price: dollars of a share.
            size: shares.
            ident: its id; the next one when None.
            feed: where; on every feed that has such a symbol when None.

        Returns:
            how many connections were told.

        Raises:
            InvalidSetting: there is no such feed or symbol, or the numbers are none of a trade.
        """
        return sum(floor.publish(symbol, price, size, ident) for floor in self._having(symbol, feed))

    def correct(self, symbol: str, price: float, size: int = 100) -> int:
        """Say that the last trade of a symbol was another one. Returns how many were told.

        Raises:
            InvalidSetting: there is no such symbol, or the numbers are none of a trade.
        """
        return sum(floor.correct(symbol, price, size) for floor in self._having(symbol))

    def cancel(self, symbol: str, action: str = "C") -> int:
        """Say that the last trade of a symbol was none: cancelled (C) or in error (E).

        Raises:
            InvalidSetting: there is no such symbol or action.
        """
        return sum(floor.cancel(symbol, action) for floor in self._having(symbol))

    def halt(self, symbol: str, on: bool) -> int:
        """Halt a symbol, or let it trade again. Returns how many connections were told.

        Raises:
            InvalidSetting: there is no such symbol.
        """
        return sum(floor.turn(symbol, halt=on) for floor in self._having(symbol))

    def _having(self, symbol: str, feed: str | None = None) -> list[AlpacaFloor]:
        if feed is not None and feed not in self.floors:
            raise InvalidSetting("feed", feed, "one of " + ", ".join(FEEDS))
        having = [floor for floor in self.floors.values() if feed in {None, floor.feed}]
        return [floor for floor in having if floor.trades(symbol)] or having[:1]

    def say(self, code: int, *, close: bool = False) -> int:
        """Say an error on every connection to market data; may end them with it. Returns how many.

        Raises:
            InvalidSetting: there is no such error.
        """
        require_error(code)
        told = [session for session in self._sessions.values() if isinstance(session, AlpacaSession)]
        for session in told:
            session.fail(code, close=close)
        return len(told)

    def fail(
        self, code: int, action: str | None = None, count: int | None = 1, *, close: bool = False
    ) -> None:
        """Let an error answer the next requests; see :class:`feedmux.sim.alpaca_faults.Verdict`.

        Raises:
            InvalidSetting: there is no such error or action, or the count is not above 0.
        """
        self.verdicts.add(code, action, count, close=close)

    def behave(self) -> None:
        """Forget the errors that wait for requests."""
        self.verdicts.clear()

    def limit(self, connections: int | None = None, linger_s: float | None = None) -> None:
        """Change how many connections a key may have at one feed, and how long one is still counted.

        Args:
            connections: at least 0; unchanged when None. Who is in stays in.
            linger_s: seconds that a connection is counted after it is gone; unchanged when None.

        Raises:
            InvalidSetting: one of them is below 0.
        """
        for name, number in (("connections", connections), ("linger_s", linger_s)):
            if number is not None and number < 0:
                raise InvalidSetting(name, number, "0 or more")
        if connections is not None:
            self.gate.limit = connections
        if linger_s is not None:
            self.gate.linger_s = linger_s

    def update_order(self, update: Update) -> int:
        """Tell who listens what became of an order. Returns how many connections were told.

        Raises:
            InvalidSetting: nothing like that becomes of an order.
        """
        return self.trading.publish(update)

    def statistics(self) -> dict[str, object]:
        """Connections now, ever and refused; each one's key, codec and subscriptions; errors and frames."""
        floors = {name: floor.statistics() for name, floor in self.floors.items()}
        return {
            **self._figures(),
            "connection_limit": self.gate.limit,
            "sessions": [session.statistics() for session in self._sessions.values()],
            "feeds": floors,
            "trading": self.trading.statistics(),
        }
