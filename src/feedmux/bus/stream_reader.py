"""The reader's end of :mod:`feedmux.bus.stream`, which tells how it works."""

from __future__ import annotations

import socket

from feedmux.bus.reader_end import ReaderEnd, WriterRoad
from feedmux.model.event import Envelope
from feedmux.wire.record import Lost


class StreamReader(ReaderEnd):
    """A reader process' end: a :class:`feedmux.model.ports.Bus`; see :class:`ReaderEnd`."""

    async def attach(self, sock: socket.socket) -> None:
        """Read from the writer at the other end of ``sock``, which is ours from now on.

        Everything that is held is wanted from it. A writer that is still connected is cut first.

        Raises:
            ConnectFailed: it is not a connected Unix stream socket.
        """
        await WriterRoad(self, Envelope, Lost).begin(sock)
