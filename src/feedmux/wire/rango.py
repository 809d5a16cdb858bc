"""Rango's dialect: what its clients say, and what they are told.

Answers are compact JSON with sorted keys, as Go writes a map, because that is what the clients of the
dialect have always been sent; additions of ours are keys and events that Rango does not have.

===================================================  ==================================================
a client says                                        it is told
===================================================  ==================================================
``ping``                                             ``pong``
``{"event":"subscribe","streams":[…]}``              :func:`subscribed`, with all that it has then
``{"event":"unsubscribe","streams":[…]}``            :func:`unsubscribed`, likewise
``{"event":"auth","token":"…"}`` (ours)              :func:`auth`
nothing but blanks                                   nothing
anything else                                        :func:`error`
===================================================  ==================================================

Source: openware/rango, pkg/message/parser.go, pkg/routing/client.go and hub.go (master of 2024-03-13).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from enum import StrEnum
from math import isinf
from typing import Any, Final

import msgspec

from feedmux.model.event import State
from feedmux.wire import go_json

PONG: Final = b"pong"

_decode = msgspec.json.Decoder().decode


class Code(StrEnum):
    """Codes of the errors that Rango does not have; its own are sentences alone."""

    RATE_LIMIT_EXCEEDED = "RATE_LIMIT_EXCEEDED"
    LIMIT_EXCEEDED = "LIMIT_EXCEEDED"
    INVALID_STREAM = "INVALID_STREAM"
    INVALID_TOKEN = "INVALID_TOKEN"  # noqa: S105 - not a password
    INTERNAL_ERROR = "INTERNAL_ERROR"


class Login(StrEnum):
    """What has become of a client's token."""

    OK = "ok"
    EXPIRING = "expiring"
    EXPIRED = "expired"
    REFUSED = "refused"


class Subscribe(msgspec.Struct, frozen=True):
    """A wish for streams, by their names; one that is named twice is wanted once."""

    streams: tuple[str, ...]


class Unsubscribe(msgspec.Struct, frozen=True):
    """Streams given back; what is not subscribed is passed over."""

    streams: tuple[str, ...]


class Auth(msgspec.Struct, frozen=True):
    """Who the client is, or still is. The token is a secret."""

    token: str

    def __repr__(self) -> str:
        return "Auth(token=***)"


class Ping(msgspec.Struct, frozen=True):
    """Are you there?"""


class Invalid(msgspec.Struct, frozen=True):
    """A message that is none of the above, with the error it gets.

    Args:
        text: the sentence.
        code: what programs go by; empty where Rango has only the sentence.
    """

    text: str
    code: str = ""


Request = Subscribe | Unsubscribe | Auth | Ping | Invalid

NO_STREAMS: Final = Invalid("No streams provided")
NO_EVENT: Final = Invalid("Could not parse Type: Invalid event")
NO_TOKEN: Final = Invalid('token: expected a string, as in {"event":"auth","token":"…"}', Code.INVALID_TOKEN)

_PING: Final = Ping()
_UNREADABLE: Final = "Could not parse message: "
_NO_MAP: Final = "into Go value of type map[string]interface {}"
_NO_FLOAT: Final = "into Go value of type float64"
_KINDS: Final = {
    type(None): ("null", "null"),
    bool: ("bool", "a boolean"),
    int: ("number", "a number"),
    float: ("number", "a number"),
    str: ("string", "a string"),
    list: ("array", "a list"),
    dict: ("object", "an object"),
}
"""What Go calls a value of JSON, and what a person does."""
_SPACES: Final = "".join(map(chr, range(0x2000, 0x200B)))
_BLANKS: Final = f"\t\n\v\f\r \x85\xa0\u1680{_SPACES}\u2028\u2029\u202f\u205f\u3000"
"""What Go trims (unicode.IsSpace); Python would trim four more."""
_HALVES: Final = re.compile("[\ud800-\udfff]")
_NO_BYTES: Final = re.compile("[\ud800-\udc7f\udd00-\udfff]")
"""Halves of surrogate pairs that do not stand for a byte (PEP 383)."""
_FFFD: Final = "\ufffd"


def decode(payload: bytes) -> Request | None:
    """Read one message of a client; None when it is empty and gets no answer. Never raises."""
    text = _trimmed(payload)
    if not text:
        return None
    if text == b"ping":
        return _PING
    try:
        message = _decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _unusual(text)
    return _request(message)


def query_streams(target: str) -> tuple[str, ...]:
    """Read the names of streams off the target of an opening request.

    Names are taken as they stand: nothing is percent-decoded. An empty one may be among them.

    Args:
        target: path and query, e.g. ``/public?stream=eurusd.trades,global.tickers&stream=order``; bytes
            that are not ASCII may stand there as surrogates (PEP 383).
    """
    _, _, query = target.partition("?")
    if not query.isascii():
        query = _utf8(_NO_BYTES.sub(_FFFD, query).encode(errors="surrogateescape"))
    pairs = [pair.split("=") for pair in query.split("&")]
    lists = [pair[1] for pair in pairs if len(pair) == 2 and pair[0] == "stream"]
    return tuple(name for names in lists for name in names.split(","))


def subscribed(streams: Iterable[str]) -> bytes:
    """Answer a subscribe request.

    Args:
        streams: all that the client has now: public and prefixed ones as they came, then private ones.
    """
    return _listed("subscribed", streams)


