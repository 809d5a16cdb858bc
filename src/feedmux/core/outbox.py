"""What waits for one client, bounded; and the row that fills many of them.

Theory of operation
-------------------
A frame is built once per topic and format and shared by every client that gets it; an outbox
holds references. While the client's socket takes everything, frames pass through in the order
of their offers (*open*). When the socket is full the outbox is *paused*: from then on a parcel
with a key replaces the waiting one of the same key, and takes the place at the end, so that no
client ever gets an older value after a newer one, nor a value before the status that preceded
it. Parcels without a key are never replaced.

At a bound a paused outbox is relieved: values that may be lost if it is told (those of rows that
know how, :attr:`TopicRow.gap`) are let go, and before anything else of their stream the client
gets the frame that names the hole. When that does not help, or is not wished, the outbox is
*full*: it takes no more data and tells its writer once; the session decides what that means (it
closes).

Of an object (:attr:`TopicRow.mends`) a later value is of no use behind a hole: what tells of the
hole gives the whole object as it then is. So from the first loss on nothing of it waits, and the
hole grows until it is told.

===========  ==================  ====================================================
state        event               what happens
===========  ==================  ====================================================
open         offer               append; the first one makes the outbox dirty
open         drain               all frames go to the writer
open         writer is full      paused; what it did not take waits, conflated by key
open         bound reached       drained at once, ahead of the flush
paused       offer               replace by key, or append
paused       resume              open again: holes first; dirty if something waits
paused       bound reached       relieved: what may be lost becomes a hole; or full
paused       offer to a hole     the hole grows, if what tells of it mends it
full         anything            refused until it is dropped
===========  ==================  ====================================================

Invariants: a stream's values leave in the order of their offers, each at most once; each value
without a key that was offered leaves, waits, or lies in a hole that is told before any later
value of its stream. Holes that could not leave are holes again, so that one that grows is told
once.

Answers, pongs and closes do not come here: the connection writes them to its transport, behind
the rest of a frame under way and ahead of all that waits here (:meth:`Outbox.drain` first keeps
them behind data that can still leave). Deliberately absent: priorities among topics, timers, a
copy of any frame.

This is the specification of ``feedmux._native.outbox``, which is what a gateway runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from feedmux.model import ports
from feedmux.model.ports import GapFrame, Outlet, Statistics, Subscriber, Writer


class OutboxLimits(msgspec.Struct, frozen=True):
    """Bounds of one client's outbox.

    Args:
        frames: data frames that may wait.
        size_bytes: their bytes.
        gaps: at a bound, let values go whose loss can be told; False: the outbox is full.
    """

    frames: int = 4096
    size_bytes: int = 1_048_576
    gaps: bool = True


class Parcel(msgspec.Struct, frozen=True, gc=False, eq=False):
    """A frame on its way (:class:`feedmux.model.ports.Parcel`)."""

    frame: bytes
    key: str = ""
    row: ports.Row | None = None
    epoch: int = 0
    seq: int = 0
    last: int = 0


class Outbox:
    """One client's waiting frames.

    Args:
        writer: the client's socket; must call :meth:`pause` and :meth:`resume`.
        dirty: where the outbox puts itself when it has something to drain.
        limits: its bounds.
    """

    __slots__ = ("_bytes", "_dirty", "_full", "_holes", "_limits", "_listed", "_parcels", "_paused",
                 "_waiting", "_writer", "conflated", "gaps", "lost", "sent")  # fmt: skip

    def __init__(self, writer: Writer, dirty: Callable[[Outbox], None], limits: OutboxLimits) -> None:
        self._writer = writer
        self._dirty = dirty
        self._limits = limits
        self._listed = False
        self._paused = False
        self._full = False
        self._parcels: list[ports.Parcel] = []
        self._waiting: dict[str | ports.Parcel, ports.Parcel] = {}
        self._holes: dict[tuple[ports.Row, int], tuple[int, int]] = {}
        self._bytes = 0
        self.sent = 0
        self.conflated = 0
        self.gaps = 0
        self.lost = 0

    @property
    def paused(self) -> bool:
        """Whether the socket is full."""
        return self._paused

    @property
    def full(self) -> bool:
        """Whether a bound was reached; what was offered since then is lost, so the client must go."""
        return self._full

    @property
    def waiting_bytes(self) -> int:
        """Bytes of the data frames that wait."""
        return self._bytes

    def lend(self, descriptor: int, /) -> None:
        """Let frames be written past the writer; -1 ends it. This twin has no use for it."""

    def offer(self, parcel: ports.Parcel, /) -> None:
        """Queue a shared parcel."""
        if self._paused:
            self._wait(parcel)
            return
        self._parcels.append(parcel)
        self._bytes += len(parcel.frame)
        if not self._listed:
            self._listed = True
            self._dirty(self)
        elif self._bytes > self._limits.size_bytes or len(self._parcels) > self._limits.frames:
            self.drain()

    def drain(self) -> None:
        """Give the writer all that it takes; called by the flush that the outbox was listed for."""
        self._listed = False
        if self._paused or not self._parcels:
            return
        parcels = self._take()
        taken = self._writer.write([parcel.frame for parcel in parcels])
        self.sent += taken
        self.gaps += sum(1 for parcel in parcels[:taken] if parcel.last)
        if taken < len(parcels):
            self._park(parcels[taken:])

    def pause(self) -> None:
        """The socket is full: conflate from now on."""
        if not self._paused:
            self._park(self._take())

    def resume(self) -> None:
        """The socket takes bytes again."""
        if self._full:
            return
        if self._paused:
            self._paused = False
            waiting, self._waiting = self._waiting, {}
            self._parcels = [*self._told(), *waiting.values()]
            self._bytes = sum(len(parcel.frame) for parcel in self._parcels)
        if self._parcels and not self._listed:
            self._listed = True
            self._dirty(self)

    def forget(self, row: ports.Row, /) -> None:
        """Let go what waits of a row that the client has left."""
        for key, parcel in [*self._waiting.items()]:
            if parcel.row is row:
                del self._waiting[key]
                self._bytes -= len(parcel.frame)
        for hole in [hole for hole in self._holes if hole[0] is row]:
            del self._holes[hole]

    def drop(self) -> None:
        """Forget all that waits: the client is gone."""
        self._parcels, self._waiting, self._holes, self._bytes = [], {}, {}, 0
        self._full = self._paused = True

    def statistics(self) -> Statistics:
        """What was sent, conflated and lost, and what waits."""
        return {
            "sent": self.sent,
            "conflated": self.conflated,
            "gaps": self.gaps,
            "lost": self.lost,
            "waiting_frames": len(self._waiting) + len(self._parcels),
            "waiting_bytes": self._bytes,
            "paused": self._paused,
            "full": self._full,
        }

    def _take(self) -> list[ports.Parcel]:
        parcels, self._parcels, self._bytes = self._parcels, [], 0
        return parcels

    def _park(self, parcels: list[ports.Parcel]) -> None:
        self._paused = True
        for parcel in parcels:
            self._wait(parcel)

    def _wait(self, parcel: ports.Parcel) -> None:
        if self._full:
            return
        if parcel.last:
            self._widen(parcel, parcel.last)
            return
        if self._holes and self._is_mended(parcel):
            self.lost += 1
            self._widen(parcel, parcel.seq)
            return
        replaced = self._waiting.pop(parcel.key, None) if parcel.key else None
        if replaced is not None:
            self.conflated += 1
            self._bytes -= len(replaced.frame)
        self._waiting[parcel.key or parcel] = parcel
        self._bytes += len(parcel.frame)
        if self._over and not self._relieve():
            self.drop()
            self._writer.overflow()

    @property
    def _over(self) -> bool:
        return self._bytes > self._limits.size_bytes or len(self._waiting) > self._limits.frames

    def _relieve(self) -> bool:
        """Let go what may be lost if it is told; whether the bounds hold again."""
        if self._limits.gaps:
            for key, parcel in [*self._waiting.items()]:
                if parcel.seq and not parcel.key and parcel.row is not None and parcel.row.gap is not None:
                    del self._waiting[key]
                    self._bytes -= len(parcel.frame)
                    self.lost += 1
                    self._widen(parcel, parcel.seq)
        return not self._over

    def _is_mended(self, parcel: ports.Parcel) -> bool:
        """Whether it need not wait: what tells of the hole before it will have it."""
        row = parcel.row
        return parcel.seq != 0 and row is not None and row.mends and (row, parcel.epoch) in self._holes

    def _widen(self, parcel: ports.Parcel, last: int) -> None:
        """Let the hole of a parcel's stream begin with the parcel, or reach to ``last``."""
        assert parcel.row is not None
        hole = parcel.row, parcel.epoch
        known = self._holes.get(hole, (parcel.seq, last))
        self._holes[hole] = known[0], max(known[1], last)

    def _told(self) -> list[Parcel]:
        """The parcels that tell of the holes, in the order in which they began."""
        told = []
        holes, self._holes = self._holes, {}
        for (row, epoch), (first, last) in holes.items():
            assert row.gap is not None, "only what can be told is lost"
            told.append(Parcel(row.gap(epoch, first, last), "", row, epoch, first, last))
        return told


