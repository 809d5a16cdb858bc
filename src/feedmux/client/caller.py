"""Ask, and wait for the answer: requests of one link, whatever connection carries them.

Theory of operation
===================
:mod:`feedmux.core.requests` knows which requests are in flight and what an answer is to us; this module
keeps the tasks that wait, and one timer for the earliest deadline.

========================  =====================================================================
meanwhile                 the one who asked
========================  =====================================================================
the answer comes          gets the result, or :class:`CallFailed`
its deadline comes        :class:`RequestTimeout`; the answer, if it still comes, is counted as late
the connection ends       :class:`RequestLost` at once; a repeatable request waits on
the link is restored      nothing; what waits on is sent now, with the id it had
he is cancelled           nothing is sent any more; the answer, if it comes, is counted as late
a batch comes without it  :class:`RequestLost` at once: who answers a batch leaves no request out
its batch is refused      :class:`CallFailed`
========================  =====================================================================
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from typing import Final, Protocol

from msgspec.structs import asdict

from feedmux.client.secrecy import Secrecy
from feedmux.client.telemetry import Telemetry
from feedmux.client.telemetry_events import RequestFailAll, RequestResolve, RequestTrack
from feedmux.client.telemetry_events import RequestTimeout as TimedOut
from feedmux.core import jsonrpc
from feedmux.core.hiding import secrets_in
from feedmux.core.percentiles import Samples, Summary
from feedmux.core.requests import Fate, Requests
from feedmux.model.errors import CallFailed, FeedmuxError, InvalidSetting
from feedmux.model.link_errors import RequestLost, RequestTimeout
from feedmux.model.ports import Clock, Correlator, Statistics
from feedmux.model.rpc import Ask, Reply

_LOG: Final = logging.getLogger(__name__)


class Transmit(Protocol):
    """Sends one message now."""

    def __call__(self, message: object, /) -> None:
        """Send it.

        Raises:
            LinkLost: no connection is open.
            Overflow: too much waits to be sent.
        """


class _Waiting:
    """One who asked."""

    __slots__ = ("asked_at", "batch", "message", "method", "over", "result", "timeout_s")

    def __init__(self, message: object, method: str, timeout_s: float, over: asyncio.Future[None]) -> None:
        self.message, self.method, self.timeout_s, self.over = message, method, timeout_s, over
        self.result: object = None
        """Not the future's: a task that waits for a future shows its result, which may be a token."""
        self.asked_at = 0.0
        self.batch: Sequence[int] = ()


