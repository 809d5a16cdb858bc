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

A peer takes something when its kernel acknowledges bytes: without a reader there, it has no room
for them. One that takes a little now
and then is not stalled, but what it gets is old: it is closed when its socket has been full for
longer than it may be. An object of this module exists only while a socket is full.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from enum import StrEnum
from typing import Final

_ACKED: Final = struct.Struct("=Q")
_ACKED_AT: Final = 120


class Pace(StrEnum):
    """How a client takes what it is sent."""

    OK = "ok"
    CONFLATING = "conflating"
    STALLED = "stalled"


class Slowness:
    """One client's socket from the moment at which it was full.

    Args:
        now: that moment, on the monotonic clock.
        taken: bytes that the peer has taken in all.
        stall_s: how long it may take nothing.
        lag_s: how long its socket may be full.
    """

    __slots__ = ("_lag_s", "_moved", "_since", "_stall_s", "_taken")

    def __init__(self, now: float, taken: int, *, stall_s: float, lag_s: float) -> None:
        self._since = self._moved = now
        self._taken = taken
        self._stall_s, self._lag_s = stall_s, lag_s

    def look(self, now: float, taken: int) -> None:
        """Note what the peer has taken by now."""
        if taken > self._taken:
            self._moved, self._taken = now, taken

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


def taken_bytes(transport: asyncio.Transport) -> int:
    """How many bytes the peer's kernel has acknowledged since the connection began.

    **Source**: Linux, ``struct tcp_info`` of ``linux/tcp.h``: ``tcpi_bytes_acked``, since 4.1.
    """
    sock = transport.get_extra_info("socket")
    if sock is None or sock.fileno() < 0:
        return 0
    information = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _ACKED.size + _ACKED_AT)
    return int(_ACKED.unpack_from(information, _ACKED_AT)[0])