def unsubscribed(streams: Iterable[str]) -> bytes:
    """Answer an unsubscribe request; see :func:`subscribed`."""
    return _listed("unsubscribed", streams)


def cannot_subscribe(stream: str) -> bytes:
    """Tell a client that its role does not open a stream; Rango calls that a success too."""
    return b'{"success":{"message":%b}}' % go_json.string(f"cannot subscribe to {stream}")


def error(text: str, code: str = "") -> bytes:
    """Tell a client what was wrong with its message.

    Args:
        text: a sentence for people.
        code: for programs; empty: none.
    """
    return _object((("code", code), ("error", text)))


def status(stream: str, state: str, reason: str = "") -> bytes:
    """Tell how a stream is.

    Args:
        stream: its full name.
        state: a :class:`~feedmux.model.event.State`, or ``gap``.
        reason: a sentence for people; empty: none.
    """
    return b'{"system.status":%b}' % _object((("reason", reason), ("state", state), ("stream", stream)))


def refused(stream: str, reason: str) -> bytes:
    """Tell that a stream has ended, or never began, for this client."""
    return status(stream, State.REFUSED, reason)


def auth(state: Login, reason: str = "", *, code: str = "", expires_s: float | None = None) -> bytes:
    """Tell what has become of a client's token.

    Args:
        state: what.
        reason: a sentence for people; empty: none.
        code: for programs; empty: none.
        expires_s: Unix seconds from which on it is not believed any more; None or infinite: it is not told.
    """
    told = [b'"code":' + go_json.string(code)] if code else []
    if expires_s is not None and not isinf(expires_s):
        told.append(b'"expires":%d' % expires_s)
    told += [b'"reason":' + go_json.string(reason)] if reason else []
    told.append(b'"state":' + go_json.string(state))
    return b'{"system.auth":{%b}}' % b",".join(told)


def _listed(what: str, streams: Iterable[str]) -> bytes:
    names = b",".join(go_json.string(stream) for stream in streams)
    return b'{"success":{"message":"%b","streams":[%b]}}' % (what.encode(), names)


def _object(members: Sequence[tuple[str, str]]) -> bytes:
    """An object of strings; an empty one is absent."""
    told = [b'"%b":%b' % (name.encode(), go_json.string(value)) for name, value in members if value]
    return b"{%b}" % b",".join(told)


def _trimmed(payload: bytes) -> bytes:
    """One line without blanks at its ends; a line feed inside a name becomes a blank too, as in Rango."""
    text = payload.replace(b"\n", b" ").strip(b"\t\v\f\r ")
    if text and (text[0] > 0x7F or text[-1] > 0x7F):
        text = text.decode(errors="surrogateescape").strip(_BLANKS).encode(errors="surrogateescape")
    return text


def _unicode(text: str) -> str:
    """Half a surrogate pair, which has no bytes, becomes U+FFFD, as in Go."""
    return text if text.isascii() else _HALVES.sub(_FFFD, text)


def _utf8(data: bytes) -> str:
    """Each byte that is not UTF-8 becomes one U+FFFD, as in Go; Python would make one of several."""
    return _HALVES.sub(_FFFD, data.decode(errors="surrogateescape"))


def _unusual(text: bytes) -> Request:
    """Read what only Go takes for JSON, or say why it is none."""
    huge: list[str] = []

    def read_number(digits: str) -> float:
        number = float(digits)
        if isinf(number):
            huge.append(digits)
        return number

    try:
        message = json.JSONDecoder(
            parse_float=read_number, parse_int=read_number, parse_constant=_refuse_constant
        ).decode(_utf8(text))
    except RecursionError:
        return Invalid(f"{_UNREADABLE}exceeded max depth")
    except ValueError:
        return Invalid(_UNREADABLE + go_json.fault_of(text))
    if huge and isinstance(message, dict):
        return Invalid(f"{_UNREADABLE}json: cannot unmarshal number {huge[0][:64]} {_NO_FLOAT}")
    return _request(message)


def _refuse_constant(name: str) -> float:
    """Python takes NaN for JSON."""
    raise ValueError(name)


def _request(message: Any) -> Request:
    if message is None:
        return NO_EVENT
    if not isinstance(message, dict):
        kind, _ = _KINDS[type(message)]
        return Invalid(f"{_UNREADABLE}json: cannot unmarshal {kind} {_NO_MAP}")
    event = message.get("event")
    if event == "auth":
        token = message.get("token")
        return Auth(_unicode(token)) if isinstance(token, str) else NO_TOKEN
    if event not in ("subscribe", "unsubscribe"):
        return NO_EVENT
    names = _names(message["streams"]) if "streams" in message else NO_STREAMS
    if isinstance(names, Invalid):
        return names
    return Subscribe(names) if event == "subscribe" else Unsubscribe(names)


def _names(streams: object) -> tuple[str, ...] | Invalid:
    """The names in a list; what is no list counts as an empty one, except where Rango itself ends."""
    if streams is None:
        return _no_names("null")
    if not isinstance(streams, list):
        return ()
    for place, name in enumerate(streams, 1):
        if not isinstance(name, str):
            return _no_names(f"{_KINDS[type(name)][1]} in place {place}")
    return tuple(map(_unicode, streams))


def _no_names(found: str) -> Invalid:
    text = f'streams: expected a list of names like "eurusd.trades"; found {found}'
    return Invalid(text, Code.INVALID_STREAM)
