"""What a link must be told about a platform, and how it lets a platform be spoken to.

A link restores itself: after every connect it authenticates, sends the platform's settings, and
subscribes to everything that is wanted. *How* is the business of an :class:`Adapter`; what the
messages look like, that of a :class:`Codec`; which answer belongs to which request, that of a
:class:`feedmux.model.ports.Correlator`. All of them are Protocols: any object with these methods will do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from feedmux.model.errors import CallFailed
from feedmux.model.ports import Correlator


class Note(msgspec.Struct, frozen=True, kw_only=True):
    """What an adapter sees in a message that came.

    Args:
        channel: which subscription it belongs to, if any.
        is_data: False keeps it from the link's user: it was the platform's own.
        is_pong: it answers :meth:`Adapter.ping`.
        renews: the channel is to be given back and subscribed to again, for its snapshot.
        notice: what the link's user is told ahead of the message, or in its place.
        answer: what the platform is to be sent at once; None: nothing.
    """

    channel: str = ""
    is_data: bool = True
    is_pong: bool = False
    renews: bool = False
    notice: object = None
    answer: object = None


class Dialogue(Protocol):
    """The connection, as an adapter may use it while it restores or changes something there."""

    async def request(self, method: str, params: object = None, /) -> object:
        """Ask, and wait for the answer.

        Raises:
            CallFailed: the platform answered with an error.
            LinkLost: the connection ended, or no answer came in time.
        """

    async def send(self, message: object, /) -> None:
        """Send a message that nobody answers.

        Raises:
            LinkLost: the connection ended.
        """


class Codec(Protocol):
    """Values to messages and back."""

    def encode(self, message: object, /) -> tuple[bytes, bool]:
        """Return the bytes, and whether they are binary (True) or UTF-8 text.

        Raises:
            MalformedMessage: it cannot be written.
        """

    def decode(self, payload: bytes, is_binary: bool, /) -> object:
        """Read one message.

        Raises:
            MalformedMessage: it cannot be read.
        """


class Adapter(Protocol):
    """One platform. It keeps credentials and tokens, but nothing of a connection."""

    @property
    def name(self) -> str:
        """The platform's name, for people."""

    @property
    def has_credentials(self) -> bool:
        """Whether it will send secrets: then only TLS, or this machine, is good enough."""

    @property
    def codec(self) -> Codec: ...

    @property
    def correlator(self) -> Correlator | None:
        """None: this platform answers nothing that could be asked."""

    async def authenticate(self, dialogue: Dialogue, /) -> float | None:
        """Say who we are; the first thing on every connection.

        Returns:
            Seconds after which it must be called again on the same connection; None: never.

        Raises:
            AuthenticationFailed: trying again does not help. The link ends.
            FeedmuxError: it did not work this time. The connection is replaced.
        """

    async def prepare(self, dialogue: Dialogue, /) -> None:
        """Send the settings of a connection, e.g. its heartbeat.

        Raises:
            FeedmuxError: it did not work. The connection is replaced.
        """

    async def subscribe(self, dialogue: Dialogue, channels: Sequence[str], /) -> Mapping[str, str]:
        """Subscribe, and check what the platform answers.

        Returns:
            The channels that it refused, and why. Every other one is subscribed to.

        Raises:
            FeedmuxError: nothing is known about any of them.
        """

    async def unsubscribe(self, dialogue: Dialogue, channels: Sequence[str], /) -> None:
        """Give channels back.

        Raises:
            FeedmuxError: it is not known whether that worked.
        """

    def inspect(self, message: object, /) -> Note | None:
        """Look at a message that came and is no answer; runs per message.

        Returns:
            None for data of no channel.
        """

    def ping(self) -> object:
        """Return the platform's own ping; None for a PING frame."""

    def penalty_s(self, error: CallFailed, /) -> float:
        """Return for how many seconds nothing more is to be sent after this error; usually 0."""
