"""Carry envelopes to other processes through one ring in shared memory.

Theory of operation
===================

The writer's process has one :class:`ShmWriter` and with it one ring, which every reader's process
maps and reads for itself: an event is written once, however many read. Wants and drops travel the
other way, over a Unix socket for each reader, as on :mod:`feedmux.bus.stream`; a socket that ends is
a peer that died::

    event                         the writer                    the reader, for each topic it holds
    reader's socket ends          Source.forget, seat is gone   --
    writer's socket ends          --                            what is in the ring, then: reconnecting
    attach after that             --                            gap: link; wants it again
    the ring came round           (does not know)               gap: lapped; wants it again
    envelope larger than a record gap of one seq: link          --
    the ring is damaged           --                            cuts: as if the writer had ended

Invariants:

- Everything that one loop turn publishes is shown to readers at once, and wakes each sleeper once.
- The writer never waits, and a reader that is stopped or killed costs it nothing.
- A reader hands on only topics that it holds, and of each nothing before the first status or snapshot
  after it was wanted: others may hold it too, and the ring has what all of them asked for.
- It reads a bounded number of events in one turn of its loop.

Deliberately absent: renumbering and dropping what is older than what the hub has (the hub's task), and
the handing out of descriptors (the task of who starts the processes).
"""

from __future__ import annotations

from feedmux.bus.shm_reader import RingParts, ShmReader
from feedmux.bus.shm_writer import CAPACITY_BYTES, ShmWriter

__all__ = ["CAPACITY_BYTES", "RingParts", "ShmReader", "ShmWriter"]
