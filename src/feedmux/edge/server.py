"""Listen, accept, and in the end send everybody away."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
from collections.abc import Iterable
from typing import Final

import msgspec

from feedmux.edge.connection import GOING_AWAY
from feedmux.edge.handshake import Handshake
from feedmux.edge.house import House, ServerConfig
from feedmux.edge.listener import Listener, bind
from feedmux.edge.tls import Tls
from feedmux.edge.tls_transport import TlsTransport
from feedmux.model.errors import LocalError
from feedmux.model.ports import Statistics

_ADVICE: Final = {
    errno.EADDRINUSE: "another process listens there; stop it or choose another port",
    errno.EADDRNOTAVAIL: "this machine does not have that address",
    errno.EACCES: "ports below 1024 are privileged; choose a higher one",
}


class CannotListen(LocalError):
    """The address cannot be bound.

    Args:
        host: the address.
        port: the port.
        reason: what the system says, and what to do.
    """

    code = "CANNOT_LISTEN"

    def __init__(self, host: str, port: int, reason: str) -> None:
        super().__init__(host, port, reason)
        self.host, self.port, self.reason = host, port, reason

    def __str__(self) -> str:
        return f"cannot listen on {self.host}:{self.port}: {self.reason}"


class Server:
    """The listener of a house.

    Args:
        house: what all accepted sockets share.
        tls: what they are secured with; None serves plain HTTP and WebSockets.
    """

    def __init__(self, house: House, tls: Tls | None = None) -> None:
        self.house = house
        self.tls = tls
        self._listener = Listener(self._make, doorway=house.doorway, loop=house.loop)

    @property
    def port(self) -> int:
        """The port that is listened on."""
        return self._listener.port

    @property
    def clients(self) -> int:
        """WebSocket clients now."""
        return len(self.house.guests)

    @property
    def draining(self) -> bool:
        """Whether new clients are turned away."""
        return self.house.draining

    async def start(self, sockets: Iterable[socket.socket] | None = None) -> None:
        """Accept from now on.

        Args:
            sockets: that listen already and were lent to us; None: bind what the configuration says.

        Raises:
            CannotListen: the address is taken, or not ours.
        """
        self._listener.start(await listen(self.house.config) if sockets is None else sockets)
        self.house.turn()

    async def drain(self, grace_s: float, spread_s: float) -> None:
        """Send everybody away.

        Args:
            grace_s: how long new clients are turned away while the old ones stay.
            spread_s: over how long the clients are closed; those left at its end are aborted.
        """
        house = self.house
        house.draining = True
        await asyncio.sleep(grace_s)
        started = house.clock.monotonic()
        leaving = list(house.guests)
        for index, guest in enumerate(leaving):
            ahead = started + spread_s * 0.8 * index / len(leaving) - house.clock.monotonic()
            if ahead > 0.01:
                await asyncio.sleep(ahead)
            guest.close(GOING_AWAY, "Server going away")
        left = started + spread_s - house.clock.monotonic()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(house.empty.wait(), left)
        await self.stop()

    async def stop(self) -> None:
        """Close the listener and abort what is left."""
        self._listener.close()
        self.house.stop()
        await self._listener.wait_closed()

    def statistics(self) -> Statistics:
        """Counters of all connections that are and were."""
        return {**self.house.statistics(), "tls_failed": self.tls.failed if self.tls is not None else 0}

    def _make(self) -> asyncio.Protocol:
        """Make the protocol of an accepted socket."""
        handshake = Handshake(self.house)
        if self.tls is None:
            return handshake
        return TlsTransport(self.tls, handshake, doorway=self.house.doorway, loop=self.house.loop)


async def listen(config: ServerConfig, *, is_shared: bool = False) -> list[socket.socket]:
    """Listen where the configuration says, alone or beside others of this user.

    Raises:
        CannotListen: the address is taken, or not ours.
    """
    try:
        return await bind(
            config.host,
            config.port,
            backlog=config.backlog,
            send_buffer_bytes=config.send_buffer_bytes,
            unsent_bytes=config.unsent_bytes,
            is_shared=is_shared,
        )
    except OSError as error:
        raise CannotListen(config.host, config.port, _why(error)) from None


async def listen_for(config: ServerConfig, processes: int) -> list[list[socket.socket]]:
    """Listen once for each of several processes, on one port that nobody else has.

    Raises:
        CannotListen: the address is taken, or not ours.
    """
    alone = await listen(config)  # those that share a port would not notice that others have it
    found = msgspec.structs.replace(config, port=alone[0].getsockname()[1])
    for sock in alone:
        sock.close()
    return [await listen(found, is_shared=True) for _ in range(processes)]


def _why(error: OSError) -> str:
    """Say what the system says, without asyncio's words around it, and what to do."""
    if isinstance(error, socket.gaierror) or error.errno is None:
        return f"{error.strerror or error}; expected an address of this machine"
    said = os.strerror(error.errno)
    advice = _ADVICE.get(error.errno)
    return f"{said} ({advice})" if advice else said
