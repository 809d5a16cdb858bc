"""The ``/ws`` protocol's requests and answers; their order and key order are its law.

Answers are JSON as Python's ``json.dumps`` writes it by default, because that is what the
clients of the protocol have always been sent.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from enum import StrEnum
from math import isinf
from typing import Any, Final

import msgspec

from feedmux.model.access import Identity
from feedmux.wire import options

_decode = msgspec.json.Decoder().decode


class Code(StrEnum):
    """Error codes of the protocol."""

    RATE_LIMIT_EXCEEDED = "RATE_LIMIT_EXCEEDED"
    INVALID_JSON = "INVALID_JSON"
    UNKNOWN_OP = "UNKNOWN_OP"
    INVALID_ARGS = "INVALID_ARGS"
    LIMIT_EXCEEDED = "LIMIT_EXCEEDED"
    INTERNAL_ERROR = "INTERNAL_ERROR"
    AUTH_FAILED = "AUTH_FAILED"


class Subscribe(msgspec.Struct, frozen=True):
    """A wish for streams; what is not a string is rejected one by one.

    Args:
        args: what names the streams.
        wish: the options; None when there are none, which leaves those of held streams as they are.
    """

    args: list[Any]
    wish: options.Wish | None = None


class Unsubscribe(msgspec.Struct, frozen=True):
    """Streams given back; what is not subscribed is passed over."""

    args: list[Any]


class Ping(msgspec.Struct, frozen=True):
    """Are you there?"""


class Auth(msgspec.Struct, frozen=True):
    """Who the client is, or still is. The token is a secret."""

    token: str

    def __repr__(self) -> str:
        return "Auth(token=***)"


class Invalid(msgspec.Struct, frozen=True):
    """A message that is none of the above, with the error it gets."""

    code: Code
    message: str


Request = Subscribe | Unsubscribe | Ping | Auth | Invalid

NOT_JSON: Final = Invalid(Code.INVALID_JSON, "Invalid JSON message")
NO_STREAMS: Final = Invalid(Code.INVALID_ARGS, "No streams specified")
NO_TOKEN: Final = Invalid(Code.INVALID_ARGS, 'Expected one token, as in {"op": "auth", "args": ["<token>"]}')
NOT_A_STRING: Final = "Invalid stream format: a stream is named by a string like ticker:BTCUSDT"


def decode(payload: bytes, *, takes_tokens: bool = False) -> Request:
    """Read one message of a client; never raises.

    Args:
        payload: the message.
        takes_tokens: whether there is an operation ``auth``.
    """
    try:
        message = _decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return NOT_JSON
    if not isinstance(message, dict):
        return NOT_JSON
    return _request(message, takes_tokens=takes_tokens)


def pong(time_ns: int) -> bytes:
    """Answer a ping.

    Args:
        time_ns: Unix nanoseconds; the answer carries milliseconds.
    """
    return _encode({"op": "pong", "timestamp": time_ns // 1_000_000})


def error(code: Code, message: str) -> bytes:
    """Tell a client what was wrong with its message."""
    return _encode({"op": "error", "code": code, "message": message})


def subscribed(
    accepted: Sequence[str],
    rejected: Sequence[tuple[Any, str]],
    pending: Sequence[str],
    served: Mapping[str, Any] | None = None,
    notes: Sequence[str] = (),
) -> bytes:
    """Answer a subscribe request.

    Args:
        accepted: the args that stand, as they were given.
        rejected: the others, each with its reason; a list or an object is shown as its kind.
        pending: those of ``accepted`` that the venue has not confirmed yet.
        served: the options as they are served; None when the request had none.
        notes: what the client should know about them.
    """
    message = f"Subscribed to {len(accepted)} streams"
    if rejected:
        message += f". {len(rejected)} rejected — see 'rejected' for details."
    answer: dict[str, Any] = {
        "op": "subscribe",
        "success": len(accepted) > 0,
        "args": list(accepted),
        "message": message,
        "rejected": [{"arg": _shown(arg), "reason": reason} for arg, reason in rejected] or None,
    }
    if pending:
        answer["pending"] = list(pending)
    if served is not None:
        answer["options"] = dict(served)
    if notes:
        answer["notes"] = list(notes)
    return _encode(answer)


def unsubscribed(args: Sequence[str]) -> bytes:
    """Answer an unsubscribe request.

    Args:
        args: those that were subscribed.
    """
    return _encode(
        {
            "op": "unsubscribe",
            "success": True,
            "args": list(args),
            "message": f"Unsubscribed from {len(args)} streams",
        }
    )


def authenticated(identity: Identity) -> bytes:
    """Answer a token that proves who the client is; a role, or an end, that it does not have is absent."""
    answer: dict[str, Any] = {"op": "auth", "success": True, "uid": identity.uid}
    if identity.role:
        answer["role"] = identity.role
    if not isinf(identity.expires_s):
        answer["expires"] = int(identity.expires_s * 1000)
    return _encode({**answer, "message": f"Authenticated as {identity.uid}"})


def not_authenticated(reason: str, cause: str) -> bytes:
    """Answer a token that does not.

    Args:
        reason: a sentence for people.
        cause: the code of what is wrong with the token.
    """
    return _encode({"op": "error", "code": Code.AUTH_FAILED, "message": reason, "cause": cause})


def _request(message: dict[str, Any], *, takes_tokens: bool) -> Request:
    op, args = message.get("op"), message.get("args")
    if op == "ping":
        return Ping()
    if op == "auth" and takes_tokens:
        return _auth(args)
    if op not in ("subscribe", "unsubscribe"):
        return Invalid(Code.UNKNOWN_OP, f"Unknown operation: {str(_shown(op))[:64]}")
    if not isinstance(args, list) or not args:
        return NO_STREAMS
    return Unsubscribe(args) if op == "unsubscribe" else _subscribe(args, message)


def _auth(args: object) -> Auth | Invalid:
    if not isinstance(args, list) or len(args) != 1 or not isinstance(args[0], str):
        return NO_TOKEN
    return Auth(args[0])


def _subscribe(args: list[Any], message: dict[str, Any]) -> Subscribe | Invalid:
    if "options" not in message:
        return Subscribe(args)
    try:
        return Subscribe(args, options.read(message["options"]))
    except options.InvalidOption as invalid:
        return Invalid(Code.INVALID_ARGS, str(invalid))


def _shown(value: Any) -> Any:
    """What a client is shown of a value that it sent.

    A list or an object is named by its kind: one that is nested as deeply as can be read is too
    deep to be written inside an answer.
    """
    return f"<{type(value).__name__}>" if isinstance(value, list | dict) else value


def _encode(answer: dict[str, Any]) -> bytes:
    return json.dumps(answer).encode()
