"""Ask the system who is at the other end of a Unix socket: what it says cannot be forged.

**Source**: unix(7), ``SO_PEERCRED``, Linux man-pages 6.03.
"""

from __future__ import annotations

import socket
import struct
from typing import Final, NamedTuple

_CREDENTIALS: Final = struct.Struct("iII")  # struct ucred: pid, uid, gid


class Peer(NamedTuple):
    """A process, as it was when it connected or listened.

    Args:
        pid: its number; 0 if it has none here.
        uid: the number of its user.
    """

    pid: int
    uid: int


def peer_of(sock: socket.socket) -> Peer:
    """Return who is at the other end of a connected Unix socket.

    Raises:
        OSError: it is none.
    """
    said = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, uid, _ = _CREDENTIALS.unpack(said)
    return Peer(pid, uid)
