"""What a local program has that reads a gateway's topics: a ring of its own, and the session that fills it.

Theory of operation
===================
The session is one of the ``/ws`` protocol, without an identity, so that it reads what is public. What the
program opens with, and what it sends, are requests of that protocol; their answers and the data are entries
of the ring, in the order in which a WebSocket client would get them, without the headers of frames.

The ring takes everything: whoever reads too slowly misses something and knows it. So nothing waits here, and
the outbox is never paused: it never has to replace values or to let them go.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from feedmux._native.outbox import Outbox
from feedmux.model import ports
from feedmux.model.ring_errors import NoMemory, RecordTooLarge
from feedmux.share.outlet import Outlet, told
from feedmux.wire.local_records import What

_LOG: Final = logging.getLogger(__name__)
_NEVER: Final = float("inf")
_NOT_SERVED: Final = 1011
_TEXT: Final = What.TEXT  # naming an enum's member costs a search (Python 3.11)


class Session(Protocol):
    """What a program has asked for: a session of the ``/ws`` protocol.

    What :meth:`begin` or :meth:`take` raises is a defect, and logged. The others may not raise.
    """

    @property
    def next_deadline(self) -> float:
        """When :meth:`expire` has something to do, on the monotonic clock; infinite for never."""

    def begin(self) -> None:
        """Say what comes first."""

    def take(self, payload: bytes) -> None:
        """Take one request."""

    def fail(self) -> None:
        """Answer that a request could not be answered."""

    def expire(self, now: float) -> None:
        """Do what time brings about."""

    def end(self) -> None:
        """The program is gone: nothing of it is held any more."""


class Means(Protocol):
    """What programs are served with."""

    def make_outbox(self, writer: ports.DirectWriter, /) -> Outbox:
        """Make an outbox that drains to ``writer``; no descriptor is lent to it."""

    def make_session(self, reading: Reading, outlet: ports.Outlet, /) -> Session:
        """Make a session that answers through ``reading``, and whose data goes to ``outlet``."""


class Reading:
    """One ring and its session: the writer of its outbox, the peer of its session.

    Args:
        number: by which its program knows it.
        means: makes outbox and session.
        ring_bytes: the ring's capacity, a power of two.
        closed: is called when it has closed itself.

    Raises:
        NoMemory: the system lends none.
    """

    def __init__(self, number: int, means: Means, *, ring_bytes: int, closed: Callable[[], None]) -> None:
        self.number = number
        self.entries = self.left_out = 0
        """How many messages were written, and how many were too long for the ring."""
        self._means, self._closed = means, closed
        self._ring = Outlet(ring_bytes)
        try:
            self._place, self.descriptors = self._ring.seat()
        except NoMemory:
            self._ring.close()
            raise
        self.start = self._ring.end
        """The position from which on the ring is read."""
        self._outbox = means.make_outbox(self)
        self._session: Session | None = None
        self._is_over = False
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def size_bytes(self) -> int:
        """How much was written, headers included."""
        written = self._ring.statistics()["bytes"]
        assert isinstance(written, int)
        return written

    def begin(self) -> None:
        """Let the session begin. Its program knows of the ring already."""
        try:
            self._session = self._means.make_session(self, self._outbox)
            self._session.begin()
        except Exception:  # noqa: BLE001 - the outermost edge: it is logged, and told
            _LOG.exception("a local program cannot be served; this is a defect")
            self.close(_NOT_SERVED, "the gateway cannot serve this program")

    def take(self, payload: bytes) -> None:
        """Take a request of the program."""
        session = self._session
        if session is None:
            return
        try:
            session.take(payload)
        except Exception:  # noqa: BLE001 - likewise
            _LOG.exception("a local program's request could not be answered; this is a defect")
            session.fail()

    def end(self) -> None:
        """Hold nothing any more; what was written can still be read. May be repeated."""
        if self._is_over:
            return
        self._is_over = True
        if self._timer is not None:
            self._timer.cancel()
        session, self._session = self._session, None
        if session is not None:
            session.end()
        self._outbox.drop()
        self._ring.flush()
        self._ring.unseat(self._place)
        self._ring.close()

    # The session's peer

    def answer(self, payload: bytes, /) -> None:
        """Write a message of the protocol, behind the data that was offered before it."""
        if not self._is_over:
            self._outbox.drain()
            self._write(payload, time.time_ns())

    def remind(self, delay: float, /) -> None:
        """Let the session look at its deadlines in about ``delay`` seconds."""
        at = self._loop.time() + delay
        if self._is_over or (self._timer is not None and self._timer.when() <= at):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(at, self._due)

    def close(self, code: int, reason: str) -> None:
        """Say in the ring that nothing comes any more, and end."""
        if not self._is_over:
            self._outbox.drain()
            self._ring.write(told(What.CLOSED, reason, time.time_ns(), code=code))
            self.end()
            self._closed()

    # The outbox's writer

    def write(self, frames: Sequence[bytes], /) -> int:
        """Write data messages, all of them."""
        now_ns = time.time_ns()
        for frame in frames:
            self._write(frame, now_ns)
        return len(frames)

    def rest(self, data: bytes, /) -> bool:
        """Never called: no descriptor is lent."""
        raise AssertionError(f"{len(data)} bytes are left of a frame, and rings take whole ones")

    def broken(self) -> None:
        """Never called: no descriptor is lent."""
        raise AssertionError("a ring does not break")

    def overflow(self) -> None:
        """Never called: the ring takes everything, so nothing waits."""
        raise AssertionError("an outbox is full that is never paused")

    # Within

    def _write(self, message: bytes, now_ns: int) -> None:
        try:
            self._ring.message(_TEXT, message, now_ns)
        except RecordTooLarge as error:
            self.left_out += 1
            text = f"a message was left out: {error}; a gateway with more LOCAL_RING_BYTES takes it"
            self._ring.write(told(What.ERROR, text, now_ns))
        else:
            self.entries += 1

    def _due(self) -> None:
        self._timer = None
        session = self._session
        if session is not None:
            session.expire(time.monotonic())
            if not self._is_over and session.next_deadline != _NEVER:
                self.remind(max(0.0, session.next_deadline - time.monotonic()))
