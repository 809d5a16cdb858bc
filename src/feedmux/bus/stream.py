"""Carry envelopes to other processes, one Unix stream socket for each.

Theory of operation
===================

The writer's process has one :class:`StreamWriter` and gives it one end of a socket pair for each
reader process; that process gives the other end to its :class:`StreamReader`. Envelopes travel one
way, wants and drops the other, as the records of :mod:`feedmux.wire.record`. A socket that ends is a
peer that died::

    event                         the writer                    the reader, for each topic it holds
    reader's socket ends          Source.forget                 --
    writer's socket ends          --                            status: reconnecting
    attach after that             --                            gap: link; wants it again
    envelope, full buffer         drops and counts it           --
    full buffer drained           sends Lost(count)             gap: slow; wants it again
    garbage                       cuts: as if it had ended      cuts: as if it had ended

Invariants:

- Everything that one loop turn publishes leaves in one write per reader.
- Less than ``bound_bytes`` wait for a reader when a record is taken, so memory is bounded by that
  plus one record, and the largest envelope passes through the smallest bound.
- Records keep their order. Between the last record before a loss and the first after it stands Lost.
- Wants are answered only while at most half of the bound waits; the others stay unread. A reader that
  wants everything again can therefore not overflow its own buffer with the answers, over and over.
- The reader tells what it wants by topic, not by event: what changes while the writer does not read
  is one ask per topic. It never stops reading, so the two cannot wait for each other.

Deliberately absent: renumbering and dropping what is older than what the hub has (the hub's task),
and reconnecting (who made the socket pair makes the next one).
"""

from __future__ import annotations

from feedmux.bus.stream_reader import StreamReader
from feedmux.bus.stream_writer import BOUND_BYTES, StreamWriter

__all__ = ["BOUND_BYTES", "StreamReader", "StreamWriter"]
