"""End a connection so that the peer can read our last words."""

from __future__ import annotations

import asyncio


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
