"""Write frames through a transport that may not be passed by: many frames, one write."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

RECORD_BYTES: Final = 16_384
"""So much is joined for one write: the most that a TLS record holds (RFC 8446 §5.1). More would
save little, and what a full socket leaves of a write can no longer be replaced by newer values."""


def send_joined(transport: asyncio.Transport, frames: Sequence[bytes], has_room: Callable[[], bool]) -> int:
    """Write frames in order until the transport has something left.

    Args:
        transport: calls ``pause_writing`` in the middle of a write that leaves something.
        frames: whole frames; one that is longer than a record is written by itself.
        has_room: whether the transport has nothing left.

    Returns:
        How many frames were taken.
    """
    done = 0
    while done < len(frames) and has_room() and not transport.is_closing():
        end = _end(frames, done)
        transport.write(b"".join(frames[done:end]))
        done = end
    return done


def _end(frames: Sequence[bytes], start: int) -> int:
    """Where the frames end that are joined with the one at ``start``."""
    size = len(frames[start])
    end = start + 1
    while end < len(frames) and (size := size + len(frames[end])) <= RECORD_BYTES:
        end += 1
    return end
