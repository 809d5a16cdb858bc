"""Know what one link may not show, and keep it out of whatever is said about it.

Theory of operation: secrets are of two kinds. *Given* are those of the configuration: of URLs, headers and
the proxy; they stay. *Learnt* are those that pass: what the adapter sends to say who we are, tokens that
come in return, what a request that failed had in it. Of those the latest are remembered, so that a
server that repeats one, in an error, in its reason to close, in an answer to nobody, does not put it into
our logs, errors, events and statistics.

What is only suspected, as any value of a query or a header, is hidden in such texts alone. Recordings
are to be read again, so that only what is *certain* to be a credential is hidden there.

Deliberately absent: messages. They belong to the link's user.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Final
from urllib.parse import unquote, urlsplit

from feedmux.client.settings import LinkConfig
from feedmux.core.hiding import LEARNT, SHORTEST, Mask, secrets_in
from feedmux.model.adapter import Dialogue

_SOUNDS_SECRET: Final = re.compile(r"auth|cookie|key|token|secret|sign|passw|protocol|session", re.IGNORECASE)
_REMEMBERED: Final = 64
_SHOWN: Final = 200
_CHAIN: Final = 20


class Secrecy:
    """What is secret.

    Args:
        given: texts; those that are too short to be hidden are passed over.
    """

    __slots__ = ("_certain", "_given", "_learnt", "_mask")

    def __init__(self, given: Iterable[str] = ()) -> None:
        self._given: set[str] = set()
        self._certain: set[str] = set()
        self._learnt: deque[str] = deque(maxlen=_REMEMBERED)
        self._mask: Mask | None = None
        self.add(given)

    @property
    def certain(self) -> frozenset[str]:
        """What is a credential beyond doubt."""
        return frozenset(self._certain.union(self._learnt))

    def add(self, given: Iterable[str], certain: Iterable[str] = ()) -> None:
        """Hide these from now on; the latter in recordings, too."""
        known = {text for text in certain if len(text) >= SHORTEST}
        self._certain |= known
        self._given |= known.union(text for text in given if len(text) >= SHORTEST)
        self._mask = None

    def learn(self, passing: Iterable[str]) -> None:
        """Hide these from now on, until enough others came."""
        fresh = dict.fromkeys(passing)
        new = [text for text in fresh if len(text) >= SHORTEST and text not in self._learnt]
        if new:
            self._learnt.extend(new)
            self._mask = None

    def text(self, text: str) -> str:
        """Return a text without what is secret."""
        return self._masked().text(text)

    def scrub(self, text: str) -> str:
        """Return a text from the other side, short, printable, and without what is secret."""
        return "".join(c if c.isprintable() else "?" for c in self.text(text)[:_SHOWN])

    def value(self, value: object) -> object:
        """Return decoded JSON without what is secret; the same object when nothing is."""
        return self._masked().value(value)

    def cleanse(self, error: BaseException) -> None:
        """Take what is secret out of an error of somebody's code, and of those that led to it."""
        for _ in range(_CHAIN):
            with suppress(Exception):  # somebody's class may mind
                error.args = tuple(map(self._clean, error.args))
            for name, value in vars(error).items():
                with suppress(Exception):
                    setattr(error, name, self._clean(value))
            following = error.__cause__ or error.__context__
            if following is None:
                return
            error = following

    def __repr__(self) -> str:
        return f"<Secrecy of {len(self._given) + len(self._learnt)} texts>"

    def _masked(self) -> Mask:
        if self._mask is None:
            self._mask = Mask(self._given.union(self._learnt))
        return self._mask

    def _clean(self, value: object) -> object:
        if isinstance(value, bytes):
            return self.text(value.decode(errors="replace")).encode() if value else value
        return self.value(value)


class Confidence:
    """A dialogue in which everything said is learnt (a :class:`feedmux.model.adapter.Dialogue`).

    Args:
        dialogue: the one that it is had in.
        learn: takes what was said, before it leaves, and the secrets of the answer.
    """

    def __init__(self, dialogue: Dialogue, learn: Callable[[set[str]], None]) -> None:
        self._dialogue, self._learn = dialogue, learn

    async def request(self, method: str, params: object = None, /) -> object:
        """Ask; see :class:`feedmux.model.adapter.Dialogue`."""
        self._learn(secrets_in(params, everything=True))
        result = await self._dialogue.request(method, params)
        self._learn(secrets_in(result))
        return result

    async def send(self, message: object, /) -> None:
        """Send; see :class:`feedmux.model.adapter.Dialogue`."""
        self._learn(secrets_in(message, everything=True))
        await self._dialogue.send(message)


def sounds_secret(name: str) -> bool:
    """Whether a header or a part of a query is named as what holds a credential."""
    return _SOUNDS_SECRET.search(name) is not None


def learn_config(secrecy: Secrecy, config: LinkConfig) -> None:
    """Hide the values of headers and their words, and the proxy's user."""
    for name, value in config.headers:
        parts = [part for part in re.split(r"[\s,;=]+", value) if len(part) >= LEARNT]
        secrecy.add([value, *value.split()], [value, *parts] if sounds_secret(name) else ())
    proxy = urlsplit(config.proxy or "")
    user = [part for part in (proxy.username, proxy.password) if part]
    secrecy.add((), [*user, *map(unquote, user)])
