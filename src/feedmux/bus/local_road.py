"""Let a reader whose writer is in the same process read from there, without a detour."""

from __future__ import annotations

from typing import Final

from feedmux.bus.inproc import InprocBus, Receive
from feedmux.bus.reader_end import ReaderEnd, WriterRoad
from feedmux.wire.record import Drop, Hello, RecordDecoder, Want, encode


class LocalRoad(WriterRoad):
    """The way of a reader's asks to a bus of its own process; it has no socket.

    Args:
        reader: whose it is.
        bus: the writer's.
        holder: the name of the reader there.
    """

    def __init__(self, reader: ReaderEnd, bus: InprocBus, holder: str) -> None:
        super().__init__(reader)
        self.receive: Final[Receive] = reader.received
        """An event came: straight to the reader, which ignores what it no longer holds."""
        self._decoder = RecordDecoder(Want, Drop)
        self._decoder.feed(encode(Hello()))
        self._bus = bus.reader(holder, self)

    def write(self, data: bytes) -> None:
        """Pass asks on, one by one; they may be answered before this returns."""
        self._decoder.feed(data)
        for record in self._decoder.records():
            if self.is_over:
                return
            if isinstance(record, Want):
                self._bus.want(record.topic, record.asker)
            elif isinstance(record, Drop):
                self._bus.drop(record.topic)

    def on_end(self, reason: str) -> None:
        """Give back what was wanted there."""
        self._bus.close()
        super().on_end(reason)
