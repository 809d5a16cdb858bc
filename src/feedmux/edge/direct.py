"""Write frames to a descriptor past the transport: many frames, one system call."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from typing import Final

MAX_IOV: Final = 1024
"""Buffers in one writev; Linux takes no more (IOV_MAX)."""


def half_close(transport: asyncio.Transport) -> None:
    """Say that nothing follows, and leave the closing to the peer.

    Closing at once would reset the connection of a peer that is still sending, and a reset
    destroys what it has not read yet: our last words.
    """
    if not transport.is_closing():
        try:
            transport.write_eof()
        except OSError:  # asyncio's way to say that the peer is gone already
            transport.abort()


def send_direct(descriptor: int, frames: Sequence[bytes], rest: Callable[[bytes], bool]) -> int:
    """Send frames in order until the socket is full.

    Legal only while the transport's own buffer is empty. What is left of a frame under way (or
    one whole frame, when the socket takes nothing) goes to ``rest`` at once, so that nothing
    else can land inside it.

    Args:
        descriptor: a non-blocking stream socket.
        frames: whole frames.
        rest: gives bytes to the transport; returns whether the transport's buffer is empty
            again, so that writing may go on here.

    Returns:
        How many frames were taken.

    Raises:
        OSError: the connection is broken.
    """
    done = 0
    while done < len(frames):
        chunk = frames[done : done + MAX_IOV] if done or len(frames) > MAX_IOV else frames
        try:
            sent = os.writev(descriptor, chunk)
        except BlockingIOError:
            sent = 0
        whole, cut = covered(chunk, sent)
        done += whole
        if whole < len(chunk):
            done += 1
            if not rest(chunk[whole][cut:]):
                return done
    return done


def covered(frames: Sequence[bytes], sent: int) -> tuple[int, int]:
    """How many frames ``sent`` bytes cover whole, and how many bytes of the next one."""
    whole = 0
    for frame in frames:
        if sent < len(frame):
            return whole, sent
        sent -= len(frame)
        whole += 1
    return whole, 0