class Caller:
    """The requests of one link.

    Args:
        correlator: how requests and answers look; None: nothing can be asked.
        transmit: sends a message.
        limit: requests in flight at once.
        telemetry: who is told of requests and answers.
        secrecy: what errors may not show.
        clock: time.
    """

    def __init__(
        self,
        correlator: Correlator | None,
        transmit: Transmit,
        *,
        limit: int,
        telemetry: Telemetry,
        secrecy: Secrecy,
        clock: Clock,
    ) -> None:
        self._telemetry, self._secrecy = telemetry, secrecy
        self._round_trips_ms = Samples()
        self._correlator, self._transmit, self._clock = correlator, transmit, clock
        self._requests = Requests(limit)
        self._waiting: dict[int, _Waiting] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0

    def __len__(self) -> int:
        return len(self._waiting)

    async def call(
        self, method: str, params: object, *, timeout_s: float, now: bool = True, repeatable: bool = False
    ) -> object:
        """Ask, and wait for the result.

        Args:
            method: what is asked for.
            params: as the correlator takes them.
            timeout_s: how long, seconds above 0.
            now: False keeps a repeatable request until :meth:`restored`.
            repeatable: it does no harm to do it twice.

        Raises:
            InvalidSetting: this link has no correlator, or the timeout is none.
            Overflow: too many requests are in flight, or too much waits to be sent.
            CallFailed: the answer is an error.
            RequestTimeout: no answer came in time.
            RequestLost: the connection ended.
        """
        number = self._begin(method, timeout_s, repeatable=repeatable)
        try:
            waiting = self._prepare(number, method, params, timeout_s)
            if now:
                self._send(number)
            else:
                self._requests.hold(number)
            self._set_timer()
            await waiting.over
            return waiting.result
        finally:
            self._requests.cancel(number)
            self._waiting.pop(number, None)

    async def call_all(self, asks: Sequence[Ask], *, timeout_s: float) -> list[object]:
        """Ask all of it in one message of JSON-RPC 2.0, and wait for every answer.

        Args:
            asks: at least one.
            timeout_s: how long, seconds above 0; who has no answer by then fails alone.

        Returns:
            By its place, the result, None for a notification, or the error of :meth:`call`.

        Raises:
            InvalidMessage: there is nothing to ask, or a member cannot be built; nothing was sent.
            InvalidSetting: this link has no correlator, or the timeout is none.
            Overflow: too many requests are in flight, or too much waits to be sent.
            LinkLost: no connection is open.
        """
        numbers: list[int] = []
        asked: list[_Waiting | None] = []  # None: a notification
        messages: list[object] = []
        try:
            for ask in asks:
                if ask.is_notification:
                    messages.append(jsonrpc.notification(ask.method, ask.params))
                    asked.append(None)
                    continue
                numbers.append(number := self._begin(ask.method, timeout_s))
                waiting = self._prepare(number, ask.method, ask.params, timeout_s)
                waiting.batch = numbers
                messages.append(waiting.message)
                asked.append(waiting)
            self._transmit(jsonrpc.batch(messages))
            for number in numbers:
                self._note_sent(number)
            self._set_timer()
            waited = [waiting for waiting in asked if waiting is not None]
            errors = await asyncio.gather(*(waiting.over for waiting in waited), return_exceptions=True)
            results = iter([error or waiting.result for waiting, error in zip(waited, errors, strict=True)])
            return [None if waiting is None else next(results) for waiting in asked]
        finally:
            for number in numbers:
                self._requests.cancel(number)
                self._waiting.pop(number, None)

    def take(self, message: object) -> bool:
        """Take a message that came; whether it was an answer to a request, ours or not.

        An answer without an id is none to a request of ours: those all have one. But a server that
        cannot read a batch, or takes none, says so without an id: **Source** section 6.
        """
        reply = self._correlator.reply(message) if self._correlator is not None else None
        if reply is None:
            return False
        if reply.request_id is None:
            return reply.error is not None and self._refuse_batch(reply)
        self._settle(reply)
        return True

    def take_all(self, replies: Iterable[Reply]) -> None:
        """Take the answers of one batch; what it ought to answer and does not has failed."""
        due: dict[int, None] = {}
        for reply in replies:
            waiting = self._settle(reply)
            if waiting is not None:
                due.update(dict.fromkeys(waiting.batch))
        for number in due:
            waiting = self._waiting.pop(number, None)
            if waiting is not None:
                self._requests.cancel(number)
                reason = "the server left it out of its answer to the batch"
                _fail(waiting, RequestLost(waiting.method, reason, maybe_executed=True))

    def _refuse_batch(self, reply: Reply) -> bool:
        """Fail the batch that is under way; False where it may be about something else."""
        batches = {id(waiting.batch): waiting.batch for waiting in self._waiting.values()}
        (batch,) = batches.values() if len(batches) == 1 else [()]
        for number in batch:
            waiting = self._waiting.pop(number, None)
            if waiting is not None:
                self._requests.settle(number)
                self._answer(waiting, reply)
        return bool(batch)

    def _settle(self, reply: Reply) -> _Waiting | None:
        """Hand an answer to who waits for it."""
        settled = self._requests.settle(reply.request_id)
        waiting = self._waiting.pop(settled.request_id, None) if settled.request_id is not None else None
        if settled.fate is Fate.CLAIMED and waiting is not None:
            self._note_answer(settled.request_id or 0, waiting)
            self._answer(waiting, reply)
        else:
            shown = self._secrecy.scrub(repr(reply.request_id))
            _LOG.warning("an answer that nobody waits for (%s): id %s", settled.fate, shown)
        return waiting

    @property
    def round_trips_ms(self) -> Summary | None:
        """How long the latest hundred answers took, milliseconds; None before the first."""
        return self._round_trips_ms.summary()

    def lost(self, reason: str) -> None:
        """The connection ended."""
        failed = []
        for lost in self._requests.lost():
            if not lost.repeats:
                waiting = self._waiting.pop(lost.request_id, None)
                if waiting is not None:
                    failed.append(lost.request_id)
                    _fail(waiting, RequestLost(lost.what, reason, maybe_executed=lost.maybe_executed))
        if failed and self._telemetry.tell is not None:
            self._telemetry.tell(RequestFailAll(len(failed), tuple(failed), reason))

    def restored(self) -> None:
        """Another connection is there, and whole: send what waited for it.

        Raises:
            LinkLost: it is gone again.
            Overflow: too much waits to be sent.
        """
        for number in self._requests.repeat():
            self._send(number)

    def close(self, reason: str) -> None:
        """There will be no other connection."""
        self.lost(reason)
        for number in list(self._waiting):
            lost = self._requests.cancel(number)
            waiting = self._waiting.pop(number)
            sent = lost is not None and lost.maybe_executed
            _fail(waiting, RequestLost(waiting.method, reason, maybe_executed=sent))
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def statistics(self) -> Statistics:
        """Return what is in flight, and what became of the others."""
        trips = self.round_trips_ms
        return {**self._requests.statistics(), "round_trips_ms": None if trips is None else asdict(trips)}

    def _send(self, number: int) -> None:
        waiting = self._waiting.get(number)
        if waiting is not None:
            self._transmit(waiting.message)
            self._note_sent(number)

    def _note_sent(self, number: int) -> None:
        waiting = self._waiting.get(number)
        if waiting is not None:
            self._requests.sent(number)
            waiting.asked_at = self._clock.monotonic()
            if self._telemetry.tell is not None:
                self._telemetry.tell(RequestTrack(len(self._waiting), number, waiting.timeout_s * 1000))

    def _begin(self, method: str, timeout_s: float, *, repeatable: bool = False) -> int:
        if self._correlator is None:
            raise InvalidSetting("adapter", "one without a correlator", "one whose server answers requests")
        return self._requests.begin(self._clock.monotonic(), timeout_s, repeatable=repeatable, what=method)

    def _prepare(self, number: int, method: str, params: object, timeout_s: float) -> _Waiting:
        assert self._correlator is not None
        over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting = _Waiting(self._correlator.request(number, method, params), method, timeout_s, over)
        self._waiting[number] = waiting
        return waiting

    def _set_timer(self) -> None:
        """One timer for all: it is set for the earliest deadline, and looks again when it comes."""
        due = self._requests.next_deadline
        if due is None or (self._timer is not None and self._due <= due):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._due = due
        delay_s = max(0.0, due - self._clock.monotonic())
        self._timer = asyncio.get_running_loop().call_later(delay_s, self._expire)

    def _expire(self) -> None:
        self._timer = None
        for lost in self._requests.expire(self._clock.monotonic()):
            waiting = self._waiting.pop(lost.request_id, None)
            if waiting is not None:
                error = RequestTimeout(lost.what, waiting.timeout_s, maybe_executed=lost.maybe_executed)
                _fail(waiting, error)
                if self._telemetry.tell is not None:
                    self._telemetry.tell(TimedOut(len(self._waiting), lost.request_id))
        self._set_timer()

    def _answer(self, waiting: _Waiting, reply: Reply) -> None:
        if reply.error is None:
            waiting.result = reply.result
            if not waiting.over.done():
                waiting.over.set_result(None)
            return
        # The server may repeat what it was asked.
        self._secrecy.learn(secrets_in(waiting.message))
        message, data = self._secrecy.text(reply.error.message), self._secrecy.value(reply.error.data)
        _fail(waiting, CallFailed(waiting.method, reply.error.code, message, data))

    def _note_answer(self, number: int, waiting: _Waiting) -> None:
        took_ms = (self._clock.monotonic() - waiting.asked_at) * 1000
        self._round_trips_ms.record(took_ms)
        if self._telemetry.tell is not None:
            self._telemetry.tell(RequestResolve(len(self._waiting), took_ms, number))


def _fail(waiting: _Waiting, error: FeedmuxError) -> None:
    if not waiting.over.done():
        waiting.over.set_exception(error)
