"""Answer what the other side asks: requests of JSON-RPC 2.0 from the server to us.

Theory of operation
===================
Only methods that somebody serves make it look at messages; a link that serves none hands all of them on.

=====================================  ======================================================
what comes                             what the server gets
=====================================  ======================================================
a request for a method that we serve   the handler's result, or its error
a request for another method           error -32601
a notification that we serve           nothing; the handler runs all the same
too many at once                       error -32000
a batch                                one array of answers, when the last is there
=====================================  ======================================================

A handler that raises :class:`CallFailed` answers with that error; anything else that it raises is
logged, and the server reads of an internal error and nothing more. Handlers that wait run in tasks
that end with the connection: nobody waits for their answer any more.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final, Protocol, TypeGuard

from feedmux.client.caller import Transmit
from feedmux.core import jsonrpc
from feedmux.core.jsonrpc import Batch, Call, Notification
from feedmux.model.errors import CallFailed, FeedmuxError, InvalidSetting, MalformedMessage
from feedmux.model.link_errors import LinkLost

_LOG: Final = logging.getLogger(__name__)
_TOO_MANY: Final = -32000


class Procedure(Protocol):
    """Answers calls of one method: the parameters as decoded, to the result or an awaitable of it."""

    def __call__(self, params: Any, /) -> object: ...


class Callee:
    """What one link serves to its server.

    Args:
        transmit: sends a message.
        replace: ends a connection on which nothing can be sent any more, for this reason.
        spawn: runs something for as long as the connection lives.
        limit: calls that may be under way at once.
    """

    def __init__(
        self,
        transmit: Transmit,
        replace: Callable[[str], None],
        spawn: Callable[[Coroutine[None, None, None]], None],
        *,
        limit: int,
    ) -> None:
        self._transmit, self._replace, self._spawn = transmit, replace, spawn
        self._limit = limit
        self._handlers: dict[str, Procedure] = {}
        self._under_way = 0

    def serve(self, method: str, handler: Procedure | None) -> None:
        """Answer this method from now on; None: no longer.

        Raises:
            InvalidSetting: the method is no name, or the handler cannot be called.
        """
        if not (isinstance(method, str) and method):
            raise InvalidSetting("method", method, "a text that is not empty")
        if handler is None:
            self._handlers.pop(method, None)
        elif callable(handler):
            self._handlers[method] = handler
        else:
            raise InvalidSetting("handler", handler, "something that can be called")

    def take(self, message: object) -> bool:
        """Take one message that came; whether it was ours to answer or to handle."""
        if not self._handlers or type(message) is not dict or "method" not in message:
            return False
        if "id" not in message and message["method"] not in self._handlers:
            return False  # most messages are notifications of data
        read = jsonrpc.read(message)
        if not self._is_ours(read):
            return False
        self._handle([read], is_batch=False)
        return True

    def take_batch(self, batch: Batch) -> bool:
        """Take the calls and notifications of an array; whether there were any for us."""
        ours = [member for member in batch.members if self._is_ours(member)]
        if ours:
            self._handle(ours, is_batch=True)
        return bool(ours)

    def _is_ours(self, message: object) -> TypeGuard[Call | Notification]:
        if isinstance(message, Call):
            return bool(self._handlers)
        return isinstance(message, Notification) and message.method in self._handlers

    def _handle(self, messages: Sequence[Call | Notification], *, is_batch: bool) -> None:
        """Begin all of it; only what waits needs a task."""
        outcomes = [self._begin(message) for message in messages]
        if any(inspect.isawaitable(outcome) for outcome in outcomes):
            self._spawn(self._finish(messages, outcomes, is_batch=is_batch))
        else:
            self._answer(outcomes, is_batch=is_batch)

    def _begin(self, message: Call | Notification) -> object:
        """The answer, None where none is wanted, or something that has to be awaited for it."""
        handler = self._handlers.get(message.method)
        if handler is None:
            return _error(message, jsonrpc.METHOD_NOT_FOUND, "Method not found")
        if self._under_way >= self._limit:
            _LOG.warning("a call of %.100r was refused: %d are under way", message.method, self._limit)
            return _error(message, _TOO_MANY, "too many calls are under way")
        try:
            result = handler(message.params)
        except Exception as error:  # noqa: BLE001 - the outermost edge of somebody's code
            return _failed(message, error)
        if inspect.isawaitable(result):
            self._under_way += 1
            return result
        return _result(message, result)

    async def _finish(
        self, messages: Sequence[Call | Notification], outcomes: list[object], *, is_batch: bool
    ) -> None:
        waiting = sum(inspect.isawaitable(outcome) for outcome in outcomes)
        try:
            for place, (message, outcome) in enumerate(zip(messages, outcomes, strict=True)):
                if inspect.isawaitable(outcome):
                    try:
                        outcomes[place] = _result(message, await outcome)
                    except Exception as error:  # noqa: BLE001 - the outermost edge of somebody's code
                        outcomes[place] = _failed(message, error)
        finally:
            self._under_way -= waiting  # all of them, also where the connection ended in the middle
            for outcome in outcomes:
                if inspect.iscoroutine(outcome):
                    outcome.close()  # nobody will ever wait for it
        self._answer(outcomes, is_batch=is_batch)

    def _answer(self, outcomes: Sequence[object], *, is_batch: bool) -> None:
        answers = [outcome for outcome in outcomes if outcome is not None]
        if not answers:
            return
        try:
            try:
                self._transmit(answers if is_batch else answers[0])
            except MalformedMessage as error:
                _LOG.error("a result cannot be sent: %s", error)
                failures = [_unsendable(answer) for answer in answers]
                self._transmit(failures if is_batch else failures[0])
        except LinkLost:
            pass  # nobody waits for the answer any more
        except FeedmuxError as error:
            self._replace(f"a call could not be answered: {error}")


def _result(message: Call | Notification, result: object) -> object:
    return jsonrpc.response(message.request_id, result) if isinstance(message, Call) else None


def _error(message: Call | Notification, code: int, text: str, data: object = None) -> object:
    return jsonrpc.error_response(message.request_id, code, text, data) if isinstance(message, Call) else None


def _failed(message: Call | Notification, error: Exception) -> object:
    if isinstance(error, CallFailed):
        return _error(message, error.number, error.message, error.data)
    _LOG.error("the handler of %.100r failed", message.method, exc_info=error)
    return _error(message, jsonrpc.INTERNAL_ERROR, "Internal error")


def _unsendable(answer: object) -> object:
    request_id = answer["id"] if isinstance(answer, dict) else None
    return jsonrpc.error_response(request_id, jsonrpc.INTERNAL_ERROR, "Internal error")
