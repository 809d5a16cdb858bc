"""Talk to one platform over a connection that comes and goes.

Theory of operation
===================
Each connection is restored before it counts as whole; one task per connection does it::

    opened ─▶ authenticate ─▶ prepare ─▶ subscribe to all that is wanted ─▶ repeat requests ─▶ live
                │                │            │
                │                └─ fails ────┴────▶ the connection is replaced, after the backoff
                ├─ fails ─────────────────────────▶ the connection is replaced, after the backoff
                └─ the credentials are not taken ─▶ the link ends

Only a connection that became live proves itself to the backoff. While it is not live, nothing but the
adapter sends on it, except for messages that were read from it: they are handed on as they come,
between the notices that say where something is missing.

*What comes* is, in this order: an answer to a request; something of the platform's own, which its
adapter may answer at once (a test request); data.

*Silence.* :mod:`feedmux.core.vigil` watches the connection and its channels, if there are limits: a
probe, then the subscription again, then another connection.

Invariants: nothing of a connection outlives it but wishes, tokens and requests that may be repeated;
a failure of the adapter's code is logged and replaces the connection.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from typing import Final

from feedmux.client.asking import Asking
from feedmux.client.callee import Callee
from feedmux.client.caller import Caller
from feedmux.client.carrier import Carrier
from feedmux.client.events import Interrupted, Restored
from feedmux.client.limiter import Limiter
from feedmux.client.recorder import Recorder
from feedmux.client.secrecy import Confidence, Secrecy
from feedmux.client.settings import LinkConfig
from feedmux.client.silence import Silence
from feedmux.client.telemetry import Telemetry
from feedmux.client.telemetry_events import ConnectionUpgrade, HeartbeatPong, SubscriptionRestore
from feedmux.client.wishes import Wishes
from feedmux.core import jsonrpc
from feedmux.core.hiding import LEARNT, secrets_in
from feedmux.core.jsonrpc import Batch, JsonRpc
from feedmux.core.reconnect import State
from feedmux.core.vigil import Step
from feedmux.model.adapter import Adapter, Note
from feedmux.model.checks import require_number
from feedmux.model.errors import AuthenticationFailed, FeedmuxError, MalformedMessage
from feedmux.model.link_errors import RequestLost
from feedmux.model.ports import Clock

_LOG: Final = logging.getLogger(__name__)
_INVALID_TEXT: Final = 1007

CarrierMaker = Callable[["Conversation"], Carrier]


class Conversation:
    """One platform and one link (a :class:`feedmux.client.carrier.CarrierUser`).

    Args:
        adapter: the platform.
        make_carrier: makes the carrier that this is the user of.
        deliver: takes data and notices, in order.
        limiter: how much may be sent; None: as much as one likes.
        secrecy: what may not show.
        config: bounds and deadlines.
        clock: time.
    """

    def __init__(
        self,
        adapter: Adapter,
        make_carrier: CarrierMaker,
        *,
        deliver: Callable[[object], None],
        limiter: Limiter | None,
        secrecy: Secrecy,
        config: LinkConfig,
        clock: Clock,
    ) -> None:
        self._adapter, self._codec = adapter, adapter.codec
        self._deliver, self._secrecy = deliver, secrecy
        self._limiter = limiter
        self._config, self._clock = config, clock
        self._tasks: asyncio.TaskGroup | None = None
        self._under_way: set[asyncio.Task[None]] = set()
        self._renewal: asyncio.TimerHandle | None = None
        self._lost_at: float | None = None
        self._pongs = 0
        self._silence = Silence(config)
        self.is_live = False
        """Whether the connection is open and everything was restored on it."""
        self.became_live = asyncio.Event()
        """Is set while it is live."""
        self.failed = asyncio.Event()
        """Is set when an attempt failed, until it is live."""
        self.telemetry = Telemetry()
        self._recorder: Recorder | None = None
        self.caller = Caller(
            adapter.correlator,
            self.transmit,
            limit=config.max_in_flight,
            telemetry=self.telemetry,
            secrecy=secrecy,
            clock=clock,
        )
        self.asking = Asking(self, self.caller, limiter=limiter, penalty_s=adapter.penalty_s, clock=clock)
        self.callee = Callee(self.transmit, self._give_up, self._spawn, limit=config.max_in_flight)
        self._has_batches = isinstance(adapter.correlator, JsonRpc) and adapter.correlator.batches
        self.wishes = Wishes(adapter, self, self._held_changed, secrecy.text)
        self.carrier = make_carrier(self)
        self.carrier.tell_pongs(self._ponged)

    # What an adapter may do.

    async def request(self, method: str, params: object = None, /) -> object:
        """Ask on this connection, live or not; see :class:`feedmux.model.adapter.Dialogue`."""
        patience_s = self._config.request_timeout_s
        return await self.asking.ask(method, params, timeout_s=patience_s, is_users=False)

    async def send(self, message: object, /) -> None:
        """Send on this connection, live or not; see :class:`feedmux.model.adapter.Dialogue`."""
        self.transmit(message)

    # What the link does for its user.

    async def send_within_budget(self, message: object, costs_as: str) -> None:
        """Send a message when the link is live and the budget allows; see :meth:`Link.send`."""
        self.require_live("a message")
        if self._limiter is not None:
            await self._limiter.admit(costs_as)
            self.require_live("a message")
        self.transmit(message)

    def require_live(self, method: str) -> None:
        """Refuse to send anything on a connection that is not restored.

        Raises:
            RequestLost: it is not; nothing was sent.
        """
        if not self.is_live:
            why = f": {self.carrier.error}" if self.carrier.error else ""
            raise RequestLost(method, f"the link is {self.carrier.state}{why}", maybe_executed=False)

    def transmit(self, message: object) -> None:
        """Send a message now.

        Raises:
            LinkLost: no connection is open.
            MalformedMessage: it cannot be written.
            Overflow: too much waits to be sent.
        """
        payload, is_binary = self._codec.encode(message)
        self.carrier.send(payload, binary=is_binary)
        if self._recorder is not None:
            self._recorder.hide(secrets_in(message, shortest=LEARNT))
            self._recorder.sent(payload, is_binary)

    async def run(self) -> None:
        """Carry the conversation until the carrier is closed.

        Raises:
            FeedmuxError: it cannot go on; see :meth:`feedmux.client.carrier.Carrier.run`.
        """
        problem: FeedmuxError | None = None
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            watch = tasks.create_task(self._watch())
            try:
                await self.carrier.run()
            except FeedmuxError as error:
                problem = error
            finally:
                watch.cancel()
                reason = str(problem) if problem else "the link was closed"
                self._forget(reason)
                self.caller.close(reason)
                self._tasks = None
        if problem is not None:
            raise problem

    def record(self, recorder: Recorder | None) -> None:
        """Have both directions written down from now on; None ends it."""
        if recorder is not None:
            recorder.hide(self._secrecy.certain)
        self._recorder = recorder

    def reconcile(self) -> None:
        """Let the other side know of changed wishes, soon."""
        if self.is_live:
            self._spawn(self._carefully(self.wishes.reconcile, "its subscriptions could not be changed"))

    # What the carrier calls.

    def opened(self) -> None:
        """A connection is open: restore everything on it."""
        if self.telemetry.tell is not None:
            connect_ms = self.carrier.connect_s * 1000
            self.telemetry.tell(ConnectionUpgrade(connect_ms, self.carrier.endpoint.text))
        self._silence.restart(self._clock.monotonic())
        self._spawn(self._carefully(self._restore, "it could not be restored"))

    def received(self, payload: bytes) -> None:
        """One text message."""
        self._take(payload, is_binary=False)

    def received_binary(self, payload: bytes) -> None:
        """One binary message."""
        self._take(payload, is_binary=True)

    def lost(self, reason: str) -> None:
        """The connection ended."""
        if self._recorder is not None:
            self._recorder.closed(self.carrier.close_code, reason)
        is_hole = self.is_live and self.carrier.state is not State.CLOSED
        self._forget(reason)
        if is_hole:
            self._lost_at = self._clock.monotonic()
            self._deliver(Interrupted(reason))

    def retrying(self, reason: str, wait_s: float) -> None:
        """The carrier waits before it tries again."""
        self.failed.set()
        _LOG.debug("%s: trying again in %.1f s: %s", self._adapter.name, wait_s, reason)

    def ping(self) -> bytes | None:
        """The platform's own ping, if it has one."""
        message = self._adapter.ping()
        return None if message is None else self._codec.encode(message)[0]

    # What comes.

    def _take(self, payload: bytes, *, is_binary: bool) -> None:
        if self._recorder is not None:
            self._recorder.received(payload, is_binary)
        try:
            message = self._codec.decode(payload, is_binary)
        except MalformedMessage as error:
            self.carrier.replace(str(error), _INVALID_TEXT)
            return
        note = None
        is_answer = self._take_rpc(message)
        if not is_answer:
            note = self._adapter.inspect(message)
        if self._silence.interval_s:
            self._silence.heard(note.channel if note is not None else "", self._clock.monotonic())
        if note is not None:
            self._take_note(note, message)
        elif not is_answer:
            self._deliver(message)

    def _take_rpc(self, message: object) -> bool:
        """Whether it was an answer or a call; what else an array with one of these holds is passed over."""
        if type(message) is not list:
            return self.caller.take(message) or self.callee.take(message)
        batch = jsonrpc.read(message) if self._has_batches else None
        if not isinstance(batch, Batch):
            return False
        self.caller.take_all(batch.replies)
        return self.callee.take_batch(batch) or bool(batch.replies)

    def _take_note(self, note: Note, message: object) -> None:
        if note.is_pong:
            self.carrier.pong()
        if note.answer is not None:
            self._answer(note.answer)
        if note.renews:
            self.wishes.renew([note.channel])
            self.reconcile()
        if note.notice is not None:
            self._deliver(note.notice)
        if note.is_data:
            self._deliver(message)

    def _answer(self, message: object) -> None:
        try:
            self.transmit(message)
        except FeedmuxError as error:
            self._give_up(f"it could not be answered: {error}")

    def _give_up(self, reason: str) -> None:
        self.carrier.replace(reason)

    # Restoring.

    async def _restore(self) -> None:
        began = self.carrier.opens
        await self._authenticate()
        await self._adapter.prepare(self)
        await self.wishes.reconcile()
        if began == self.carrier.opens and self.carrier.is_open:
            self._go_live()

    async def _carefully(self, work: Callable[[], Coroutine[None, None, None]], failure: str) -> None:
        """Do something that the adapter has a part in; what it raises costs the connection, or the link."""
        try:
            await work()
        except AuthenticationFailed as error:
            self._secrecy.cleanse(error)
            self.carrier.halt(error)
        except FeedmuxError as error:
            self.carrier.replace(f"{failure}: {error}")
        except Exception as error:  # noqa: BLE001 - the outermost edge of somebody's code
            self._secrecy.cleanse(error)
            _LOG.exception("the adapter of %s failed", self._adapter.name)
            self.carrier.replace(f"{failure}: its adapter raised {type(error).__name__}")

    def _go_live(self) -> None:
        self.is_live = True
        self.became_live.set()
        self.failed.clear()
        self.carrier.prove()
        refused = dict(self.wishes.refused)
        for channel, reason in refused.items():
            _LOG.warning("%s refused %s: %s", self._adapter.name, channel, reason)
        if self._lost_at is not None or refused:
            after_s = 0.0 if self._lost_at is None else self._clock.monotonic() - self._lost_at
            self._deliver(Restored(after_s, self.wishes.held, refused))
        self._lost_at = None
        if self.telemetry.tell is not None:
            held = self.wishes.held
            self.telemetry.tell(SubscriptionRestore(len(held), held))
        self.caller.restored()
        if not self.wishes.is_whole:  # somebody changed his mind in this very turn
            self.reconcile()

    async def _authenticate(self) -> None:
        valid_s = await self._adapter.authenticate(Confidence(self, self._learn))
        if valid_s is not None:
            require_number("result of authenticate()", valid_s, "seconds above 0, or None", above=0)
            loop = asyncio.get_running_loop()
            self._renewal = loop.call_later(valid_s, self._renew_authentication)

    def _learn(self, secrets: set[str]) -> None:
        """Let nothing show that passed while somebody said who he is."""
        self._secrecy.learn(secrets)
        if self._recorder is not None:
            self._recorder.hide(secrets)

    def _renew_authentication(self) -> None:
        self._renewal = None
        self._spawn(self._carefully(self._authenticate, "its authentication could not be renewed"))

    def _forget(self, reason: str) -> None:
        """Nothing of the connection outlives it."""
        self.is_live = False
        self.became_live.clear()
        if self._renewal is not None:
            self._renewal.cancel()
            self._renewal = None
        for task in self._under_way:
            task.cancel()
        self.caller.lost(reason)
        self.wishes.forget_connection()

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        """Do something for this connection; it ends with it."""
        if self._tasks is None:
            work.close()
            return
        task = self._tasks.create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    # Silence.

    def _ponged(self, round_trip_s: float) -> None:
        if self.telemetry.tell is not None:
            self.telemetry.tell(HeartbeatPong(round_trip_s * 1000, "ping_pong"))

    def _held_changed(self, there: Sequence[str], gone: Sequence[str]) -> None:
        self._silence.changed(there, gone, self._clock.monotonic())

    async def _watch(self) -> None:
        while self._silence.interval_s:
            await asyncio.sleep(self._silence.interval_s)
            if self.is_live:
                self._judge()

    def _judge(self) -> None:
        now = self._clock.monotonic()
        if self.carrier.pongs > self._pongs:
            self._pongs = self.carrier.pongs
            silent = self._silence.answered(now)
            self.wishes.renew(self.wishes.held if silent is None else silent)
        step, what = self._silence.check(now)
        if step is Step.RECONNECT:
            self.carrier.replace(f"{what} is silent, and nothing helped")
        elif step is Step.PROBE:
            self.carrier.probe()
        if not self.wishes.is_whole:
            self.reconcile()
