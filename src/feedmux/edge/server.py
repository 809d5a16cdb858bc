"""Listen, and keep what all connections share: routes, limits, deadlines, counters."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Callable, Mapping

import msgspec

from feedmux.core.outbox import Outbox, OutboxLimits
from feedmux.core.wheel import Wheel
from feedmux.edge.connection import GOING_AWAY, Connection
from feedmux.edge.deadlines import Deadlines
from feedmux.edge.flush import Flush
from feedmux.edge.handshake import Handshake
from feedmux.edge.http import Route
from feedmux.edge.session import Peer, Session
from feedmux.model.errors import LocalError
from feedmux.model.ports import Clock, Outlet, Statistics

log = logging.getLogger(__name__)

_TICK_S = 0.1
_SLOTS = 1024

SessionMaker = Callable[[Peer, Outlet], Session]


class CannotListen(LocalError):
    """The address cannot be bound.

    Args:
        host: the address.
        port: the port.
        reason: the system's words.
    """

    code = "CANNOT_LISTEN"

    def __init__(self, host: str, port: int, reason: str) -> None:
        super().__init__(host, port, reason)
        self.host, self.port, self.reason = host, port, reason

    def __str__(self) -> str:
        return f"cannot listen on {self.host}:{self.port}: {self.reason}"


class ServerConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds on what strangers may do.

    Args:
        host: address to listen on.
        port: port to listen on; 0 lets the system choose.
        path: where WebSockets are served.
        max_clients: WebSocket clients at once; the next one is closed with 4003.
        max_message_bytes: one message of a client; more is closed with 1009.
        max_control_bytes: answers that may wait in a client's transport.
        max_excess: messages over a client's rate that are answered before its socket is left
            unread for a second.
        handshake_timeout_s: for a whole request head, else 408.
        close_timeout_s: for the peer to follow a close, else the socket is aborted.
        ping_interval_s: between pings.
        pong_timeout_s: for the answer to a ping, else 1011.
        idle_timeout_s: a client without streams that sends nothing is closed with 4000.
        stall_timeout_s: a client that reads nothing is closed with 4008.
        outbox: bounds of a client's outbox.
        backlog: connections that the kernel holds until they are accepted.
    """

    host: str = "0.0.0.0"  # noqa: S104 - a gateway serves the network; HOST restricts it
    port: int = 8000
    path: str = "/ws"
    max_clients: int = 10_000
    max_message_bytes: int = 1_048_576
    max_control_bytes: int = 262_144
    max_excess: int = 100
    handshake_timeout_s: float = 5.0
    close_timeout_s: float = 5.0
    ping_interval_s: float = 20.0
    pong_timeout_s: float = 10.0
    idle_timeout_s: float = 300.0
    stall_timeout_s: float = 5.0
    outbox: OutboxLimits = OutboxLimits()
    backlog: int = 4096


