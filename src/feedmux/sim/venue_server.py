"""What every simulated venue is as a server: a listener, what ticks, connections, a control endpoint.

A venue says which paths it serves, what ticks, and what a connection's session is; how it behaves is its own.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, Final, Generic, Protocol, TypeVar

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from feedmux.model.errors import InvalidSetting

CONTROL_PATH: Final = "/control"
GOING_AWAY: Final = 1001
_CLOSE_TIMEOUT_S: Final = 1.0
_LATE_S: Final = 1.0
"""Who is later than this does not catch up."""


class Ticker(Protocol):
    """What lives by ticks."""

    counts: Counter[str]

    @property
    def tick_s(self) -> float:
        """Seconds from one to the next."""

    def now(self) -> float:
        """The monotonic clock, in seconds."""

    def tick(self) -> None:
        """Let one tick's worth of time pass."""


class Session(Protocol):
    """The venue's side of one connection."""

    def receive(self, message: str | bytes) -> None:
        """A client said something."""


SessionT = TypeVar("SessionT", bound=Session)
OptionsT = TypeVar("OptionsT")
ServerT = TypeVar("ServerT", bound="VenueServer[Any]")


class VenueServer(ABC, Generic[SessionT]):
    """The server of a simulated venue.

    Args:
        host: where it listens.
        port: likewise; 0: the system chooses.
        paths: what clients may connect to, beside the control endpoint.
        compression: ``deflate``: it is agreed to when a client offers it; None: it is not.
    """

    def __init__(self, host: str, port: int, *, paths: tuple[str, ...], compression: str | None) -> None:
        self._place, self._paths, self._compression = (host, port), paths, compression
        self._sessions: dict[ServerConnection, SessionT] = {}
        self._server: Server | None = None
        self._ticking: list[asyncio.Task[None]] = []
        self._refusing = False
        self._connections_ever = 0
        self._connections_refused = 0

    # -- what a venue says -----------------------------------------------------------------

    @abstractmethod
    def _tickers(self) -> Mapping[str, Ticker]:
        """What ticks while it is open, by the names of the tasks."""

    @abstractmethod
    def _session(self, connection: ServerConnection, path: str) -> SessionT:
        """Begin the session of a connection."""

    @abstractmethod
    async def _left(self, session: SessionT) -> None:
        """Its connection ended."""

    @abstractmethod
    def _obey(self, message: str | bytes) -> bytes:
        """Do what is said at the control endpoint; the answer."""

    def _turn_away(self, connection: ServerConnection) -> Response | None:
        """Refuse a connection to a path that is served; None: it is let in."""
        del connection
        return None

    async def _before_close(self) -> None:
        """End what would keep clients from answering a close."""

    # -- life ------------------------------------------------------------------------------

    async def start(self) -> None:
        """Listen and begin to trade.

        Raises:
            InvalidSetting: the address cannot be listened on.
        """
        host, port = self._place
        try:
            self._server = await serve(
                self._connected,
                host,
                port,
                process_request=self._admit,
                compression=self._compression,
                ping_interval=None,
                close_timeout=_CLOSE_TIMEOUT_S,
                server_header=None,
            )
        except OSError as error:
            raise InvalidSetting("port", f"{host}:{port}", f"an address that is free ({error})") from error
        self._ticking = [asyncio.create_task(_tick(one), name=name) for name, one in self._tickers().items()]

    @property
    def port(self) -> int:
        """The port it listens on."""
        assert self._server is not None, "start() comes first"
        return int(next(iter(self._server.sockets)).getsockname()[1])

    async def wait(self) -> None:
        """Wait until cancelled, or until what ticks fails, which is a defect and is raised."""
        await asyncio.gather(*self._ticking)

    async def stop(self) -> None:
        """Close every connection (1001) and the listener. May be called twice."""
        ticking, self._ticking = self._ticking, []
        for task in ticking:
            task.cancel()
        outcomes = await asyncio.gather(*ticking, return_exceptions=True)
        await self._before_close()
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
        for outcome in outcomes:
            if isinstance(outcome, Exception):
                raise outcome

    def refuse_connections(self, refuse: bool) -> None:
        """Answer new connections with HTTP 503, or accept them again."""
        self._refusing = refuse

    def _figures(self) -> dict[str, object]:
        """Connections now, ever and refused."""
        return {
            "connections": len(self._sessions),
            "connections_ever": self._connections_ever,
            "connections_refused": self._connections_refused,
        }

    def _url(self, path: str) -> str:
        return f"ws://{self._place[0]}:{self.port}{path}"

    # -- connections -----------------------------------------------------------------------

    def _admit(self, connection: ServerConnection, request: Request) -> Response | None:
        path = _path_of(request)
        if path == CONTROL_PATH:
            return None
        if path not in self._paths:
            verb = "are" if len(self._paths) > 1 else "is"
            return connection.respond(HTTPStatus.NOT_FOUND, f"served {verb} {', '.join(self._paths)}\n")
        refusal = (
            connection.respond(HTTPStatus.SERVICE_UNAVAILABLE, "no connections now\n")
            if self._refusing
            else self._turn_away(connection)
        )
        self._connections_refused += refusal is not None
        return refusal

    async def _connected(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        path = _path_of(connection.request)
        try:
            if path == CONTROL_PATH:
                async for message in connection:
                    await connection.send(self._obey(message).decode())
            else:
                await self._serve(connection, path)
        except ConnectionClosed:
            return  # with or without a close frame: both are how connections end

    async def _serve(self, connection: ServerConnection, path: str) -> None:
        self._connections_ever += 1
        session = self._sessions[connection] = self._session(connection, path)
        try:
            async for message in connection:
                session.receive(message)
        finally:
            del self._sessions[connection]
            await self._left(session)


async def run(
    make: Callable[[OptionsT], ServerT], options: OptionsT, ready: Callable[[ServerT], None]
) -> None:
    """Run a simulated venue until cancelled.

    Args:
        make: makes it.
        options: how it behaves.
        ready: called once, when it listens.

    Raises:
        InvalidSetting: the address cannot be listened on.
    """
    server = make(options)
    await server.start()
    try:
        ready(server)
        await server.wait()
    finally:
        await server.stop()


async def _tick(ticker: Ticker) -> None:
    """Let it tick until cancelled."""
    due = ticker.now()
    while True:
        due += ticker.tick_s
        late = ticker.now() - due
        if late > _LATE_S:
            due = ticker.now()
            ticker.counts["late"] += 1
        await asyncio.sleep(max(0.0, -late))
        ticker.tick()


def _path_of(request: Request) -> str:
    return request.path.partition("?")[0]
