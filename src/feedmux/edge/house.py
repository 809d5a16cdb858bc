"""What all sockets of a server share: paths, bounds, deadlines, counters."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Mapping
from typing import Final, Protocol
from weakref import ref

import msgspec

from feedmux._native.outbox import Flush, Outbox
from feedmux.core.latency import Latency
from feedmux.core.outbox import OutboxLimits
from feedmux.core.stats import Histogram, Rule, Rules
from feedmux.core.wheel import Wheel
from feedmux.edge.deadlines import Deadlines
from feedmux.edge.dialogue import Dialogue
from feedmux.edge.door import Door, OwnDoor
from feedmux.edge.doorway import Doorway
from feedmux.edge.endpoint import Endpoint
from feedmux.edge.http import Route
from feedmux.edge.parser import Parsers
from feedmux.edge.slowness import Pace
from feedmux.edge.turnstile import Turnstile
from feedmux.model.ports import Clock, DirectWriter, Statistics

_TICK_S = 0.1
_SLOTS = 1024

RULES: Final[Rules] = {"draining": Rule.MOST, "loop_lag": Rule.HISTOGRAM}
"""Of :meth:`House.statistics`."""


class ServerConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds on what strangers may do.

    Args:
        host: address to listen on.
        port: port to listen on; 0 lets the system choose.
        max_clients: WebSocket clients at once; the next one is closed with 4003.
        max_message_bytes: one message of a client, unless its endpoint says otherwise; more is closed
            with 1009.
        max_control_bytes: answers that may wait in a client's transport.
        max_frames: frames of any kind that are read from a client in a second; then its socket
            is left unread until the second is over.
        handshake_timeout_s: for a whole request head, else 408.
        close_timeout_s: for the peer to follow a close, else the socket is aborted.
        ping_interval_s: between pings.
        pong_timeout_s: for the answer to a ping, else 1011.
        idle_timeout_s: a client without streams that sends nothing is closed with 4000.
        stall_timeout_s: a client that reads nothing is closed with 4008.
        max_lag_s: so is one whose socket is full for so long, whatever it reads.
        outbox: bounds of a client's outbox.
        send_buffer_bytes: of each socket in the kernel, where nothing can be conflated any more;
            0 leaves it to the system.
        unsent_bytes: of these, what may wait there although the peer's window has no room for it; 0
            leaves it to the system.
        backlog: connections that the kernel holds until they are accepted.
        max_half_open: connections that are no WebSockets yet; the next one is reset.
        handshake_turn_s: how long handshakes may take of one turn of the loop.
        requests_turn_s: so may what clients say.
        drained_per_turn: clients that are written to before reading and accepting have their turn.
    """

    host: str = "0.0.0.0"  # noqa: S104 - a gateway serves the network; HOST restricts it
    port: int = 8000
    max_clients: int = 10_000
    max_message_bytes: int = 1_048_576
    max_control_bytes: int = 262_144
    max_frames: int = 200
    handshake_timeout_s: float = 5.0
    close_timeout_s: float = 5.0
    ping_interval_s: float = 20.0
    pong_timeout_s: float = 10.0
    idle_timeout_s: float = 300.0
    stall_timeout_s: float = 5.0
    max_lag_s: float = 60.0
    outbox: OutboxLimits = OutboxLimits()
    send_buffer_bytes: int = 0
    unsent_bytes: int = 0
    backlog: int = 4096
    max_half_open: int = 4096
    handshake_turn_s: float = 0.0005
    requests_turn_s: float = 0.0005
    drained_per_turn: int = 512


class Guest(Protocol):
    """A socket that may be a client."""

    outbox: Outbox | None
    session: Dialogue | None

    @property
    def pace(self) -> Pace:
        """How it takes what it is sent."""

    def close(self, code: int, reason: str) -> None:
        """Start the closing handshake."""


