from __future__ import annotations

import asyncio
import os
import socket
import struct

from feedmux.edge.ending import half_close
from support.loops import on_both_loops
from support.waiting import until


class Ending(asyncio.Protocol):
    """Remembers that the connection is lost."""

    lost = False

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True


async def connected() -> tuple[asyncio.Transport, Ending, socket.socket]:
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        transport, protocol = await loop.create_connection(Ending, *listener.getsockname())
        peer, _ = await loop.sock_accept(listener)
    peer.setblocking(False)
    return transport, protocol, peer


@on_both_loops
async def test_after_a_half_close_the_peer_reads_all_and_closes() -> None:
    transport, protocol, peer = await connected()
    with peer:
        loop = asyncio.get_running_loop()
        transport.write(b"x" * 5_000_000)
        half_close(transport)
        read = 0
        while data := await loop.sock_recv(peer, 1 << 20):
            read += len(data)
            await loop.sock_sendall(peer, b"still talking")
        assert read == 5_000_000
        assert not protocol.lost
    await until(lambda: protocol.lost)


@on_both_loops
async def test_a_half_close_of_a_connection_that_was_reset_ends_it() -> None:
    transport, protocol, peer = await connected()
    transport.pause_reading()  # so that the transport has not noticed
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    os.close(peer.detach())
    half_close(transport)
    if not transport.is_closing():
        transport.resume_reading()
    await until(lambda: protocol.lost)
    half_close(transport)
