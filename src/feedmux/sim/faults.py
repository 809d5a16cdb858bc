"""A TCP proxy that breaks connections on purpose: it cuts, stalls, dribbles, refuses, delays.

Theory of operation
-------------------
Each connection has two lanes, towards the upstream and back. A lane is a task that reads into a
bounded queue and a task that writes from it; every switch acts where the queue is written out::

    read ─▶ queue (16 chunks) ─▶ latency ─▶ stall ─▶ dribble ─▶ reset after n bytes ─▶ write

While a proxy is stalled both sockets stay open and nothing is read once the queues are full, so
that both peers see what they see of a host that vanished: silence, then a full send buffer. The
end of one direction (FIN) is passed on by itself.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import Counter
from collections.abc import Iterator

from feedmux.model.errors import InvalidSetting

_CHUNK_BYTES = 65_536
_QUEUE_CHUNKS = 16
_RESET = struct.pack("ii", 1, 0)


class _ResetNow(Exception):  # not a failure: the signal of one lane that its connection ends here
    pass


class _Lane:
    """One direction of one connection."""

    def __init__(
        self, proxy: FaultProxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, name: str
    ) -> None:
        self._proxy = proxy
        self._reader = reader
        self._writer = writer
        self._name = name
        self._queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_QUEUE_CHUNKS)
        self.held_bytes = 0
        writer.transport.set_write_buffer_limits(high=0)  # drain() then means: the kernel has it

    async def read(self) -> None:
        """Fill the queue until the peer ends this direction; an empty chunk says so."""
        loop, chunk = asyncio.get_running_loop(), b"start"
        while chunk:
            await self._proxy.flowing.wait()
            try:
                chunk = await self._reader.read(_CHUNK_BYTES)
            except OSError:
                await self._proxy.flowing.wait()  # a stalled proxy passes no reset on either
                raise
            self.held_bytes += len(chunk)
            await self._queue.put((loop.time() + self._proxy.latency_s, chunk))

    async def write(self) -> None:
        """Empty the queue until its end, then pass the end on."""
        loop = asyncio.get_running_loop()
        while True:
            due, chunk = await self._queue.get()
            await asyncio.sleep(max(0.0, due - loop.time()))
            await self._proxy.flowing.wait()
            if not chunk:
                break
            for piece in self._proxy.pieces(chunk):
                await self._forward(piece)
        if self._writer.can_write_eof():
            self._writer.write_eof()

    async def _forward(self, piece: bytes) -> None:
        await self._proxy.flowing.wait()
        passed = self._proxy.allow(self._name, piece)
        self._writer.write(passed)
        await self._writer.drain()
        self.held_bytes -= len(passed)
        if self._proxy.is_spent(self._name):
            raise _ResetNow
        if self._proxy.dribble_bytes is not None:
            await asyncio.sleep(0)  # a write of its own for every piece


class FaultProxy:
    """A proxy in front of one TCP server.

    Args:
        upstream_host: where the server is.
        upstream_port: its port.
        host: the address to listen on.
        port: the port to listen on; 0 lets the system choose, and it stays the same from then on.
    """

    def __init__(
        self, upstream_host: str, upstream_port: int, *, host: str = "127.0.0.1", port: int = 0
    ) -> None:
        self._upstream = (upstream_host, upstream_port)
        self._host, self._port = host, port
        self._server: asyncio.Server | None = None
        self._pipes: set[asyncio.Task[None]] = set()
        self._lanes: set[_Lane] = set()
        self._counts: Counter[str] = Counter()
        self._reset_in: int | None = None
        self.flowing = asyncio.Event()
        self.flowing.set()
        self.latency_s = 0.0
        self.dribble_bytes: int | None = None

    # -- life ------------------------------------------------------------------------------

    async def start(self) -> None:
        """Listen.

        Raises:
            InvalidSetting: the address cannot be listened on.
        """
        try:
            self._server = await asyncio.start_server(self._accept, self._host, self._port)
        except OSError as error:
            address = f"{self._host}:{self._port}"
            raise InvalidSetting("port", address, f"an address that is free ({error})") from error
        self._port = int(self._server.sockets[0].getsockname()[1])

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._port

    async def stop(self) -> None:
        """Close the listener and reset every connection. May be called twice."""
        self._close_listener()
        tasks = list(self._pipes)
        self.cut()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)  # transports close in the next turn of the loop

    def statistics(self) -> dict[str, object]:
        """Connections now and ever, bytes passed and held, how they ended, how the switches stand.

        ``cut`` counts those that :meth:`cut` ended, ``broken`` those that :meth:`reset_after` or
        a peer's own reset did.
        """
        return {
            "connections": len(self._pipes),
            "connections_ever": self._counts["connections"],
            "upstream_failures": self._counts["upstream_failures"],
            "cut": self._counts["cut"],
            "broken": self._counts["broken"],
            "bytes_up": self._counts["up"],
            "bytes_down": self._counts["down"],
            "held_bytes": sum(lane.held_bytes for lane in self._lanes),
            "stalled": not self.flowing.is_set(),
            "refusing": self._server is None,
        }

    # -- switches --------------------------------------------------------------------------

    def cut(self) -> int:
        """Reset every connection on both sides (RST). Returns how many there were."""
        for task in self._pipes:
            task.cancel()
        self._counts["cut"] += len(self._pipes)
        return len(self._pipes)

    def stall(self) -> None:
        """Forward nothing more, in either direction; sockets stay open, new ones are accepted."""
        self.flowing.clear()

    def resume(self) -> None:
        """Forward again, first what waited."""
        self.flowing.set()

    def dribble(self, bytes_per_write: int | None) -> None:
        """Write so many bytes at a time, from the next chunk on; None writes whole chunks.

        Each piece is a send of its own; the receiver's kernel may still join some of them.

        Raises:
            InvalidSetting: the number is below 1.
        """
        if bytes_per_write is not None and bytes_per_write < 1:
            raise InvalidSetting("bytes_per_write", bytes_per_write, "1 or more, or None")
        self.dribble_bytes = bytes_per_write

    def delay(self, seconds: float) -> None:
        """Hold every chunk that is read from now on for so long; order is kept.

        Raises:
            InvalidSetting: the number is negative.
        """
        if seconds < 0:
            raise InvalidSetting("seconds", seconds, "0 or more")
        self.latency_s = seconds

    def reset_after(self, byte_count: int) -> None:
        """Reset the connection on which the n-th next byte from the upstream is forwarded.

        The client gets exactly so many bytes (of all connections together) and then the reset,
        most likely in the middle of a frame. It happens once.

        Raises:
            InvalidSetting: the number is below 1.
        """
        if byte_count < 1:
            raise InvalidSetting("byte_count", byte_count, "1 or more")
        self._reset_in = byte_count

    async def refuse(self, refuse: bool) -> None:
        """Close the listener, so that connecting fails, or listen again on the same port.

        Raises:
            InvalidSetting: somebody else took the port meanwhile.
        """
        if refuse:
            self._close_listener()
        elif self._server is None:
            await self.start()

    def _close_listener(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    # -- what the lanes ask ----------------------------------------------------------------

    def pieces(self, chunk: bytes) -> Iterator[bytes]:
        """``chunk`` as it is to be written."""
        size = self.dribble_bytes or len(chunk)
        for start in range(0, len(chunk), size):
            yield chunk[start : start + size]

    def allow(self, lane: str, piece: bytes) -> bytes:
        """As much of ``piece`` as may still pass; counts it."""
        if lane == "down" and self._reset_in is not None:
            piece = piece[: self._reset_in]
            self._reset_in -= len(piece)
        self._counts[lane] += len(piece)
        return piece

    def is_spent(self, lane: str) -> bool:
        """True, once, when the bytes before a reset have passed."""
        if lane == "down" and self._reset_in == 0:
            self._reset_in = None
            return True
        return False

    # -- connections -----------------------------------------------------------------------

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._carry(reader, writer), name="fault-proxy")
        self._pipes.add(task)
        self._counts["connections"] += 1
        task.add_done_callback(self._pipes.discard)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Own one connection until it ends. Being cancelled means: reset both sides."""
        writers, lanes = [writer], set[_Lane]()
        try:
            far_reader, far_writer = await asyncio.open_connection(*self._upstream)
            writers.append(far_writer)
            up = _Lane(self, reader, far_writer, name="up")
            down = _Lane(self, far_reader, writer, name="down")
            lanes = {up, down}
            self._lanes |= lanes
            async with asyncio.TaskGroup() as tasks:
                for lane in lanes:
                    tasks.create_task(lane.read())
                    tasks.create_task(lane.write())
        except* (OSError, _ResetNow):
            self._counts["broken" if len(writers) > 1 else "upstream_failures"] += 1
            _reset(writers)
        except* asyncio.CancelledError:
            _reset(writers)
        finally:
            self._lanes -= lanes
            for each in writers:
                each.close()


def _reset(writers: list[asyncio.StreamWriter]) -> None:
    for writer in writers:
        sock = writer.get_extra_info("socket")
        if sock is not None and not writer.transport.is_closing():
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        writer.transport.abort()
