"""A WebSocket that restores itself: connect, send, subscribe, read, close.

Theory of operation
===================

::

    idle ─▶ connecting ─▶ restoring ─▶ live ─▶ (lost) ─▶ waiting ─▶ connecting …       closed

A link is *live* when the connection is open and everything was restored on it: who we are, the
platform's settings, all subscriptions, each answer checked. Until then requests fail at once, unless they are
repeatable. What comes is read with ``async for``, or given to a listener. Between the messages
stand notices: :class:`Interrupted` where something may be missing, :class:`Restored` from where on nothing
is, :class:`Dropped` where the reader was too slow. Nothing is lost without one of them.

Below it, each does one thing: :mod:`feedmux.client.carrier` connects again and again,
:mod:`feedmux.client.conversation` restores, :mod:`feedmux.client.wishes` holds the subscriptions,
:mod:`feedmux.client.caller` the requests, :mod:`feedmux.client.inbox` the messages.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Awaitable, Generator, Iterable, Sequence
from functools import partial
from ssl import SSLContext
from types import TracebackType
from typing import Final, Protocol, Self

from feedmux.client.carrier import Carrier
from feedmux.client.clock import SystemClock
from feedmux.client.conversation import Conversation
from feedmux.client.events import Subscribed
from feedmux.client.guard import Guard
from feedmux.client.inbox import Inbox
from feedmux.client.limiter import Limiter
from feedmux.client.parts import channels_of, check_parts, check_recorder, check_wait, patience_s
from feedmux.client.plain import JsonRpcAdapter
from feedmux.client.policy import Policy, usual
from feedmux.client.privacy import require_privacy
from feedmux.client.recorder import Recorder
from feedmux.client.rpc import Rpc
from feedmux.client.secrecy import Secrecy
from feedmux.client.settings import LinkConfig
from feedmux.client.state import STATES, LinkState
from feedmux.client.telemetry import Telemetry
from feedmux.client.telemetry_events import SubscriptionAdd, SubscriptionRemove
from feedmux.core.pool import Vitals
from feedmux.model.adapter import Adapter
from feedmux.model.errors import FeedmuxError, Overflow
from feedmux.model.link_errors import LinkLost
from feedmux.model.ports import Statistics

__all__ = ["Link", "LinkConfig", "LinkState", "Listener", "connect"]

_DEFAULTS: Final = LinkConfig()


class Listener(Protocol):
    """Takes what comes, instead of ``async for``; is called in the event loop and may not block."""

    def __call__(self, message: object, /) -> None: ...


class Link:
    """A connection to a platform, for as long as its owner wants it.

    Use it as ``async with connect(url) as link``, or await :meth:`run` in a task of your own. All
    methods belong to one event loop.

    Args:
        urls: ``ws://`` or ``wss://``, one or several that mean the same; see :class:`Carrier`.
        adapter: the platform; by default one that speaks JSON-RPC 2.0.
        config: bounds and deadlines.
        listener: takes the messages and notices; without it they wait for ``async for``.
        limiter: how much may be sent; links that are given the same one share it.
        policy: what follows from a failure.
        ssl: how to check a ``wss`` server; by default against the system's certificates.

    Raises:
        InvalidSetting: a URL cannot work, something is of another kind, or credentials would cross the
            network unencrypted.
    """

    def __init__(
        self,
        urls: str | Sequence[str],
        *,
        adapter: Adapter | None = None,
        config: LinkConfig = _DEFAULTS,
        listener: Listener | None = None,
        limiter: Limiter | None = None,
        policy: Policy = usual,
        ssl: SSLContext | None = None,
    ) -> None:
        self._adapter = JsonRpcAdapter() if adapter is None else adapter
        check_parts(
            adapter=self._adapter, config=config, listener=listener, limiter=limiter, policy=policy, ssl=ssl
        )
        self._config, self._listener = config, listener
        self._clock = SystemClock()
        self._inbox = Inbox(
            config.max_waiting, config.when_full, pause=self._pause_reading, resume=self._resume_reading
        )
        secrecy = Secrecy()
        make_carrier = partial(
            Carrier,
            urls,
            config=config,
            clock=self._clock,
            dice=random.SystemRandom(),
            policy=policy,
            ssl=ssl,
            secrecy=secrecy,
        )
        self._conversation = Conversation(
            self._adapter,
            make_carrier,
            deliver=self._deliver,
            limiter=limiter,
            secrecy=secrecy,
            config=config,
            clock=self._clock,
        )
        self._carrier = self._conversation.carrier
        holds_secrets, proxy = self._adapter.has_credentials, config.proxy
        require_privacy(self._carrier.endpoints, config.headers, proxy=proxy, holds_secrets=holds_secrets)
        self._guard = Guard(self._carrier.endpoint.text)
        self._task: asyncio.Task[None] | None = None
        self._ended = asyncio.Event()
        self._error: FeedmuxError | None = None

    @property
    def state(self) -> LinkState:
        """Where it is."""
        return STATES[self._carrier.state]

    @property
    def channels(self) -> tuple[str, ...]:
        """What is wanted, confirmed or not."""
        return self._conversation.wishes.wanted

    @property
    def rpc(self) -> Rpc:
        """Notifications, batches and the server's own calls, where the adapter speaks JSON-RPC 2.0.

        Raises:
            InvalidSetting: it speaks another protocol.
        """
        return Rpc(self._conversation, self._adapter.correlator, self._config)

    @property
    def telemetry(self) -> Telemetry:
        """Where sinks are attached that want to know what happens inside."""
        return self._conversation.telemetry

    def record(self, recorder: Recorder | None) -> None:
        """Have both directions written down from now on; None ends it. Who made a recorder closes it.

        Raises:
            InvalidSetting: it is no recorder.
        """
        check_recorder(recorder)
        self._conversation.record(recorder)

    def vitals(self) -> Vitals | None:
        """How it is, for a pool; None while it is not live."""
        if not self._conversation.is_live:
            return None
        caller = self._conversation.caller
        trips = caller.round_trips_ms
        return Vitals(pending=len(caller), p99_ms=0.0 if trips is None else trips.p99)

    # Living.

    async def run(self) -> None:
        """Keep the link until :meth:`close`; the owner awaits this, once.

        Raises:
            AuthenticationFailed: the platform does not take the credentials.
            GaveUp: ``max_attempts`` failed in a row.
            FeedmuxError: the policy ended it with this.
        """
        try:
            await self._conversation.run()
        except FeedmuxError as error:
            self._error = error
            raise
        finally:
            self._inbox.close(self._error)
            self._ended.set()

    def start(self) -> None:
        """Run in a task of the link's own, which :meth:`close` ends and awaits."""
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run_quietly())

    async def wait_live(self, within_s: float | None = None) -> None:
        """Wait until everything is restored.

        Args:
            within_s: how long; None: until the first attempt failed.

        Raises:
            InvalidSetting: ``within_s`` is no time.
            FeedmuxError: why it is not live.
        """
        check_wait("within_s", within_s)
        talk = self._conversation
        events = [talk.became_live, self._ended] + ([talk.failed] if within_s is None else [])
        waiters = [asyncio.ensure_future(event.wait()) for event in events]
        try:
            await asyncio.wait(waiters, timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for waiter in waiters:
                waiter.cancel()
        if not talk.is_live:
            raise self._error or self._carrier.error or LinkLost(f"not live within {within_s or 0:g} s")

    async def close(self) -> None:
        """End it, in peace if the other side answers within ``close_timeout_s``."""
        self._carrier.close()
        if self._task is not None:
            await asyncio.wait({self._task})
        elif self.state is not LinkState.IDLE:
            await self._ended.wait()
        self._inbox.close(self._error)

    async def wait_closed(self) -> None:
        """Wait until it has ended.

        Raises:
            FeedmuxError: what ended it, if that was not :meth:`close`.
        """
        await self._ended.wait()
        if self._error is not None:
            raise self._error

    def __await__(self) -> Generator[object, None, Self]:
        return self.__aenter__().__await__()

    async def __aenter__(self) -> Self:
        self.start()
        async with contextlib.AsyncExitStack() as undo:
            undo.push_async_callback(self.close)
            await self.wait_live()
            undo.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    # Speaking.

    async def send(self, message: object, *, costs_as: str = "") -> None:
        """Send one message, as soon as the limiter allows.

        Args:
            message: ``bytes`` go as binary, ``str`` as text, anything else as the codec writes it.
            costs_as: by which method the limiter counts it.

        Raises:
            LinkLost: the link is not live; nothing is kept for later.
            MalformedMessage: the codec cannot write it.
            Overflow: too much waits to be sent.
            RateLimited: the limiter refuses it.
        """
        await self._conversation.send_within_budget(message, costs_as)

    async def request(
        self, method: str, params: object = None, *, timeout_s: float | None = None, repeatable: bool = False
    ) -> object:
        """Ask, and wait for the answer.

        Args:
            method: what is asked for.
            params: as the platform takes them.
            timeout_s: how long to wait; by default ``request_timeout_s``.
            repeatable: it does no harm to do it twice: it waits while the link is not live, and is sent
                again if the connection ends before the answer.

        Returns:
            The result, as decoded.

        Raises:
            CallFailed: the platform answered with an error.
            RequestLost: the connection ended; it says whether the request may have been executed.
            RequestTimeout: no answer in time; the same.
            InvalidSetting: this platform answers no requests.
            Overflow: too many requests are in flight, or too much waits to be sent.
        """
        within_s = patience_s(timeout_s, self._config.request_timeout_s)
        return await self._conversation.asking.ask(method, params, timeout_s=within_s, repeatable=repeatable)

    async def subscribe(self, channels: str | Iterable[str]) -> Subscribed:
        """Want channels, now and on every later connection.

        Returns:
            What became of each: confirmed, refused, or pending while the link is not live.

        Raises:
            InvalidSetting: a channel is no text, empty, or none that could be sent.
        """
        asked = channels_of(channels)
        self._tell_wishes(SubscriptionAdd, asked)
        missing = self._conversation.wishes.want(asked)
        if not missing:
            return Subscribed(confirmed=asked)
        if not self._conversation.is_live:
            held = tuple(channel for channel in asked if channel not in missing)
            return Subscribed(confirmed=held, pending=tuple(missing))
        self._conversation.reconcile()
        return await self._conversation.wishes.fate(asked)

    async def unsubscribe(self, channels: str | Iterable[str]) -> None:
        """Want channels no longer. What is on its way may still arrive."""
        dropped = channels_of(channels)
        self._conversation.wishes.drop(dropped)
        self._tell_wishes(SubscriptionRemove, dropped)
        self._conversation.reconcile()

    def replace(self, reason: str) -> None:
        """Cut the connection and restore everything on another one."""
        self._carrier.replace(reason)

    # Reading.

    def __aiter__(self) -> AsyncIterator[object]:
        return self

    def __anext__(self) -> Awaitable[object]:
        return self._inbox.get()

    def statistics(self) -> Statistics:
        """Return counters since the start, and the present."""
        return {
            "state": self.state.value,
            "channels": len(self.channels),
            "held": len(self._conversation.wishes.held),
            "waiting": len(self._inbox),
            "dropped": self._inbox.dropped,
            "listener_errors": self._guard.errors,
            "requests": self._conversation.caller.statistics(),
            "connection": self._carrier.statistics(),
        }

    def __repr__(self) -> str:
        return f"<Link {self._carrier.endpoint} {self.state}>"

    def _tell_wishes(
        self, kind: type[SubscriptionAdd] | type[SubscriptionRemove], channels: Iterable[str]
    ) -> None:
        if self.telemetry.tell is not None:
            for channel in channels:
                self.telemetry.tell(kind(len(self.channels), channel))

    def _deliver(self, item: object) -> None:
        if self._listener is not None:
            self._guard.call(self._listener, item)
            return
        try:
            self._inbox.put(item)
        except Overflow as error:
            self._carrier.halt(error)

    def _pause_reading(self) -> None:
        self._carrier.pause_reading()

    def _resume_reading(self) -> None:
        self._carrier.resume_reading()

    async def _run_quietly(self) -> None:
        with contextlib.suppress(FeedmuxError):  # wait_live, wait_closed and the reader say it
            await self.run()


def connect(
    urls: str | Sequence[str],
    *,
    adapter: Adapter | None = None,
    config: LinkConfig = _DEFAULTS,
    listener: Listener | None = None,
    limiter: Limiter | None = None,
    policy: Policy = usual,
    ssl: SSLContext | None = None,
) -> Link:
    """Make a link.

    ``async with connect(url) as link`` or ``link = await connect(url)`` waits until it is live.

    See :class:`Link` for the arguments and the errors.
    """
    return Link(
        urls, adapter=adapter, config=config, listener=listener, limiter=limiter, policy=policy, ssl=ssl
    )
