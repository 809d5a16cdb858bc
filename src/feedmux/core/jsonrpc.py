"""JSON-RPC 2.0: build what is sent, read what comes. Values in, values out, no state.

Theory of operation
-------------------
Messages are decoded JSON (dict, list, str, int, float, bool, None); bytes are the connection's
affair. What :func:`read` makes of an object, the first line that fits:

=====================================================  =======================================
members                                                it is
=====================================================  =======================================
an ``id`` that is no text, whole number or null        None: data
an ``id``, and ``result`` or ``error``                 a :data:`Response`
``method`` (a text, not empty) and an ``id``           a :class:`Call`
``method`` and no ``id``, or a null one                a :class:`Notification`
``jsonrpc`` is "2.0", ``result`` or ``error``          a :data:`Response` to a call without id
anything else                                          None: data
=====================================================  =======================================

"``result`` or ``error``" means one of them and not both; a null one beside the other does not
count, because JSON-RPC 1.0 always sends both. A null id is a call's only where ``jsonrpc`` says
2.0: the older version marks its notifications so. ``jsonrpc`` may be missing, and members that
the specification does not know are passed over.

An array is a :class:`Batch` when at least one of its members is a message; the members that are
none stay in their places as None. The empty array, which the specification calls invalid, is None
like every array of plain data: some venues send all their data in arrays.

Laws: ``read`` never raises, whatever it is given; it reads what the functions here build as what
they built. An error that is not formed as it should be is an answer all the same, since whoever
waits for it must learn that there was one.

Deliberately absent: ids (:class:`feedmux.core.requests.Requests` gives them), time, and any
judgement of what a method or an error code means.

**Source**: JSON-RPC 2.0 Specification, 2010-03-26, revised 2013-01-04.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import NoneType
from typing import Any, Final

import msgspec

from feedmux.model.errors import InvalidMessage
from feedmux.model.rpc import Reply, RpcError

VERSION: Final = "2.0"

PARSE_ERROR: Final = -32700
INVALID_REQUEST: Final = -32600
METHOD_NOT_FOUND: Final = -32601
INVALID_PARAMS: Final = -32602
INTERNAL_ERROR: Final = -32603

Response = Reply
"""The specification's word for :class:`feedmux.model.rpc.Reply`."""

_ID_TYPES: Final = frozenset({int, str, NoneType})
"""Exact types: True is no id, although it is an int."""


class Call(msgspec.Struct, frozen=True):
    """A request that wants an answer.

    Args:
        request_id: what the answer has to name.
        method: what is asked.
        params: by name (a dict), by position (a list), or None.
    """

    request_id: int | str | None
    method: str
    params: object = None


class Notification(msgspec.Struct, frozen=True):
    """A message that wants no answer; see :class:`Call` for its members."""

    method: str
    params: object = None


Message = Reply | Call | Notification


class Batch(msgspec.Struct, frozen=True):
    """Several messages in one array.

    Args:
        members: in the order in which they came; None for what is no message.
    """

    members: tuple[Message | None, ...]

    @property
    def replies(self) -> tuple[Reply, ...]:
        """The answers among the members; a peer may send them in any order."""
        return tuple(member for member in self.members if isinstance(member, Reply))

    def missing(self, request_ids: Iterable[int | str]) -> list[int | str]:
        """Those of ``request_ids`` that no answer of this batch names, in their order.

        The peer leaves nothing out but the answers to notifications, so what is missing was
        never answered: **Source** section 6 of the specification.
        """
        answered = {reply.request_id for reply in self.replies}
        return [request_id for request_id in request_ids if request_id not in answered]


def request(request_id: int | str, method: str, params: object = None) -> dict[str, object]:
    """Build a call.

    Args:
        request_id: a number or a text; null would be a notification to older peers.
        method: a text that is not empty.
        params: a mapping or a sequence, not copied; left out when None.

    Raises:
        InvalidMessage: one of them is something else.
    """
    _check_id(request_id)
    return {"jsonrpc": VERSION, "id": request_id, **_asking(method, params)}


def notification(method: str, params: object = None) -> dict[str, object]:
    """Build a message that wants no answer; see :func:`request`.

    Raises:
        InvalidMessage: the method is no text, or the params are neither mapping nor sequence.
    """
    return {"jsonrpc": VERSION, **_asking(method, params)}


def response(request_id: int | str | None, result: object) -> dict[str, object]:
    """Build the answer to a call that went well; ``result`` may be anything, None too.

    Raises:
        InvalidMessage: the id is neither a number, nor a text, nor None.
    """
    if request_id is not None:
        _check_id(request_id)
    return {"jsonrpc": VERSION, "id": request_id, "result": result}


def error_response(
    request_id: int | str | None, code: int, message: str, data: object = None
) -> dict[str, object]:
    """Build the answer to a call that failed.

    Args:
        request_id: the call's; None when the call could not be read so far.
        code: a number, from -32768 to -32000 only as the specification gives them.
        message: one sentence.
        data: what may help, as a value; left out when None.

    Raises:
        InvalidMessage: the id, the code or the message is of another type.
    """
    if request_id is not None:
        _check_id(request_id)
    if type(code) is not int:
        raise InvalidMessage("code of an error", _kind(code), "a whole number")
    if not isinstance(message, str):
        raise InvalidMessage("message of an error", _kind(message), "a text")
    error: dict[str, object] = {"code": code, "message": message}
    if data is not None:
        error["data"] = data
    return {"jsonrpc": VERSION, "id": request_id, "error": error}


