"""What a writer and one reader of :mod:`feedmux.bus.shm` need of whoever starts their processes."""

from __future__ import annotations

import os
import socket
from typing import NamedTuple

from feedmux.client.segment import make_bell, make_page


class RoadParts(NamedTuple):
    """Descriptors for both ends; who made them sends them on, and closes them.

    Args:
        writers: the socket, the page and the bell, for :meth:`ShmWriter.attach`.
        readers: the socket, the page and the bell, for :meth:`ShmReader.attach`.
    """

    writers: tuple[int, int, int]
    readers: tuple[int, int, int]

    def close(self) -> None:
        """Close all of them; who was sent them has his own."""
        for descriptor in {*self.writers, *self.readers}:
            os.close(descriptor)


def make_road() -> RoadParts:
    """Make what joins one reader to a writer.

    Raises:
        NoMemory: the system lends no page or bell.
    """
    ours, theirs = socket.socketpair()
    memory, page = make_page()
    memory.close()
    bell = make_bell()
    return RoadParts((ours.detach(), page, bell), (theirs.detach(), page, bell))
