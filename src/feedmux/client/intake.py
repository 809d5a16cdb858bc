"""Read a bounded amount at once from a server that never pauses, so that everybody else has a turn, too.

picows offers all of its buffer to each read, and doubles the buffer whenever a read has nearly filled it; it
never makes it smaller. After a moment in which messages came faster than they were taken, one turn of the
event loop then takes all that the system has gathered meanwhile, which makes the next turn longer still.

Source: picows 2.3.1, ``WSProtocol.get_buffer``; aiofastnet 1.2.0, ``_read_ready__get_buffer``, which reads on
in a turn until it has a quarter of a megabyte, or a read did not fill what it was offered.
"""

from __future__ import annotations

import asyncio
from typing import Final, cast

MOST_BYTES: Final = 128 * 1024
"""Of one read."""


class Intake(asyncio.BufferedProtocol):
    """The protocol of a connection, in its place at the transport.

    Args:
        protocol: the one that reads.
    """

    def __init__(self, protocol: asyncio.BaseProtocol) -> None:
        self._get_buffer = cast(asyncio.BufferedProtocol, protocol).get_buffer
        # what is not changed is not passed through here either
        for name in (
            "buffer_updated",
            "connection_lost",
            "connection_made",
            "eof_received",
            "pause_writing",
            "resume_writing",
        ):
            setattr(self, name, getattr(protocol, name))

    def is_buffered_protocol(self) -> bool:
        """What the transport asks instead of looking at the class."""
        return True

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where to read into."""
        return memoryview(self._get_buffer(sizehint))[:MOST_BYTES]
