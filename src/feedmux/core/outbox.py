"""What waits for one client, bounded; and the row that fills many of them.

Theory of operation
-------------------
A frame is built once per topic and format and shared by every client that gets it; an outbox
holds references. While the client's socket takes everything, frames pass through in the order
of their offers (*open*). When the socket is full the outbox is *paused*: from then on a frame
with a key replaces the waiting frame of the same key, and takes the place at the end, so that
no client ever gets an older value after a newer one, nor a value before the status that
preceded it. Frames without a key are never replaced. At a bound the outbox is *full*: it takes
no more data and tells its writer once; the session decides what that means (it closes).

===========  ==================  ====================================================
state        event               what happens
===========  ==================  ====================================================
open         offer               append; the first one makes the outbox dirty
open         drain               all frames go to the writer
open         writer is full      paused; what it did not take waits, conflated by key
paused       offer               replace by key, or append
paused       resume              open again, and dirty if something waits
open         bound reached       drained at once, ahead of the flush
paused       bound reached       full: frames are refused until it is dropped
===========  ==================  ====================================================

Answers, pongs and closes do not come here: the connection writes them to its transport, behind
the rest of a frame under way and ahead of all that waits here (:meth:`Outbox.drain` first keeps
them behind data that can still leave). Deliberately absent: priorities among topics, timers, a
copy of any frame.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from feedmux.model.ports import Outlet, Statistics, Subscriber, Writer


class OutboxLimits(msgspec.Struct, frozen=True):
    """Bounds of one client's outbox.

    Args:
        frames: data frames that may wait.
        size_bytes: their bytes.
    """

    frames: int = 4096
    size_bytes: int = 1_048_576


class Outbox:
    """One client's waiting frames.

    Args:
        writer: the client's socket; must call :meth:`pause` and :meth:`resume`.
        dirty: where the outbox puts itself when it has something to drain.
        limits: its bounds.
    """

    __slots__ = ("_bytes", "_dirty", "_frames", "_full", "_keys", "_limits", "_listed",
                 "_paused", "_serial", "_waiting", "_writer", "conflated", "sent")  # fmt: skip

    def __init__(self, writer: Writer, dirty: Callable[[Outbox], None], limits: OutboxLimits) -> None:
        self._writer = writer
        self._dirty = dirty
        self._limits = limits
        self._listed = False
        self._paused = False
        self._full = False
        self._frames: list[bytes] = []
        self._keys: list[str] = []
        self._waiting: dict[str | int, bytes] | None = None
        self._serial = 0
        self._bytes = 0
        self.sent = 0
        self.conflated = 0

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

    def offer(self, frame: bytes, key: str, /) -> None:
        """Queue a shared frame; a non-empty key lets a newer frame replace it while paused."""
        if self._paused:
            self._wait(frame, key)
            return
        self._frames.append(frame)
        self._keys.append(key)
        self._bytes += len(frame)
        if not self._listed:
            self._listed = True
            self._dirty(self)
        elif self._bytes > self._limits.size_bytes or len(self._frames) > self._limits.frames:
            self.drain()

    def drain(self) -> None:
        """Give the writer all that it takes; called by the flush that the outbox was listed for."""
        self._listed = False
        if self._paused or not self._frames:
            return
        frames, keys = self._frames, self._keys
        self._frames, self._keys, self._bytes = [], [], 0
        taken = self._writer.write(frames)
        self.sent += taken
        if taken < len(frames):
            self._paused = True
            self._park(frames[taken:], keys[taken:])

    def pause(self) -> None:
        """The socket is full: conflate from now on."""
        if not self._paused:
            self._paused = True
            frames, keys = self._frames, self._keys
            self._frames, self._keys, self._bytes = [], [], 0
            self._park(frames, keys)

    def resume(self) -> None:
        """The socket takes bytes again."""
        if self._full:
            return
        self._paused = False
        waiting, self._waiting = self._waiting, None
        if waiting:
            self._frames = list(waiting.values())
            self._keys = [key if isinstance(key, str) else "" for key in waiting]
        if self._frames and not self._listed:
            self._listed = True
            self._dirty(self)

    def drop(self) -> None:
        """Forget all that waits: the client is gone."""
        self._frames, self._keys, self._waiting, self._bytes = [], [], None, 0
        self._full = self._paused = True

    def statistics(self) -> Statistics:
        """What was sent and conflated, and what waits."""
        waiting = self._waiting if self._waiting is not None else self._frames
        return {
            "sent": self.sent,
            "conflated": self.conflated,
            "waiting_frames": len(waiting),
            "waiting_bytes": self._bytes,
            "paused": self._paused,
            "full": self._full,
        }

    def _park(self, frames: list[bytes], keys: list[str]) -> None:
        for frame, key in zip(frames, keys, strict=True):
            self._wait(frame, key)

    def _wait(self, frame: bytes, key: str) -> None:
        if self._full:
            return
        if self._waiting is None:
            self._waiting = {}
        replaced = self._waiting.pop(key, None) if key else None
        if replaced is not None:
            self.conflated += 1
            self._bytes -= len(replaced)
        elif len(self._waiting) >= self._limits.frames:
            self._overflow()
            return
        self._serial += 1
        self._waiting[key or self._serial] = frame
        self._bytes += len(frame)
        if self._bytes > self._limits.size_bytes:
            self._overflow()

    def _overflow(self) -> None:
        self.drop()
        self._writer.overflow()


class TopicRow:
    """All outlets of one topic and format."""

    __slots__ = ("_outlets",)

    def __init__(self) -> None:
        self._outlets: dict[Outlet, Subscriber] = {}

    def add(self, outlet: Outlet, subscriber: Subscriber, /) -> None:
        """Let ``outlet`` have what is offered from now on; once, however often it is added."""
        self._outlets[outlet] = subscriber

    def discard(self, outlet: Outlet, /) -> None:
        """``outlet`` gets nothing more; one that is not there is passed over."""
        self._outlets.pop(outlet, None)

    def offer(self, frame: bytes, key: str, /) -> None:
        """Offer one shared frame to every outlet."""
        for outlet in self._outlets:
            outlet.offer(frame, key)

    def subscribers(self) -> Iterable[Subscriber]:
        """Who the outlets belong to, in the order in which they came."""
        return self._outlets.values()

    def __contains__(self, outlet: object, /) -> bool:
        return outlet in self._outlets

    def __len__(self) -> int:
        return len(self._outlets)
