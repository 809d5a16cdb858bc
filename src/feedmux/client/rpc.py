"""JSON-RPC 2.0 on a link, beyond requests: notifications, batches, and methods that the server calls.

**Source**: JSON-RPC 2.0 Specification, 2010-03-26, revised 2013-01-04, sections 4.1 and 6.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from feedmux.client.callee import Procedure
from feedmux.client.conversation import Conversation
from feedmux.client.parts import patience_s
from feedmux.client.settings import LinkConfig
from feedmux.core import jsonrpc
from feedmux.core.jsonrpc import JsonRpc
from feedmux.model.checks import type_of
from feedmux.model.errors import FeedmuxError, InvalidMessage, InvalidSetting
from feedmux.model.ports import Correlator
from feedmux.model.rpc import Ask

__all__ = ["Ask", "Procedure", "Rpc"]


class Rpc:
    """The further verbs of a link whose adapter speaks JSON-RPC 2.0; see :attr:`Link.rpc`.

    Args:
        conversation: the link's.
        correlator: the adapter's.
        config: the link's.

    Raises:
        InvalidSetting: the adapter speaks another protocol.
    """

    def __init__(self, conversation: Conversation, correlator: Correlator | None, config: LinkConfig) -> None:
        if not isinstance(correlator, JsonRpc):
            found = "none" if correlator is None else type(correlator).__name__
            raise InvalidSetting("correlator of the adapter", found, "feedmux.core.jsonrpc.JsonRpc")
        self._conversation, self._protocol, self._config = conversation, correlator, config

    async def notify(self, method: str, params: object = None) -> None:
        """Tell the server something that it does not answer.

        Raises:
            InvalidMessage: the method is no text, or the params are neither mapping nor sequence.
            FeedmuxError: see :meth:`Link.send`.
        """
        message = jsonrpc.notification(method, params)
        await self._conversation.send_within_budget(message, method)

    async def batch(self, asks: Iterable[Ask], *, timeout_s: float | None = None) -> list[object]:
        """Ask several things in one message.

        Where the server refuses batches (``JsonRpc(batches=False)``, as Deribit does) each goes in
        a message of its own; the result is the same.

        Args:
            asks: at least one.
            timeout_s: how long to wait for all of it; by default ``request_timeout_s``.

        Returns:
            By its place, the result, None for a notification, or the error of :meth:`Link.request`: it is
            returned and not raised, because the others may have gone well.

        Raises:
            InvalidMessage: there is nothing to ask, or a member cannot be built; nothing was sent.
            RequestLost: the link is not live; nothing was sent.
            Overflow: too many requests are in flight, or too much waits to be sent.
        """
        members = _asks(asks)
        within_s = patience_s(timeout_s, self._config.request_timeout_s)
        asking = self._conversation.asking
        if self._protocol.batches:
            return await asking.ask_all(members, timeout_s=within_s)
        jsonrpc.batch([_message(place, ask) for place, ask in enumerate(members)])
        return list(await asyncio.gather(*(self._alone(ask, within_s) for ask in members)))

    def serve(self, method: str, handler: Procedure | None) -> None:
        """Answer a method when the server calls it, on this connection and every later one.

        As soon as one method is served, calls of others are answered with "Method not found"; before,
        they are messages like any other.

        Args:
            method: its name; notifications of this name go to the handler too, unanswered.
            handler: takes the params, returns the result or an awaitable of it. It may raise
                :class:`CallFailed`: the server gets its number, message and data. None: serve it no longer.

        Raises:
            InvalidSetting: one of them is something else.
        """
        self._conversation.callee.serve(method, handler)

    async def _alone(self, ask: Ask, timeout_s: float) -> object:
        try:
            if ask.is_notification:
                await self.notify(ask.method, ask.params)
                return None
            return await self._conversation.asking.ask(ask.method, ask.params, timeout_s=timeout_s)
        except FeedmuxError as error:
            return error


def _asks(asks: object) -> list[Ask]:
    """Read what is to be asked.

    Raises:
        InvalidMessage: it is something else.
    """
    if not isinstance(asks, Iterable):
        raise InvalidMessage("batch", type_of(asks), "a sequence of Ask")
    members = list(asks)
    for place, member in enumerate(members):
        if not isinstance(member, Ask):
            raise InvalidMessage(f"member {place} of a batch", type_of(member), "an Ask")
    return members


def _message(place: int, ask: Ask) -> object:
    if ask.is_notification:
        return jsonrpc.notification(ask.method, ask.params)
    return jsonrpc.request(place, ask.method, ask.params)
