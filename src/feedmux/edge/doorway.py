"""Who stands in the door: connections that are no clients yet, how many, and whose turn it is.

Theory of operation
-------------------
A connection is *half open* from the moment it is accepted until it is a WebSocket or gone. There
is room for a bounded number of them; the listener resets the next one at once, so that sockets
which never say anything cost a bounded amount, and those who are clients already nothing.

What a handshake costs is work, not memory. In a turn of the event loop only so much time is spent
on handshakes; those that are left over wait for the next turns, in the order in which they became
ready. So a storm of clients is let in over many turns, and between two of them everything that the
others get is sent. While the queue is long, nothing new is accepted either: the kernel's backlog
holds those who come, and nobody who speaks is ever reset because others were faster.
"""

from __future__ import annotations

from asyncio import AbstractEventLoop

from feedmux.edge.turnstile import Step, Turnstile
from feedmux.model.ports import Clock, Statistics


class Doorway:
    """The half-open connections of a server.

    Args:
        room: how many there may be.
        turn_s: how long handshakes may take of one turn of the loop.
        clock: time.
        loop: whose turns are counted.
    """

    def __init__(self, room: int, turn_s: float, *, clock: Clock, loop: AbstractEventLoop) -> None:
        self._room = room
        self._turnstile = Turnstile(turn_s, clock=clock, loop=loop)
        self._half_open = 0
        self.refused = 0
        """Connections that were reset because there was no room."""
        self.timed_out = 0
        """Handshakes that were not over in time."""

    @property
    def is_full(self) -> bool:
        """Whether the next connection has to be refused."""
        return self._half_open >= self._room

    @property
    def waiting(self) -> int:
        """How many steps wait for their turn."""
        return self._turnstile.waiting

    def enter(self) -> None:
        """A connection was accepted."""
        self._half_open += 1

    def leave(self) -> None:
        """A connection is a WebSocket, or gone."""
        self._half_open -= 1

    def ask(self, step: Step) -> bool:
        """Take a step of a handshake, now or in a later turn; see :meth:`Turnstile.ask`."""
        return self._turnstile.ask(step)

    def statistics(self) -> Statistics:
        """Return the present, and counters since the start."""
        return {
            "half_open": self._half_open,
            "refused_half_open": self.refused,
            "handshakes_timed_out": self.timed_out,
        }