class Server:
    """The listener and its connections.

    Args:
        config: see :class:`ServerConfig`.
        make_session: makes the session of a client that has been admitted.
        routes: what plain HTTP paths answer.
        clock: time.
    """

    def __init__(
        self,
        config: ServerConfig,
        *,
        make_session: SessionMaker,
        routes: Mapping[str, Route],
        clock: Clock,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self.config = config
        self.make_session = make_session
        self.routes = routes
        self.clock = clock
        self.loop = loop
        self.draining = False
        self.sockets: dict[Deadlines, None] = {}
        self.wheel: Wheel[Deadlines] = Wheel(_TICK_S, _SLOTS, clock.monotonic())
        self.protocol_log = logging.getLogger("feedmux.edge.protocol")
        self.protocol_log.setLevel(logging.CRITICAL)
        self._flush = Flush(loop)
        self._empty = asyncio.Event()
        self._clients = 0
        self._lifetime = 0
        self._closes: Counter[int] = Counter()
        self._sent = 0
        self._conflated = 0
        self._listener: asyncio.Server | None = None
        self._tick: asyncio.TimerHandle | None = None

    @property
    def port(self) -> int:
        """The port that is listened on."""
        assert self._listener is not None
        return int(self._listener.sockets[0].getsockname()[1])

    @property
    def clients(self) -> int:
        """WebSocket clients now."""
        return self._clients

    async def start(self) -> None:
        """Bind and accept.

        Raises:
            CannotListen: the address is taken, or not ours.
        """
        config = self.config
        try:
            self._listener = await self.loop.create_server(
                lambda: Handshake(self), config.host, config.port, backlog=config.backlog
            )
        except OSError as error:
            raise CannotListen(config.host, config.port, error.strerror or str(error)) from None
        self._turn()

    async def drain(self, grace_s: float, spread_s: float) -> None:
        """Send everybody away.

        Args:
            grace_s: how long new clients are turned away while the old ones stay.
            spread_s: over how long the clients are closed; those left at its end are aborted.
        """
        self.draining = True
        await asyncio.sleep(grace_s)
        started = self.clock.monotonic()
        leaving = self._connections()
        for index, connection in enumerate(leaving):
            ahead = started + spread_s * 0.8 * index / len(leaving) - self.clock.monotonic()
            if ahead > 0.01:
                await asyncio.sleep(ahead)
            connection.close(GOING_AWAY, "Server going away")
        if self.sockets:
            self._empty.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._empty.wait(), started + spread_s - self.clock.monotonic())
        await self.stop()

    async def stop(self) -> None:
        """Abort what is left and close the listener."""
        for sock in list(self.sockets):
            sock.abort()
        if self._tick is not None:
            self._tick.cancel()
        if self._listener is not None:
            self._listener.close()
            await self._listener.wait_closed()

    # What connections share

    def admit(self) -> bool:
        """Count a client in, unless the house is full."""
        if self._clients >= self.config.max_clients:
            return False
        self._clients += 1
        self._lifetime += 1
        return True

    def gone(self, sock: Deadlines) -> None:
        """A socket is closed, or is somebody else's now."""
        self.sockets.pop(sock, None)
        if not self.sockets:
            self._empty.set()

    def leave(self, connection: Connection) -> None:
        """A client that had been admitted is gone."""
        self._clients -= 1
        if connection.outbox is not None:
            self._sent += connection.outbox.sent
            self._conflated += connection.outbox.conflated

    def make_outbox(self, connection: Connection) -> Outbox:
        """The outbox of an admitted client."""
        return Outbox(connection, self._flush.mark, self.config.outbox)

    def count_close(self, code: int) -> None:
        """A client is closed by us."""
        self._closes[code] += 1

    def descriptor(self, transport: asyncio.Transport) -> int:
        """The descriptor that frames may be written to directly; -1 where only the transport may."""
        if transport.get_extra_info("sslcontext") is not None:
            return -1
        sock = transport.get_extra_info("socket")
        return int(sock.fileno()) if sock is not None else -1

    def statistics(self) -> Statistics:
        """Counters of all connections that are and were."""
        connections = self._connections()
        boxes = [c.outbox for c in connections if c.outbox is not None]
        streams = sum(c.session.subscriptions for c in connections if c.session is not None)
        return {
            "clients": self._clients,
            "clients_lifetime": self._lifetime,
            "sockets": len(self.sockets),
            "streams": streams,
            "messages_sent": self._sent + sum(box.sent for box in boxes),
            "conflated": self._conflated + sum(box.conflated for box in boxes),
            "stalled": sum(1 for box in boxes if box.paused),
            "waiting_bytes": sum(box.waiting_bytes for box in boxes),
            "closed_by_code": {str(code): count for code, count in sorted(self._closes.items())},
            "draining": self.draining,
        }

    def _connections(self) -> list[Connection]:
        """Everybody who has a session."""
        return [c for c in self.sockets if isinstance(c, Connection) and c.session is not None]

    def _turn(self) -> None:
        now = self.clock.monotonic()
        for sock in self.wheel.advance(now):
            sock.due(now)
        self._tick = self.loop.call_later(_TICK_S, self._turn)