class House:
    """The sockets of one server and what they share.

    Args:
        config: see :class:`ServerConfig`.
        endpoints: what serves WebSockets, by its path.
        catch_all: what serves them on every other path that is no route; None: nothing does.
        routes: what plain HTTP paths answer.
        clock: time.
        loop: the event loop that everything runs in.
        latency: is told when what was offered has been written.
        door: counts the clients; several houses may share one bound.
    """

    def __init__(
        self,
        config: ServerConfig,
        *,
        endpoints: Mapping[str, Endpoint],
        catch_all: Endpoint | None = None,
        routes: Mapping[str, Route],
        clock: Clock,
        loop: asyncio.AbstractEventLoop,
        latency: Latency | None = None,
        door: Door | None = None,
    ) -> None:
        self.config = config
        self.routes = routes
        self.clock = clock
        self.loop = loop
        self.draining = False
        self.shut = False
        self.sockets: dict[Deadlines, None] = {}
        self.guests: dict[Guest, None] = {}
        self.empty = asyncio.Event()
        self.empty.set()
        self.doorway = Doorway(config.max_half_open, config.handshake_turn_s, clock=clock, loop=loop)
        self.desk = Turnstile(config.requests_turn_s, clock=clock, loop=loop)
        self.wheel: Wheel[ref[Deadlines]] = Wheel(_TICK_S, _SLOTS, clock.monotonic())
        self.protocol_log = logging.getLogger("feedmux.edge.protocol")
        self.protocol_log.setLevel(logging.CRITICAL)
        self._endpoints = endpoints
        self._catch_all = catch_all
        self._parsers: dict[int, Parsers] = {}
        self._flush = Flush(loop.call_soon, config.drained_per_turn, self._flushed)
        self._lifetime = 0
        self._latency = latency or Latency()
        self._door = door or OwnDoor()
        self._lag = Histogram()
        self._failures: Counter[str] = Counter()
        self._refusals: Counter[int] = Counter()
        self._closes: Counter[int] = Counter()
        self._sent = 0
        self._conflated = 0
        self._gaps = 0
        self._lost = 0
        self._tick: asyncio.TimerHandle | None = None

    def endpoint(self, path: str) -> Endpoint | None:
        """What serves WebSockets there; None: nothing does."""
        found = self._endpoints.get(path)
        return self._catch_all if found is None and path not in self.routes else found

    def parsers(self, max_message_bytes: int) -> Parsers:
        """The parsers of clients that have this bound; 0: the bound of all."""
        bound = max_message_bytes or self.config.max_message_bytes
        if bound not in self._parsers:
            self._parsers[bound] = Parsers(bound, self.protocol_log)
        return self._parsers[bound]

    def come(self, sock: Deadlines) -> None:
        """A socket is there."""
        self.sockets[sock] = None
        self.empty.clear()

    def gone(self, sock: Deadlines) -> None:
        """A socket is closed, or is somebody else's now."""
        self.sockets.pop(sock, None)
        if not self.sockets:
            self.empty.set()

    def admit(self, guest: Guest) -> bool:
        """Count a client in, unless the house is full."""
        if not self._door.enter(self.config.max_clients):
            return False
        self.guests[guest] = None
        self._lifetime += 1
        return True

    def leave(self, guest: Guest) -> None:
        """A client that had been admitted is gone."""
        del self.guests[guest]
        self._door.leave()
        if guest.outbox is not None:
            self._sent += guest.outbox.sent
            self._conflated += guest.outbox.conflated
            self._gaps += guest.outbox.gaps
            self._lost += guest.outbox.lost

    def make_outbox(self, writer: DirectWriter) -> Outbox:
        """The outbox of an admitted client."""
        return Outbox(writer, self._flush, self.config.outbox)

    def count_close(self, code: int) -> None:
        """A client is closed by us."""
        self._closes[code] += 1

    def count_refusal(self, status: int) -> None:
        """A client was not let in by an endpoint."""
        self._refusals[status] += 1

    def count_failure(self, what: str) -> int:
        """What was to answer a request raised instead; how often that one did."""
        self._failures[what] += 1
        return self._failures[what]

    def descriptor(self, transport: asyncio.Transport) -> int:
        """The descriptor that frames may be written to directly; -1 where only the transport may."""
        if transport.get_extra_info("sslcontext") is not None:
            return -1
        sock = transport.get_extra_info("socket")
        return int(sock.fileno()) if sock is not None else -1

    def turn(self) -> None:
        """Look after all deadlines, now and then again, until :meth:`stop`."""
        now = self.clock.monotonic()
        for reference in self.wheel.advance(now):
            sock = reference()
            if sock is not None:
                sock.due(now)
        self._latency.tick()
        self._tick = self.loop.call_later(_TICK_S, self._turn_again, self.clock.monotonic() + _TICK_S)

    def _turn_again(self, due: float) -> None:
        """Turn, and note how late: whatever holds the loop up holds this up too."""
        self._lag.record(int((self.clock.monotonic() - due) * 1e9))
        self.turn()

    def _flushed(self) -> None:
        self._latency.flushed(self.clock.time_ns())

    def stop(self) -> None:
        """Abort what is left, and what comes later; no deadline is looked after any more."""
        self.shut = True
        for sock in list(self.sockets):
            sock.abort()
        if self._tick is not None:
            self._tick.cancel()

    def _paces(self) -> dict[str, int]:
        paces = Counter(guest.pace for guest in self.guests)
        return {str(pace): paces[pace] for pace in Pace}

    def statistics(self) -> Statistics:
        """Counters of all connections that are and were; they add up by :data:`RULES`."""
        boxes = [guest.outbox for guest in self.guests if guest.outbox is not None]
        sessions = [guest.session for guest in self.guests if guest.session is not None]
        return {
            "clients": len(self.guests),
            "clients_lifetime": self._lifetime,
            "sockets": len(self.sockets),
            "deadlines": len(self.wheel),
            "streams": sum(session.subscriptions for session in sessions),
            "messages_sent": self._sent + sum(box.sent for box in boxes),
            "conflated": self._conflated + sum(box.conflated for box in boxes),
            "gaps_sent": self._gaps + sum(box.gaps for box in boxes),
            "lost": self._lost + sum(box.lost for box in boxes),
            "clients_by_pace": self._paces(),
            "slow": sum(1 for box in boxes if box.paused),
            "waiting_bytes": sum(box.waiting_bytes for box in boxes),
            "closed_by_code": {str(code): count for code, count in sorted(self._closes.items())},
            "refused_by_status": {str(status): count for status, count in sorted(self._refusals.items())},
            "failed_requests": self._failures.total(),
            "loop_lag": self._lag.plain(),
            "draining": self.draining,
            **self.doorway.statistics(),
        }
