"""Hide secrets in messages that are written down.

Theory of operation
-------------------
Two things are hidden: texts that are known to be secret, wherever they stand, and in JSON the whole
value of every member whose name says that it is one (:data:`SECRET_NAMES`), at any depth, and also in
JSON that stands in a string of other JSON. Names are compared without case, ``_``, ``-``, ``.`` and
blanks: ``apiKey``, ``API-KEY`` and ``api_key`` are one. A request to authenticate may carry its
secrets in a list, where nothing has a name; of such a list (``args``, ``params``) every element is
hidden.

Most messages hold nothing of that kind, and a few searches in their bytes show it: those are returned
as they are. Only the others are decoded, and written anew when something in them was hidden; numbers
keep their digits.

What names a secret and cannot be read as JSON, such as half a message, is cut off behind the name:
where its value ends is not known.

Invariants: nothing is raised, whatever the bytes; a known secret never passes, as it is, as JSON
spells it, or percent-encoded.

Deliberately absent: what is compressed or encrypted cannot be seen, and passes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final
from urllib.parse import quote

import msgspec

from feedmux.model.checks import type_of
from feedmux.model.errors import InvalidSetting

MASK: Final = "***"
"""What stands in the place of a secret."""
SECRET_NAMES: Final = frozenset(
    {
        "access_token", "api_key", "api_secret", "api_sign", "auth_token", "authorization", "bearer",
        "client_id", "client_secret", "cookie", "credential", "credentials", "id_token", "jwt", "listen_key",
        "otp",
        "passphrase", "passwd", "password", "private_key", "refresh_token", "secret", "secret_key",
        "session_token", "set_cookie", "sign", "signature", "token", "x_api_key",
    }
)  # fmt: skip
"""The names of members whose values are hidden."""
SHORTEST: Final = 4
"""A known secret has at least so many characters: a shorter one would be found everywhere."""

LEARNT: Final = 8
"""A text that is not known to be a secret, but may be one, has at least so many characters."""
PLAIN_NAMES: Final = frozenset(
    {
        "action", "algo", "algorithm", "channel", "channels", "cmd", "event", "granttype", "id", "jsonrpc",
        "method", "op", "reqid", "requestid", "scope", "timestamp", "topic", "type", "version",
    }
)  # fmt: skip
"""The names of members whose values are no secrets, even in a message to authenticate."""

_OPERATIONS: Final = ("op", "method", "action", "type", "event", "cmd")
_ARGUMENTS: Final = ("args", "params", "arg")
_LOGIN: Final = re.compile(r"auth|log[io]n", re.IGNORECASE)
_LOGIN_WORDS: Final = frozenset({"auth", "login", "logon"})
_LOGIN_NAMES: Final = frozenset({"key"})
_IGNORED: Final = "_-. "
_BLANKS: Final = str.maketrans("", "", _IGNORED)
_SECRET: Final = frozenset(name.translate(_BLANKS) for name in SECRET_NAMES)
_LOWER: Final = bytes(range(256)).lower()
_DECODER: Final = msgspec.json.Decoder(float_hook=Decimal)
_ENCODER: Final = msgspec.json.Encoder(decimal_format="number")


class Mask:
    """What is secret, and how a message looks without it.

    Args:
        secrets: texts that are hidden wherever they stand; empty ones are passed over.
        names: of members whose values are hidden.

    Raises:
        InvalidSetting: a secret is shorter than :data:`SHORTEST`, or something is no text; the error shows
            none of them.
    """

    __slots__ = ("_behind", "_known", "_names", "_secrets", "_texts", "_words")

    def __init__(self, secrets: Iterable[str] = (), names: Iterable[str] = SECRET_NAMES) -> None:
        known = set(texts_of("secrets", secrets)) - {""}
        if any(len(secret) < SHORTEST for secret in known):
            raise InvalidSetting("secrets", MASK, f"texts of at least {SHORTEST} characters")
        self._known = known
        spelled = {spelling for secret in known for spelling in _spellings(secret)}
        self._secrets = sorted(spelled, key=len, reverse=True)
        self._texts = [secret.decode(errors="surrogateescape") for secret in self._secrets]
        self._names = frozenset(_plain(name) for name in texts_of("secret_names", names)) - {""}
        words = self._names | _LOGIN_WORDS
        # Whatever holds a name holds the shorter one in it, too.
        shortest = [re.escape(n) for n in sorted(words) if not any(other in n for other in words - {n})]
        self._words = re.compile("|".join(shortest).encode())
        self._behind = _behind_names(self._names)

    def knowing(self, secrets: Iterable[str]) -> Mask:
        """Return one that hides these, too."""
        return Mask(self._known.union(secrets), self._names)

    def payload(self, payload: bytes) -> bytes:
        """Return a message without its secrets; the same object when it holds none."""
        if not self._is_suspicious(payload):
            return payload
        try:
            value = _DECODER.decode(payload)
            masked = self._value(value)
            if masked is not value:
                return _ENCODER.encode(masked)
        except (msgspec.MsgspecError, UnicodeError, RecursionError, ArithmeticError):
            pass  # no JSON, or none that can be written
        return self._cut(self._without_secrets(payload))

    def text(self, text: str) -> str:
        """Return a text without its secrets; see :meth:`payload`."""
        try:
            return self.payload(text.encode()).decode()
        except UnicodeError:  # a lone surrogate, or a character that was cut
            return MASK

    def value(self, value: object) -> object:
        """Return decoded JSON without its secrets; the same object when it holds none."""
        try:
            return self._value(value)
        except RecursionError:  # nested without end
            return MASK

    def __repr__(self) -> str:
        return f"<Mask of {len(self._names)} names>"

    def _is_suspicious(self, payload: bytes) -> bool:
        """Whether anything might have to be hidden. A backslash may spell any character."""
        if b"\\" in payload or any(secret in payload for secret in self._secrets):
            return True
        return self._words.search(payload.translate(_LOWER, _IGNORED.encode())) is not None

    # Each of these returns the very object that it was given when nothing in it had to be hidden.

    def _value(self, value: Any, *, login: bool = False) -> Any:
        if isinstance(value, str):
            return self._string(value)
        if isinstance(value, dict):
            return self._object(value, login=login)
        if isinstance(value, list):
            masked = [self._value(item, login=login) for item in value]
            return value if all(one is two for one, two in zip(masked, value, strict=True)) else masked
        return value

    def _object(self, members: dict[str, Any], *, login: bool) -> dict[str, Any]:
        login = login or _is_login(members)
        masked = {
            self._string(name): self._member(name, value, login=login) for name, value in members.items()
        }
        same = masked.keys() == members.keys() and all(masked[name] is members[name] for name in members)
        return members if same else masked

    def _member(self, name: str, value: Any, *, login: bool) -> Any:
        plain = _plain(name)
        if plain in self._names or (login and plain in _LOGIN_NAMES):
            return MASK
        if login and plain in _ARGUMENTS and isinstance(value, list):
            return [
                self._value(item, login=True) if isinstance(item, dict | list) else MASK for item in value
            ]
        return self._value(value, login=login)

    def _string(self, text: str) -> str:
        if '"' not in text and not any(secret in text for secret in self._texts):
            return text  # nothing known, and no JSON with a name in it
        masked = self.text(text)
        return text if masked == text else masked

    def _without_secrets(self, payload: bytes) -> bytes:
        for secret in self._secrets:
            payload = payload.replace(secret, MASK.encode())
        return payload

    def _cut(self, payload: bytes) -> bytes:
        """Cut off what stands behind a secret's name: nothing that could be read hid its value."""
        found = self._behind.search(payload) if self._behind else None
        return payload[: found.end()] + MASK.encode() if found else payload


