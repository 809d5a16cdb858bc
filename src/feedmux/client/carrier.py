"""Carry a WebSocket connection to one URL, and replace it whenever it ends.

Theory of operation
===================

The owner awaits :meth:`Carrier.run`; in it, the machine of :mod:`feedmux.core.reconnect` decides
and this module does: it connects, waits for the end, waits for the backoff, connects again,
without end, unless the policy or a bound of attempts says that it is over. Its user, the one
who reads the messages, is told::

    opened ─▶ received* ─▶ lost ─▶ retrying ─▶ (wait) ─▶ opened …      lost once per opened
                       connect failed: retrying ─▶ (wait) ─▶ …
    close, or the cancellation of run: lost, if it was open, and nothing more
    the policy halts it, or the bound of attempts is reached: the same, and run raises

Nothing of a connection survives it: whatever the server must know again (authentication,
subscriptions) is sent in ``opened``. A connection is good once the user says ``prove``; one
that ends before counts as a failure (see the machine).

Signs of life: every ``ping_interval_s`` the user's ping goes out, or a PING frame; unanswered
for ``ping_timeout_s``, the connection is replaced. A user that knows better, because the data
stopped, calls :meth:`Carrier.replace`.

Invariants: one task, the owner's; no timer, socket or callback outlives ``run``; a failure of
the user's code is logged and counted and ends nothing, except in ``opened``: a connection on
which nothing was restored would stay silent for ever, so it is replaced.

Deliberately absent: a queue of messages that wait for a connection, and any knowledge of what
the messages say.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from functools import partial
from ssl import SSLContext, create_default_context
from typing import Final

from feedmux.client.connection import Connection
from feedmux.client.endpoint import Endpoint, endpoints_of
from feedmux.client.guard import Guard
from feedmux.client.heartbeat import Heartbeat
from feedmux.client.policy import Policy, judge, patient
from feedmux.client.secrecy import Secrecy, learn_config
from feedmux.client.settings import LinkConfig
from feedmux.client.trouble import Trouble
from feedmux.client.user import CarrierUser
from feedmux.core.breaker import Breaker
from feedmux.core.reconnect import Event, Reconnect, State
from feedmux.model.errors import FeedmuxError, InvalidSetting, Overflow
from feedmux.model.link_errors import ConnectFailed, GaveUp, LinkError, LinkLost
from feedmux.model.ports import Clock, Dice, Statistics

_LOG: Final = logging.getLogger(__name__)
_DEFAULTS: Final = LinkConfig()
GOING_AWAY: Final = 1001


class Carrier:
    """A connection that comes back.

    All methods belong to the event loop in which :meth:`run` runs. None of them blocks.

    Args:
        urls: ``ws://`` or ``wss://``; a user and password in it are sent as basic authentication.
            With several, an attempt that fails is followed by one to the next.
        user: who is told what happens.
        config: bounds and deadlines.
        clock: measures round trips.
        dice: where the jitter of the waits comes from.
        policy: what follows from a failure.
        ssl: how to check a ``wss`` server; by default against the system's certificates.
        secrecy: what must not show; the secrets of URLs and configuration are added.

    Raises:
        InvalidSetting: a URL cannot work, or ``ssl`` is given for ``ws``.
    """

    def __init__(
        self,
        urls: str | Sequence[str],
        user: CarrierUser,
        *,
        config: LinkConfig = _DEFAULTS,
        clock: Clock,
        dice: Dice,
        policy: Policy = patient,
        ssl: SSLContext | None = None,
        secrecy: Secrecy | None = None,
    ) -> None:
        self._secrecy = Secrecy() if secrecy is None else secrecy
        learn_config(self._secrecy, config)
        self._endpoints = endpoints_of(urls, self._secrecy)
        self._endpoint = self._endpoints[0]
        if ssl is not None and not all(endpoint.is_secure for endpoint in self._endpoints):
            raise InvalidSetting("ssl", "a context", "none for a ws:// URL; use wss://")
        # Made once: reading the system's certificates takes tens of milliseconds.
        is_secure = any(endpoint.is_secure for endpoint in self._endpoints)
        self._tls = (ssl or create_default_context()) if is_secure else None
        self._policy, self._clock = policy, clock
        self._breaker = Breaker(config.breaker_failures, config.breaker_cooldown_s)
        self._final: FeedmuxError | None = None
        self._error: FeedmuxError | None = None
        self._user, self._config = user, config
        self._machine = Reconnect(config.backoff, dice)
        self._heartbeat = Heartbeat(
            config.ping_interval_s, config.ping_timeout_s, ask=self._ask, dead=self._mute, clock=clock
        )
        self._connection: Connection | None = None
        self._question: bytes | None = None
        self._wake: asyncio.Future[None] | None = None
        self._trouble = Trouble()
        self._reason = ""
        self._close_code: int | None = None
        self._attempts = self._opens = self._messages = 0
        self._began_at = self.connect_s = 0.0
        """How long the latest connection took to open."""
        self._guard = Guard(self._endpoint.text)

    @property
    def state(self) -> State:
        """Where the link is."""
        return self._machine.state

    @property
    def is_open(self) -> bool:
        """Whether messages can be sent."""
        return self._connection is not None and self._connection.is_open

    @property
    def opens(self) -> int:
        """How many connections were opened; the number of the present one."""
        return self._opens

    def tell_pongs(self, ponged: Callable[[float], None]) -> None:
        """Have somebody told how long each ping took, seconds."""
        self._heartbeat.answered_by = ponged

    @property
    def pongs(self) -> int:
        """How many pings were answered."""
        return self._heartbeat.answers

    @property
    def error(self) -> FeedmuxError | None:
        """Why the latest attempt or connection ended; None before."""
        return self._error

    @property
    def endpoints(self) -> Sequence[Endpoint]:
        """Where it may lead."""
        return self._endpoints

    @property
    def endpoint(self) -> Endpoint:
        """Where it leads at present."""
        return self._endpoint

    @property
    def circuit_wait_s(self) -> float:
        """Seconds for which nothing will be tried because too much has failed; 0 as a rule."""
        return self._breaker.wait_s(self._clock.monotonic())

    @property
    def close_code(self) -> int | None:
        """With what code the server closed the latest connection; None when it did not, or gave none.

        What it means is the user's to know, who may :meth:`close` the link in ``lost``.
        """
        return self._close_code

    async def run(self) -> None:
        """Keep the connection until :meth:`close`; the owner awaits this, once.

        Cancellation cuts the connection. Returns at once when the link was closed before.

        Raises:
            IllegalEvent: it runs already.
            FeedmuxError: trying again does not help, says the policy or whoever called :meth:`halt`.
            GaveUp: ``max_attempts`` failed in a row.
        """
        if self._is_closed():
            return
        self._machine.apply(Event.START)
        try:
            while not self._is_closed():
                await self._connect_once()
                await self._wait()
        finally:
            self._machine.apply(Event.STOP)
            await self._cut()
        if self._final is not None:
            raise self._final

    def send(self, payload: bytes | str, *, binary: bool = False) -> None:
        """Send one message, as text (``bytes`` are UTF-8) or as binary.

        Raises:
            LinkLost: no connection is open; nothing is kept for the next one.
            Overflow: ``max_write_buffer_bytes`` wait already; nothing was sent.
        """
        if self._connection is None or not self._connection.is_open:
            raise LinkLost(self._reason or f"none is open, the link is {self.state}")
        self._connection.send(payload, binary=binary)

    def prove(self) -> None:
        """Say that the connection is good: the first data came. The backoff starts anew.

        Cheap and harmless to repeat.
        """
        if self._machine.state is State.OPEN:
            self._machine.apply(Event.PROVED)
            self._breaker.succeeded()
            self._trouble.over(self._endpoint.text)

    def probe(self) -> None:
        """Ask for a sign of life now, unless one is waited for already."""
        if self.is_open:
            self._heartbeat.ask()

    def pong(self) -> None:
        """Say that the answer to the application ping came."""
        self._heartbeat.answered()

    def pause_reading(self) -> None:
        """Take nothing more for now; what was read already still comes."""
        if self._connection is not None:
            self._connection.pause_reading()

    def resume_reading(self) -> None:
        """Go on after :meth:`pause_reading`."""
        if self._connection is not None:
            self._connection.resume_reading()

    def replace(self, reason: str, code: int = GOING_AWAY) -> None:
        """Cut this connection and connect again; ``lost(reason)`` follows in a later turn.

        Does nothing when no connection is open.

        Args:
            reason: why, for people.
            code: what the server is told.
        """
        if self._connection is not None and self._connection.is_open:
            self._connection.end(reason, code)

    def halt(self, error: FeedmuxError) -> None:
        """End the link with an error that :meth:`run` raises; the first one counts."""
        if self._final is None and not self._is_closed():
            self._final = error
            self.close()

    def close(self) -> None:
        """End the link for good; :meth:`run` returns within ``close_timeout_s``."""
        self._machine.apply(Event.STOP)
        if self._connection is not None:
            self._connection.close()
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    def statistics(self) -> Statistics:
        """Return counters since the start, and the present."""
        connection = self._connection
        return {
            "url": self._endpoint.text,
            "state": self.state.value,
            "attempts": self._attempts,
            "opens": self._opens,
            "failures_in_a_row": self._machine.failures,
            "circuit": self._breaker.circuit.value,
            "messages": self._messages + (connection.messages if connection else 0),
            "user_errors": self._guard.errors,
            "waiting_bytes": connection.waiting_bytes if connection else 0,
            **self._heartbeat.statistics(),
            "last_reason": self._reason,
        }

    def __repr__(self) -> str:
        return f"<Carrier {self._endpoint} {self.state}>"

    def _is_closed(self) -> bool:
        return self._machine.state is State.CLOSED

    async def _connect_once(self) -> None:
        """Make one attempt, and stay until its connection is gone."""
        self._attempts += 1
        self._began_at = self._clock.monotonic()
        connection = self._connection = Connection(
            self._endpoint,
            self._config,
            opened=self._opened,
            received=self._user.received,
            received_binary=self._user.received_binary,
            ponged=self._ponged,
            blamed=partial(self._guard.blame, "received"),
            ended=self._ended,
        )
        tls = self._tls if self._endpoint.is_secure else None
        try:
            await connection.connect(tls=tls, turn=self._machine.failures)
        except ConnectFailed as error:
            self._connection = None
            self._machine.apply(Event.FAILED)
            self._retry(error, error.reason)
        else:
            await connection.wait_ended()

    async def _wait(self) -> None:
        """Wait as long as the machine says, or until the link is closed."""
        if self._machine.state is not State.WAITING:
            return
        loop = asyncio.get_running_loop()
        self._wake = loop.create_future()
        timer = loop.call_later(self._machine.wait_s, self._due)
        try:
            await self._wake
        finally:
            timer.cancel()
            self._wake = None

    def _due(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._machine.apply(Event.DUE)
            self._wake.set_result(None)

    async def _cut(self) -> None:
        """Leave nothing behind when the owner's task ends, however it ends."""
        connection = self._connection
        if connection is not None:
            connection.end("the link was stopped")
            await connection.wait_ended()

    def _opened(self) -> None:
        self._machine.apply(Event.OPENED)
        self._opens += 1
        self.connect_s = self._clock.monotonic() - self._began_at
        self._reason = ""
        self._heartbeat.start()
        errors = self._guard.errors
        self._guard.call(self._user.opened)
        if self._guard.errors > errors:
            self.replace("its user failed to restore it")

    def _ended(self, reason: str) -> None:
        reason = self._secrecy.text(reason)
        self._heartbeat.stop()
        if self._connection is not None:
            self._messages += self._connection.messages
            self._close_code = self._connection.close_code
            self._connection = None
        self._reason = reason
        self._machine.apply(Event.LOST)
        self._guard.call(self._user.lost, reason)
        self._retry(LinkLost(reason), reason)

    def _retry(self, error: LinkError, reason: str) -> None:
        """Judge a failure; tell that there will be another attempt, unless the link was closed or is over."""
        # Only what it says is kept: its traceback would keep the connection that failed.
        self._reason, self._error = reason, error.with_traceback(None)
        if self._is_closed():
            return
        now, failures = self._clock.monotonic(), self._machine.failures
        self._breaker.failed(now)
        verdict = judge(self._policy, error, failures, self._guard)
        if 0 < self._config.max_attempts <= failures:
            error = GaveUp(self._endpoint.text, reason, failures)
        if verdict.halt or isinstance(error, GaveUp):
            self.halt(error)
            return
        if verdict.elsewhere:
            following = self._endpoints.index(self._endpoint) + 1
            self._endpoint = self._endpoints[following % len(self._endpoints)]
        self._machine.postpone(max(verdict.wait_s, self._breaker.wait_s(now)))
        self._trouble.tell(self._endpoint.text, reason, self._machine.wait_s)
        self._guard.call(self._user.retrying, reason, self._machine.wait_s)

    def _ask(self) -> None:
        """Send the user's ping, or a PING frame whose PONG we know again."""
        connection = self._connection
        if connection is None or not connection.is_open:
            return
        payload = self._guard.call(self._user.ping)
        if payload is None:
            self._question = b"%d" % self._attempts
            connection.ping(self._question)
            return
        self._question = None
        try:
            self.send(payload)
        except (LinkLost, Overflow):
            _LOG.debug("the ping to %s could not be sent; its deadline decides", self._endpoint)

    def _ponged(self, payload: bytes) -> None:
        if payload == self._question:
            self._heartbeat.answered()

    def _mute(self) -> None:
        self.replace(f"no answer to the ping within {self._config.ping_timeout_s:g} s")
