"""The two ends of a bus between processes, by its name; descriptors go over the socket that is lent."""

from __future__ import annotations

import os
import socket
from typing import Protocol

from feedmux.bus.shm import RingParts, ShmReader, ShmWriter
from feedmux.bus.stream import StreamReader, StreamWriter
from feedmux.client.segment import make_bell, make_page
from feedmux.model.ports import Bus, Publisher, Sink, Source, Statistics

STREAM_BOUND_BYTES = 64 * 1024
RING_CAPACITY = 256 * 1024


class AnyWriter(Publisher, Protocol):
    """The writer's end of any of them."""

    def serve(self, source: Source) -> None: ...
    def close(self) -> None: ...
    def statistics(self) -> Statistics: ...


class AnyReader(Bus, Protocol):
    """The reader's end of any of them."""

    def close(self) -> None: ...


def make_writer(kind: str) -> AnyWriter:
    if kind == "shm":
        return ShmWriter(capacity=RING_CAPACITY)
    return StreamWriter(bound_bytes=STREAM_BOUND_BYTES)


def make_reader(kind: str, sink: Sink) -> AnyReader:
    return ShmReader(sink) if kind == "shm" else StreamReader(sink)


async def lend(writer: AnyWriter, sock: socket.socket, holder: str) -> None:
    """Serve who is at the other end of ``sock`` and calls :func:`borrow`."""
    if isinstance(writer, ShmWriter):
        page, seat = make_page()
        page.close()
        bell = make_bell()
        socket.send_fds(sock, [b"f"], [writer.descriptor, seat, bell])
        await writer.attach(sock, holder, seat, bell)
    else:
        assert isinstance(writer, StreamWriter)
        await writer.attach(sock, holder)


async def borrow(reader: AnyReader, sock: socket.socket) -> None:
    """Read from who is at the other end of ``sock`` and has called :func:`lend`."""
    if isinstance(reader, ShmReader):
        os.set_blocking(sock.fileno(), True)
        _, descriptors, *_ = socket.recv_fds(sock, 1, 3)
        await reader.attach(sock, RingParts(*descriptors))
    else:
        assert isinstance(reader, StreamReader)
        await reader.attach(sock)
