"""Reach a host: names to addresses, addresses to a connected socket."""

from __future__ import annotations

import asyncio
import contextlib
import socket


async def dial(host: str, port: int, turn: int) -> socket.socket:
    """Connect a TCP socket.

    One attempt after the other begins with another address of the name, so that one dead
    address cannot use up every attempt's time.

    Args:
        host: a name or an address.
        port: 1 to 65535.
        turn: which attempt this is, from 0.

    Returns:
        A connected, non-blocking socket, which the caller owns.

    Raises:
        OSError: the name does not resolve, or no address of it could be reached.
    """
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    first = turn % len(found)
    problem = OSError("no address")
    for family, kind, protocol, _, address in found[first:] + found[:first]:
        sock = socket.socket(family, kind, protocol)
        with contextlib.ExitStack() as undo:
            undo.callback(sock.close)
            sock.setblocking(False)
            try:
                await loop.sock_connect(sock, address)
            except OSError as error:
                problem = error
                continue
            undo.pop_all()
            return sock
    raise problem