def secrets_in(message: object, *, everything: bool = False, shortest: int = SHORTEST) -> set[str]:
    """Find what may be secret in a message, so that it can be hidden where it is repeated.

    Args:
        message: as it is sent or came: values as of JSON, or a text or bytes, which may be JSON.
        everything: every text counts, as in a message that says who somebody is, but for those that are
            shorter than :data:`LEARNT` or stand under a name that is no secret's (:data:`PLAIN_NAMES`).
            Otherwise only those count that :class:`Mask` hides by their name, or in a list to log in.
        shortest: how many characters one has at least.
    """
    found: set[str] = set()
    shortest = LEARNT if everything else shortest
    waiting: list[tuple[object, bool, bool]] = [(_opened(message), everything, False)]
    while waiting:
        value, counts, login = waiting.pop()
        if isinstance(value, Mapping):
            login = login or _is_login(value)
            for name, member in value.items():
                waiting.append((member, _counts(str(name), member, counts, login), login))
        elif isinstance(value, list | tuple):
            waiting.extend((item, counts, login) for item in value)
        elif isinstance(value, str) and counts and len(value) >= shortest:
            found |= {value, *(word for word in value.split() if len(word) >= LEARNT)}
    return found


def _opened(message: object) -> object:
    """What a text or bytes say, if that is JSON."""
    if not isinstance(message, str | bytes):
        return message
    with suppress(msgspec.DecodeError, UnicodeError, RecursionError, ArithmeticError):
        decoded: object = _DECODER.decode(message)
        return decoded
    return message.decode(errors="replace") if isinstance(message, bytes) else message


def _counts(name: str, member: object, counts: bool, login: bool) -> bool:
    plain = _plain(name)
    if plain in _SECRET or (login and plain in _LOGIN_NAMES):
        return True
    if plain in PLAIN_NAMES:
        return False
    return counts or (login and plain in _ARGUMENTS and isinstance(member, list))


def texts_of(name: str, texts: object) -> list[str]:
    """Read what has to be texts, and not one alone: its characters would be taken for them.

    Raises:
        InvalidSetting: it is something else; the error shows none of it.
    """
    if isinstance(texts, str | bytes) or not isinstance(texts, Iterable):
        raise InvalidSetting(name, type_of(texts), "several texts, e.g. in a list")
    listed = list(texts)
    for text in listed:
        if not isinstance(text, str):
            raise InvalidSetting(name, type_of(text), "several texts, e.g. in a list")
    return listed


@lru_cache(maxsize=1024)
def _plain(name: str) -> str:
    return name.lower().translate(_BLANKS)


def _is_login(members: Mapping[str, Any]) -> bool:
    operations = (members.get(name) for name in _OPERATIONS)
    return any(isinstance(operation, str) and _LOGIN.search(operation) for operation in operations)


def _spellings(secret: str) -> Iterable[bytes]:
    """How a secret may stand in a message.

    Source: RFC 3986 §2.1 (percent-encoding), RFC 8259 §7 (JSON).
    """
    yield secret.encode(errors="surrogateescape")  # as what comes from the environment may have it
    yield quote(secret, safe="", errors="surrogateescape").encode()
    with suppress(UnicodeError):
        yield msgspec.json.encode(secret)[1:-1]


def _behind_names(names: Iterable[str]) -> re.Pattern[bytes] | None:
    """What finds a name as JSON has it before a value."""
    ignored = f"[{re.escape(_IGNORED)}]*"
    spelled = [ignored.join(re.escape(character) for character in name) for name in sorted(names)]
    if not spelled:
        return None
    return re.compile(rf'"{ignored}(?:{"|".join(spelled)}){ignored}"\s*:\s*'.encode(), re.IGNORECASE)
