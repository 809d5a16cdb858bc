"""Follow streams of a gateway: speak its ``/ws`` protocol over a link that comes back.

A subscriber remembers what is wanted and asks for all of it on every new connection, so its
reader sees streams, not connections. It keeps no queue: a message is read when it arrives.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Iterable, Iterator
from ssl import SSLContext
from typing import Final, Protocol

import msgspec

from feedmux.client.carrier import Carrier
from feedmux.client.clock import SystemClock
from feedmux.client.messages import Message, decode
from feedmux.client.parts import channels_of
from feedmux.client.settings import LinkConfig
from feedmux.model.checks import require_kind
from feedmux.model.errors import MalformedMessage, Refused
from feedmux.model.link_errors import LinkLost
from feedmux.model.ports import Clock, Dice, Statistics

__all__ = [
    "FINAL_CODES",
    "MAX_ARGS",
    "PATIENT",
    "Message",
    "Reader",
    "Subscriber",
    "decode",
    "requests",
]

MAX_ARGS: Final = 100
"""So many streams go into one request; a gateway allows no more per client by default."""
FINAL_CODES: Final = range(4500, 5000)
"""Close codes of a gateway that do not invite a reconnect."""
PATIENT: Final = LinkConfig(
    connect_timeout_s=45.0, max_backoff_s=60.0, ping_interval_s=20.0, breaker_failures=0
)
"""Waits for a server that must wake up first: 45 s for a connection, then 1 to 60 s between attempts."""

_LOG: Final = logging.getLogger(__name__)
_PING: Final = b'{"op":"ping"}'


class Reader(Protocol):
    """Who reads. Everything is called in the event loop and may not block."""

    def connected(self) -> None:
        """Note that the connection is open and everything that is wanted was asked for."""

    def take(self, message: Message, text: bytes, /) -> None:
        """Take one message, data (it has a ``stream``) or answer (it has an ``op``); not a pong.

        Args:
            message: what it says.
            text: the JSON text as it came.
        """

    def disconnected(self, reason: str, /) -> None:
        """Note that the connection ended; once per ``connected``."""

    def retrying(self, reason: str, wait_s: float, /) -> None:
        """Note that the next attempt follows in ``wait_s`` seconds, and why there must be one."""


class Subscriber:
    """One client of a gateway; the user of its own link.

    Args:
        url: the gateway's ``/ws``.
        args: what to subscribe to, e.g. ``ticker:BTCUSDT``; repeats count once.
        reader: who reads the messages.
        config: bounds and deadlines of the link.
        clock: the machine's by default.
        dice: for the jitter of the waits; the machine's by default.
        ssl: how to check a ``wss`` gateway; by default against the system's certificates.

    Raises:
        InvalidSetting: the URL cannot work, something is of another kind, or ``ssl`` is given for ``ws``.
    """

    def __init__(
        self,
        url: str,
        args: Iterable[str],
        reader: Reader,
        *,
        config: LinkConfig = PATIENT,
        clock: Clock | None = None,
        dice: Dice | None = None,
        ssl: SSLContext | None = None,
    ) -> None:
        require_kind("config", config, LinkConfig, "a LinkConfig")
        self._wanted = dict.fromkeys(channels_of(args))
        self._reader = reader
        self._messages = self._malformed = 0
        self._refusal: Refused | None = None
        self._carrier = Carrier(
            url,
            self,
            config=config,
            clock=clock or SystemClock(),
            dice=dice or random.SystemRandom(),
            ssl=ssl,
        )

    async def run(self) -> None:
        """Follow until :meth:`close`; the owner awaits this, once. Cancellation cuts the connection.

        Raises:
            Refused: the gateway closed the connection with one of :data:`FINAL_CODES`.
        """
        await self._carrier.run()
        if self._refusal is not None:
            raise self._refusal

    def close(self) -> None:
        """End for good; :meth:`run` returns soon."""
        self._carrier.close()

    def subscribe(self, args: Iterable[str]) -> None:
        """Want ``args`` too, now and on every later connection.

        Raises:
            Overflow: too much waits to be sent.
        """
        new = dict.fromkeys(arg for arg in args if arg not in self._wanted)
        self._wanted |= new
        self._ask("subscribe", new)

    def unsubscribe(self, args: Iterable[str]) -> None:
        """Want ``args`` no longer. What is on its way may still arrive.

        Raises:
            Overflow: too much waits to be sent.
        """
        old = [arg for arg in dict.fromkeys(args) if arg in self._wanted]
        for arg in old:
            del self._wanted[arg]
        self._ask("unsubscribe", old)

    def statistics(self) -> Statistics:
        """Return counters since the start, and those of the link."""
        return {
            "wanted": len(self._wanted),
            "messages": self._messages,
            "malformed": self._malformed,
            "link": self._carrier.statistics(),
        }

    # What the link calls.

    def opened(self) -> None:
        """Ask the new connection for everything that is wanted."""
        self._ask("subscribe", self._wanted)
        self._reader.connected()

    def received(self, payload: bytes) -> None:
        """Read one message and pass it on."""
        try:
            message = decode(payload)
        except MalformedMessage as error:
            self._malformed += 1
            _LOG.debug("dropped: %s", error)
            return
        self._messages += 1
        if message.get("op") == "pong":
            self._carrier.pong()
            return
        self._carrier.prove()
        self._reader.take(message, payload)

    received_binary = received

    def lost(self, reason: str) -> None:
        """Tell the reader that the connection ended; come back, unless the gateway says not to."""
        if self._carrier.close_code in FINAL_CODES:
            self._refusal = Refused("the connection", f"{reason}; this code says not to come back")
            self._carrier.close()
        self._reader.disconnected(reason)

    def retrying(self, reason: str, wait_s: float) -> None:
        """Tell the reader when the next attempt follows."""
        self._reader.retrying(reason, wait_s)

    def ping(self) -> bytes:
        """Return the gateway's own ping."""
        return _PING

    def _ask(self, operation: str, args: Iterable[str]) -> None:
        try:
            for request in requests(operation, args):
                self._carrier.send(request)
        except LinkLost:
            _LOG.debug("%s waits for the next connection", operation)


def requests(operation: str, args: Iterable[str]) -> Iterator[bytes]:
    """Write the requests for ``args``, at most :data:`MAX_ARGS` of them in each."""
    every = list(args)
    for first in range(0, len(every), MAX_ARGS):
        yield msgspec.json.encode({"op": operation, "args": every[first : first + MAX_ARGS]})
