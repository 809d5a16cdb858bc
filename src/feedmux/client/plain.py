"""Adapters for platforms that need no adapter of their own, and to begin one with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from feedmux.client.codec import JsonCodec
from feedmux.core.jsonrpc import JsonRpc
from feedmux.model.adapter import Codec, Dialogue, Note
from feedmux.model.errors import CallFailed, InvalidSetting
from feedmux.model.ports import Correlator


class PlainAdapter:
    """A server that is only sent messages and sends some: no requests, no channels, no credentials.

    An adapter may inherit from it and change what differs.
    """

    name = "the server"
    has_credentials = False
    correlator: Correlator | None = None

    def __init__(self) -> None:
        self.codec: Codec = JsonCodec()

    async def authenticate(self, dialogue: Dialogue, /) -> float | None:
        """Say nothing: nobody asks who we are."""
        del dialogue
        return None

    async def prepare(self, dialogue: Dialogue, /) -> None:
        """Set nothing."""

    async def subscribe(self, dialogue: Dialogue, channels: Sequence[str], /) -> Mapping[str, str]:
        """There is nothing to subscribe to.

        Raises:
            InvalidSetting: always.
        """
        del dialogue
        raise InvalidSetting("channels", list(channels), "an adapter that knows how to subscribe here")

    async def unsubscribe(self, dialogue: Dialogue, channels: Sequence[str], /) -> None:
        """See :meth:`subscribe`: nothing was."""

    def inspect(self, message: object, /) -> Note | None:
        """Everything is data."""
        del message
        return None

    def ping(self) -> object:
        """A PING frame."""
        return None

    def penalty_s(self, error: CallFailed, /) -> float:
        """Go on after any error."""
        del error
        return 0.0


class JsonRpcAdapter(PlainAdapter):
    """A server that speaks JSON-RPC 2.0 and sends its channels as ``subscription`` notifications.

    Args:
        subscribe: the method that subscribes; its parameter ``channels`` is a list, and so is its result:
            a channel that is missing there was refused.
        unsubscribe: its counterpart.
        batches: False where the server refuses several messages in one.
    """

    def __init__(
        self,
        subscribe: str = "public/subscribe",
        unsubscribe: str = "public/unsubscribe",
        *,
        batches: bool = True,
    ) -> None:
        super().__init__()
        self.correlator = JsonRpc(batches=batches)
        self._subscribe, self._unsubscribe = subscribe, unsubscribe

    async def subscribe(self, dialogue: Dialogue, channels: Sequence[str], /) -> Mapping[str, str]:
        """Ask for all of them in one request, and compare the answer with it."""
        answered = await dialogue.request(self._subscribe, {"channels": list(channels)})
        there = set(map(str, answered)) if isinstance(answered, list) else set(channels)
        return {
            channel: "the server left it out of its answer" for channel in channels if channel not in there
        }

    async def unsubscribe(self, dialogue: Dialogue, channels: Sequence[str], /) -> None:
        """Give them back in one request."""
        await dialogue.request(self._unsubscribe, {"channels": list(channels)})

    def inspect(self, message: object, /) -> Note | None:
        """Name the channel of a notification."""
        channel = channel_of(message)
        return Note(channel=channel) if channel else None


def channel_of(message: Any) -> str:
    """Return the channel of a ``subscription`` notification; empty when it is none."""
    if type(message) is dict and message.get("method") == "subscription":
        params = message.get("params")
        if type(params) is dict:
            return str(params.get("channel", ""))
    return ""