class TopicRow:
    """All outlets of one topic and format.

    Args:
        gap: how a hole is told; None: the row's values may not be lost.
        mends: whether what tells of a hole gives all anew.
    """

    __slots__ = ("_outlets", "gap", "mends")

    def __init__(self, gap: GapFrame | None = None, mends: bool = False) -> None:
        self.gap = gap
        self.mends = mends
        self._outlets: dict[Outlet, Subscriber] = {}

    def add(self, outlet: Outlet, subscriber: Subscriber, /) -> None:
        """Let ``outlet`` have what is offered from now on; once, however often it is added."""
        self._outlets[outlet] = subscriber

    def discard(self, outlet: Outlet, /) -> None:
        """``outlet`` gets nothing more, and lets go what waits; one that is not there is passed over."""
        if self._outlets.pop(outlet, None) is not None:
            outlet.forget(self)

    def offer(self, frame: bytes, key: str, epoch: int, seq: int, /) -> None:
        """Offer one shared frame to every outlet."""
        parcel = Parcel(frame, key, self, epoch, seq)
        for outlet in self._outlets:
            outlet.offer(parcel)

    def offer_to(self, outlet: Outlet, frame: bytes, epoch: int = 0, seq: int = 0, /) -> None:
        """Offer a frame to one outlet only; nothing replaces it."""
        outlet.offer(Parcel(frame, "", self, epoch, seq))

    def subscribers(self) -> Iterable[Subscriber]:
        """Who the outlets belong to, in any order."""
        return self._outlets.values()

    def __contains__(self, outlet: object, /) -> bool:
        return outlet in self._outlets

    def __len__(self) -> int:
        return len(self._outlets)