def batch(messages: Sequence[object]) -> list[object]:
    """Put messages that were built here into one array.

    Args:
        messages: at least one; calls and notifications, or answers. Calls have ids that differ.

    Raises:
        InvalidMessage: there is none, one is no message, or two calls have the same id.
    """
    if not isinstance(messages, Sequence) or isinstance(messages, str | bytes | bytearray):
        raise InvalidMessage("batch", _kind(messages), "a sequence of messages")
    if not messages:
        raise InvalidMessage("batch", "an empty array", "at least one message")
    called: set[int | str | None] = set()
    for place, message in enumerate(messages):
        member = _read_object(message) if isinstance(message, dict) else None
        if member is None:
            raise InvalidMessage(f"member {place} of a batch", _kind(message), "a message")
        if isinstance(member, Call):
            if member.request_id in called:
                raise InvalidMessage(f"member {place} of a batch", "an id twice", "ids that differ")
            called.add(member.request_id)
    return list(messages)


def read(message: object) -> Message | Batch | None:
    """Say what a message is; None: it is data, and none of JSON-RPC's. Never raises.

    Args:
        message: decoded JSON. Results, params and error data are passed on, not copied.
    """
    if isinstance(message, dict):
        return _read_object(message)
    if isinstance(message, list):
        members = tuple(_read_object(one) if isinstance(one, dict) else None for one in message)
        if any(member is not None for member in members):
            return Batch(members)
    return None


class JsonRpc:
    """JSON-RPC 2.0 as a :class:`feedmux.model.ports.Correlator`.

    Args:
        batches: False where the server refuses several messages in one.
    """

    __slots__ = ("batches",)

    def __init__(self, *, batches: bool = True) -> None:
        self.batches = batches

    def request(self, request_id: int, method: str, params: object, /) -> dict[str, object]:
        """Build the message that asks; see the function :func:`request`.

        Raises:
            InvalidMessage: see there.
        """
        return request(request_id, method, params)

    def reply(self, message: object, /) -> Reply | None:
        """What the message answers; None when it is no answer. Never raises.

        A batch is None: it holds several, which :func:`read` finds.
        """
        if isinstance(message, dict) and ("result" in message or "error" in message):
            reply = _read_object(message)  # most messages are data, and end above
            return reply if isinstance(reply, Reply) else None
        return None


def _asking(method: str, params: object) -> dict[str, object]:
    if not isinstance(method, str) or not method:
        found = "an empty text" if method == "" else _kind(method)
        raise InvalidMessage("method", found, "a text that is not empty")
    if params is None:
        return {"method": method}
    if not _is_structured(params):
        raise InvalidMessage(f"params of {method!r}", _kind(params), "a mapping or a sequence")
    return {"method": method, "params": params}


def _is_structured(value: object) -> bool:
    if isinstance(value, dict | list):  # what decoders make; the rest is slower, and only ours
        return True
    return isinstance(value, Mapping | Sequence) and not isinstance(value, str | bytes | bytearray)


def _check_id(request_id: object) -> None:
    if type(request_id) is not int and type(request_id) is not str:
        raise InvalidMessage("id", _kind(request_id), "a whole number or a text")


def _kind(value: object) -> str:
    return f"a value of type {type(value).__name__}"


def _read_object(message: dict[Any, Any]) -> Message | None:
    request_id = _whole(message.get("id"))
    if type(request_id) not in _ID_TYPES:
        return None
    named = "id" in message
    reply = _read_reply(message, request_id)
    if reply is not None and named:
        return reply
    method = message.get("method")
    if not isinstance(method, str) or not method:
        return reply if message.get("jsonrpc") == VERSION else None
    params = message.get("params")
    if params is not None and not _is_structured(params):
        return None
    if request_id is not None or (named and message.get("jsonrpc") == VERSION):
        return Call(request_id, method, params)
    return Notification(method, params)


def _read_reply(message: dict[Any, Any], request_id: int | str | None) -> Reply | None:
    error = message.get("error")
    if error is not None:
        both = message.get("result") is not None
        return None if both else Reply(request_id, error=_read_error(error))
    if "result" in message:
        return Reply(request_id, message["result"])
    return Reply(request_id, error=_read_error(None)) if "error" in message else None


def _read_error(error: object) -> RpcError:
    if not isinstance(error, dict):
        return RpcError(0, "malformed error: it is no object", error)
    code, message = _whole(error.get("code")), error.get("message")
    if type(code) is not int:
        return RpcError(0, "malformed error: its code is no whole number", error)
    if not isinstance(message, str):
        return RpcError(code, "malformed error: its message is no text", error)
    return RpcError(code, message, error.get("data"))


def _whole(value: Any) -> Any:
    """7.0 as 7: JSON has one kind of number, and some peers print it their own way."""
    return int(value) if type(value) is float and value.is_integer() else value
