"""How far a client whose socket is full has fallen behind.

Theory of operation
-------------------
==========  ==============================================  =================================
state       meaning                                         what ends it
==========  ==============================================  =================================
ok          the socket takes what is sent                   it is full: *conflating*
conflating  newer values replace those that wait            it is empty again: *ok*; nothing
                                                            was taken for half the time that
                                                            a client has: *stalled*
stalled     the peer takes nothing                          it took something: *conflating*;
                                                            the time is over: closed
==========  ==============================================  =================================

A peer takes something when the kernel's queue for it gets shorter. One that takes a little now
and then is not stalled, but what it gets is old: it is closed when its socket has been full for
longer than it may be. An object of this module exists only while a socket is full.
"""

from __future__ import annotations

import array
import asyncio
import fcntl
import termios
from enum import StrEnum


class Pace(StrEnum):
    """How a client takes what it is sent."""

    OK = "ok"
    CONFLATING = "conflating"
    STALLED = "stalled"


class Slowness:
    """One client's socket from the moment at which it was full.

    Args:
        now: that moment, on the monotonic clock.
        queued: bytes in the kernel that the peer has not taken.
        stall_s: how long it may take nothing.
        lag_s: how long its socket may be full.
    """

    __slots__ = ("_lag_s", "_moved", "_queued", "_since", "_stall_s")

    def __init__(self, now: float, queued: int, *, stall_s: float, lag_s: float) -> None:
        self._since = self._moved = now
        self._queued = queued
        self._stall_s, self._lag_s = stall_s, lag_s

    def look(self, now: float, queued: int) -> None:
        """Note what the kernel holds now."""
        if queued < self._queued:
            self._moved = now
        self._queued = queued

    def pace(self, now: float) -> Pace:
        """Whether the peer takes anything."""
        return Pace.STALLED if now - self._moved >= self._stall_s / 2 else Pace.CONFLATING

    def verdict(self, now: float) -> str:
        """Why the client must go; empty: it may stay."""
        if now - self._moved >= self._stall_s:
            return f"Too slow: nothing was read for {self._stall_s:g} s"
        if now - self._since >= self._lag_s:
            return f"Too slow: behind for {self._lag_s:g} s"
        return ""

    def next_look(self, now: float) -> float:
        """Seconds until there may be a verdict, or a change of state."""
        wait = self._stall_s / 2
        return max(
            0.0, min(self._moved + wait * (1 + (now - self._moved >= wait)), self._since + self._lag_s) - now
        )


def queued_bytes(transport: asyncio.Transport) -> int:
    """What the kernel holds for the peer: sent and not acknowledged, and not sent (SIOCOUTQ)."""
    sock = transport.get_extra_info("socket")
    if sock is None or sock.fileno() < 0:
        return 0
    held = array.array("i", [0])
    fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, held)
    return held[0]
