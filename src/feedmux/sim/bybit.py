"""A simulated Bybit: the V5 public WebSocket of linear, spot and inverse, with faults on demand.

Theory of operation
-------------------
One WebSocket server listens. ``/v5/public/<market>`` leads to the :class:`Floor` of that market,
which owns its symbols and ticks in one task; a :class:`Session` reads the requests of one
connection and answers them in the market's own words. ``/control`` drives the simulator from
another process (:mod:`feedmux.sim.control`).

Served are tickers, klines and public trades. Deliberately absent: order books, liquidations,
options, spreads, the private stream and order entry; compression; the limits per address (how
the venue refuses the 501st connection in five minutes is not documented).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from random import Random

from websockets.asyncio.server import ServerConnection

from feedmux.model.errors import InvalidSetting
from feedmux.model.ports import Clock
from feedmux.sim.bybit_floor import Floor
from feedmux.sim.bybit_session import Session
from feedmux.sim.clock import SystemClock
from feedmux.sim.control import obey
from feedmux.sim.misbehaviour import garbage
from feedmux.sim.options import MARKETS, SimOptions
from feedmux.sim.venue_server import CONTROL_PATH, GOING_AWAY, Ticker, VenueServer

_PUBLIC = "/v5/public/"


class BybitSim(VenueServer[Session]):
    """A running simulator. All switches act at once, on all markets, and may not block.

    Args:
        options: how it behaves.
        clock: what time it is; the machine's when None.
    """

    def __init__(self, options: SimOptions | None = None, *, clock: Clock | None = None) -> None:
        self.options = options or SimOptions()
        paths = tuple(_PUBLIC + market for market in MARKETS)
        super().__init__(self.options.host, self.options.port, paths=paths, compression=None)
        clock = clock or SystemClock()
        self._floors = {market: Floor(market, self.options, clock) for market in MARKETS}
        self._dice = Random(f"{self.options.seed}:connections")
        self._closing: set[asyncio.Task[None]] = set()

    def url(self, market: str = "linear") -> str:
        """Where a client of ``market`` connects; ``control`` is the control endpoint."""
        return self._url(CONTROL_PATH if market == "control" else _PUBLIC + market)

    # -- connections -----------------------------------------------------------------------

    def _tickers(self) -> Mapping[str, Ticker]:
        return {f"bybit-sim-{market}": floor for market, floor in self._floors.items()}

    def _session(self, connection: ServerConnection, path: str) -> Session:
        return Session(self._floors[path.removeprefix(_PUBLIC)], connection, self._dice)

    async def _left(self, session: Session) -> None:
        session.leave()

    def _obey(self, message: str | bytes) -> bytes:
        return obey(self, message)

    async def _before_close(self) -> None:
        await asyncio.gather(*self._closing)

    # -- switches --------------------------------------------------------------------------

    def mute(self, topics: Iterable[str] | None = None, *, pongs: bool = True) -> None:
        """Stop the data of ``topics``, or of all when None; the connections stay.

        Args:
            topics: as a client would subscribe to them, on every market.
            pongs: False also stops to answer: requests are lost, acknowledgements wait.
        """
        names = None if topics is None else list(topics)
        for floor in self._floors.values():
            floor.mute(names)
            floor.silent = floor.silent or not pongs

    def unmute(self) -> None:
        """End every :meth:`mute`. The next delta carries all that changed meanwhile."""
        for floor in self._floors.values():
            floor.unmute()

    def cut(self, *, clean: bool = False) -> int:
        """End every connection to a market.

        Args:
            clean: True closes with code 1001, False resets the TCP connection.

        Returns:
            how many there were.
        """
        sessions = list(self._sessions.values())
        for session in sessions:
            if clean:
                task = asyncio.create_task(session.connection.close(GOING_AWAY, "maintenance"))
                self._closing.add(task)
                task.add_done_callback(self._closing.discard)
            else:
                session.abort()
        return len(sessions)

    def garbage(self, kind: str, topic: str | None = None) -> int:
        """Send one spoilt frame now, besides the real ones.

        Args:
            kind: a value of :class:`feedmux.sim.misbehaviour.Garbage`.
            topic: on whose connections, made of whose frames; None takes every topic.

        Returns:
            on how many topics it was sent; a topic that sent nothing yet has nothing to spoil.

        Raises:
            InvalidSetting: there is no such kind.
        """
        chosen = garbage(kind)
        return sum(floor.garble(chosen, topic) for floor in self._floors.values())

    def delist(self, topic: str) -> None:
        """Stop the data of ``topic`` without a word and refuse it from now on."""
        for floor in self._floors.values():
            floor.delist(topic)

    def relist(self, topic: str) -> None:
        """Accept ``topic`` again; who had it must subscribe again."""
        for floor in self._floors.values():
            floor.relist(topic)

    def state(self, market: str, topic: str) -> dict[str, str] | None:
        """The whole state of a ticker topic as the venue knows it; None before anybody asked.

        Raises:
            InvalidSetting: there is no such market.
        """
        if market not in self._floors:
            raise InvalidSetting("market", market, "one of " + ", ".join(MARKETS))
        return self._floors[market].state(topic)

    def statistics(self) -> dict[str, object]:
        """Connections, requests, topics and frames, in sum and by market."""
        markets = {name: floor.statistics() for name, floor in self._floors.items()}
        floors = self._floors.values()
        return {
            **self._figures(),
            "requests": sum(sum(floor.requests.values()) for floor in floors),
            "refused": sum(floor.counts["refused"] for floor in floors),
            "frames_sent": sum(floor.counts["frames_sent"] for floor in floors),
            "markets": markets,
        }
