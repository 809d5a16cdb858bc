"""Keep a WebSocket connection to one URL, for as long as its owner wants it.

Theory of operation
===================

The owner awaits :meth:`Link.run`; in it, the machine of :mod:`feedmux.core.reconnect` decides
and this module does: it connects, waits for the end, waits for the backoff, connects again,
without end. Its user, the one who reads the messages, is told::

    opened ─▶ received* ─▶ lost ─▶ retrying ─▶ (wait) ─▶ opened …      lost once per opened
                       connect failed: retrying ─▶ (wait) ─▶ …
    close, or the cancellation of run: lost, if it was open, and nothing more

Nothing of a connection survives it: whatever the server must know again (authentication,
subscriptions) is sent in ``opened``. A connection is good once the user says ``prove``; one
that ends before counts as a failure (see the machine).

Signs of life: every ``ping_interval_s`` the user's ping goes out, or a PING frame; unanswered
for ``ping_timeout_s``, the connection is replaced. A user that knows better, because the data
stopped, calls :meth:`Link.replace`.

Invariants: one task, the owner's; no timer, socket or callback outlives ``run``; a failure of
the user's code is logged and counted and ends nothing, except in ``opened``: a connection on
which nothing was restored would stay silent for ever, so it is replaced.

Deliberately absent: a limit of attempts, a queue of messages that wait for a connection, and
any knowledge of what the messages say.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from ssl import SSLContext, create_default_context
from typing import Final, Protocol, TypeVar, TypeVarTuple

from feedmux.client.connection import Connection
from feedmux.client.endpoint import Endpoint
from feedmux.client.heartbeat import Heartbeat
from feedmux.client.settings import LinkConfig
from feedmux.core.reconnect import Event, Reconnect, State
from feedmux.model.errors import ConnectFailed, InvalidSetting, LinkLost, Overflow
from feedmux.model.ports import Clock, Dice, Statistics

__all__ = ["Link", "LinkConfig", "LinkUser", "State"]

_LOG: Final = logging.getLogger(__name__)
_DOWN: Final = "link to %s is down: %s; next attempt in %.2f s"
_BACK: Final = "link to %s is back"
_BLAME: Final = "%s() of the user of the link to %s raised; its failures so far: %d"
_REASONS_TOLD: Final = 8
_DEFAULTS: Final = LinkConfig()

_Result = TypeVar("_Result")
_Arguments = TypeVarTuple("_Arguments")


class LinkUser(Protocol):
    """Who uses a link. Everything is called in the event loop and may not block."""

    def opened(self) -> None:
        """Restore the connection with :meth:`Link.send`: it is open, and the server knows nothing."""

    def received(self, payload: bytes, /) -> None:
        """Take one whole message, text or binary; runs per message."""

    def lost(self, reason: str, /) -> None:
        """Note that the open connection ended; called exactly once per ``opened``."""

    def retrying(self, reason: str, wait_s: float, /) -> None:
        """Note that the next attempt follows in ``wait_s`` seconds, and why there must be one."""

    def ping(self) -> bytes | None:
        """Return the application ping to send now, or None for a PING frame."""


class Link:
    """A connection that comes back.

    All methods belong to the event loop in which :meth:`run` runs. None of them blocks.

    Args:
        url: ``ws://`` or ``wss://``; a user and password in it are sent as basic authentication.
        user: who is told what happens.
        config: bounds and deadlines.
        clock: measures round trips.
        dice: where the jitter of the waits comes from.
        ssl: how to check a ``wss`` server; by default against the system's certificates.

    Raises:
        InvalidSetting: the URL cannot work, or ``ssl`` is given for ``ws``.
    """

    def __init__(
        self,
        url: str,
        user: LinkUser,
        *,
        config: LinkConfig = _DEFAULTS,
        clock: Clock,
        dice: Dice,
        ssl: SSLContext | None = None,
    ) -> None:
        secrets = {word for _, value in config.headers for word in (value, *value.split())}
        self._endpoint = Endpoint(url, secrets)
        if ssl is not None and not self._endpoint.is_secure:
            raise InvalidSetting("ssl", "a context", "none for a ws:// URL; use wss://")
        # Made once: reading the system's certificates takes tens of milliseconds.
        self._tls = (ssl or create_default_context()) if self._endpoint.is_secure else None
        self._user, self._config = user, config
        self._machine = Reconnect(config.backoff, dice)
        self._heartbeat = Heartbeat(
            config.ping_interval_s, config.ping_timeout_s, ask=self._ask, dead=self._mute, clock=clock
        )
        self._connection: Connection | None = None
        self._question: bytes | None = None
        self._wake: asyncio.Future[None] | None = None
        self._told: set[str] = set()
        self._reason = ""
        self._close_code: int | None = None
        self._attempts = self._opens = self._messages = self._user_errors = 0

    @property
    def state(self) -> State:
        """Where the link is."""
        return self._machine.state

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
            if self._told:
                self._told.clear()
                _LOG.warning(_BACK, self._endpoint)

    def pong(self) -> None:
        """Say that the answer to the application ping came."""
        self._heartbeat.answered()

    def replace(self, reason: str) -> None:
        """Cut this connection and connect again; ``lost(reason)`` follows in a later turn.

        Does nothing when no connection is open.
        """
        if self._connection is not None and self._connection.is_open:
            self._connection.end(reason)

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
            "messages": self._messages + (connection.messages if connection else 0),
            "user_errors": self._user_errors,
            "waiting_bytes": connection.waiting_bytes if connection else 0,
            "round_trip_s": self._heartbeat.round_trip_s,
            "last_reason": self._reason,
        }

    def __repr__(self) -> str:
        return f"<Link {self._endpoint} {self.state}>"

    def _is_closed(self) -> bool:
        return self._machine.state is State.CLOSED

    async def _connect_once(self) -> None:
        """Make one attempt, and stay until its connection is gone."""
        self._attempts += 1
        connection = self._connection = Connection(
            self._endpoint,
            self._config,
            opened=self._opened,
            received=self._user.received,
            ponged=self._ponged,
            blamed=self._blame_received,
            ended=self._ended,
        )
        try:
            await connection.connect(tls=self._tls, turn=self._machine.failures)
        except ConnectFailed as error:
            self._connection = None
            self._machine.apply(Event.FAILED)
            self._retry(error.reason)
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
        self._reason = ""
        self._heartbeat.start()
        errors = self._user_errors
        self._call(self._user.opened)
        if self._user_errors > errors:
            self.replace("its user failed to restore it")

    def _ended(self, reason: str) -> None:
        self._heartbeat.stop()
        if self._connection is not None:
            self._messages += self._connection.messages
            self._close_code = self._connection.close_code
            self._connection = None
        self._reason = reason
        self._machine.apply(Event.LOST)
        self._call(self._user.lost, reason)
        self._retry(reason)

    def _retry(self, reason: str) -> None:
        """Tell that there will be another attempt, unless the link was closed."""
        self._reason = reason
        if self._is_closed():
            return
        new = reason not in self._told and len(self._told) < _REASONS_TOLD
        _LOG.log(
            logging.WARNING if new else logging.DEBUG, _DOWN, self._endpoint, reason, self._machine.wait_s
        )
        if new:
            self._told.add(reason)
        self._call(self._user.retrying, reason, self._machine.wait_s)

    def _ask(self) -> None:
        """Send the user's ping, or a PING frame whose PONG we know again."""
        connection = self._connection
        if connection is None or not connection.is_open:
            return
        payload = self._call(self._user.ping)
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

    def _call(self, function: Callable[[*_Arguments], _Result], *arguments: *_Arguments) -> _Result | None:
        """Call the user; what it raises is its programming error and must not end the link."""
        try:
            return function(*arguments)
        except Exception:  # noqa: BLE001 - the outermost edge: _blame logs it
            self._blame(function.__name__)
            return None

    def _blame_received(self) -> None:
        self._blame("received")

    def _blame(self, name: str) -> None:
        """Count a failure of the user; log it the 1st, 2nd, 4th, 8th … time: it may come per message."""
        self._user_errors += 1
        if self._user_errors & (self._user_errors - 1) == 0:
            _LOG.exception(_BLAME, name, self._endpoint, self._user_errors)
