"""Where the keys of tokens come from: a setting, a file, or a URL that is asked again and again.

Theory of operation
===================
Keys in a setting or a file are read at start, and a gateway with keys that cannot be used does not
start. Keys at a URL come from another server, which may be down when we start, or go down later: that
stops nobody. Until they have come every token is refused; afterwards a failure changes nothing. What
goes wrong is one line in the log.

==================================  ===========================================================
when                                the URL is asked
==================================  ===========================================================
at start                            at once
a token names a key that is not     at once, but not sooner than half a minute after the last
there                               time, whoever sends such tokens
there are no keys yet               after half a minute
else                                after five minutes
==================================  ===========================================================

A URL is asked in a thread, by its own name and over TLS that is verified (the environment variables of
OpenSSL name other authorities); redirects are refused, and so is what is too large or takes too long.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import logging
import socket
import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol
from urllib.parse import urlsplit

from feedmux.app.urls import is_url
from feedmux.model.access_errors import InvalidKey
from feedmux.model.errors import LocalError
from feedmux.model.link_errors import LinkError
from feedmux.model.ports import Statistics

if TYPE_CHECKING:
    from feedmux.app.settings import Settings

log = logging.getLogger("feedmux.keys")

MAX_BYTES: Final = 262_144
_OK: Final = 200


class KeysNotFetched(LinkError):
    """A URL does not give its keys. It is tried again.

    Args:
        url: where; its query is not shown.
        reason: what went wrong.
    """

    code = "KEYS_NOT_FETCHED"

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(url, reason)
        self.url, self.reason = url, reason

    def __str__(self) -> str:
        return f"{self.url.partition('?')[0]} does not give keys: {self.reason}"


class KeyText(NamedTuple):
    """Keys as somebody wrote them.

    Args:
        source: where, for errors.
        content: PEM, base64 of one, or JSON.
        is_jwks: whether it is JSON.
    """

    source: str
    content: str
    is_jwks: bool


def local_keys(settings: Settings) -> KeyText | None:
    """Read what is in a setting or in a file. Blocks on small files.

    Returns:
        None when there are no keys, or they are at a URL.

    Raises:
        InvalidKey: the file cannot be read.
    """
    if settings.jwt_public_key:
        return KeyText("JWT_PUBLIC_KEY", settings.jwt_public_key.reveal(), is_jwks=False)
    if settings.jwt_public_key_file:
        return _read("JWT_PUBLIC_KEY_FILE", settings.jwt_public_key_file, is_jwks=False)
    if settings.jwt_jwks and not is_url(settings.jwt_jwks):
        return _read("JWT_JWKS", settings.jwt_jwks, is_jwks=True)
    return None


def _read(setting: str, path: str, *, is_jwks: bool) -> KeyText:
    source = f"{setting}: {path}"
    try:
        with Path(path).open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:  # a path with a zero byte is a ValueError
        raise InvalidKey(source, getattr(error, "strerror", None) or str(error)) from None
    if len(content) > MAX_BYTES:
        raise InvalidKey(source, f"it is longer than {MAX_BYTES} bytes")
    return KeyText(source, content.decode("utf-8", "replace"), is_jwks)


class KeyFetch:
    """One question to a URL, for a thread of its own; another thread may cut it.

    Args:
        url: http or https.
        timeout_s: how long all of it may take, from the first byte to the last.
        context: what certificates are checked with; None: as the system does.
    """

    def __init__(self, url: str, timeout_s: float, context: ssl.SSLContext | None = None) -> None:
        self._url, self._timeout_s, self._context = url, timeout_s, context
        self._sock: socket.socket | None = None
        self._is_cut = False

    def run(self) -> bytes:
        """Return the body of the answer. Blocks.

        Raises:
            KeysNotFetched: there is none, or not in time, or it is something else.
        """
        timer = threading.Timer(self._timeout_s, self.cut)
        timer.daemon = True
        timer.start()
        try:
            return self._ask()
        except (OSError, http.client.HTTPException, ValueError) as error:
            late = f"it took longer than {self._timeout_s:g} s"
            said = getattr(error, "strerror", None) or str(error)
            reason = late if self._is_cut or isinstance(error, TimeoutError) else said
            raise KeysNotFetched(self._url, reason or type(error).__name__) from None
        finally:
            timer.cancel()
            if self._sock is not None:
                self._sock.close()

    def cut(self) -> None:
        """End it now; whatever waits for the peer fails at once."""
        self._is_cut = True
        if self._sock is not None:
            with contextlib.suppress(OSError):
                # The plain socket's own: that of TLS would forget its state under the reader's hands.
                socket.socket.shutdown(self._sock, socket.SHUT_RDWR)

    def _ask(self) -> bytes:
        parts = urlsplit(self._url)
        is_secure = parts.scheme == "https"
        kind = http.client.HTTPSConnection if is_secure else http.client.HTTPConnection
        connection = kind(parts.hostname or "", parts.port, timeout=self._timeout_s)
        self._sock = socket.create_connection((connection.host, connection.port), self._timeout_s)
        if self._is_cut:  # it was, while there was nothing to be cut
            raise TimeoutError
        if is_secure:
            context = self._context or ssl.create_default_context()
            secured = context.wrap_socket(
                self._sock, server_hostname=connection.host, do_handshake_on_connect=False
            )
            self._sock = secured
            secured.do_handshake()
        connection.sock = self._sock
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request("GET", target, headers={"Accept": "application/json", "Connection": "close"})
        with connection.getresponse() as response:
            return self._body(response)

    def _body(self, response: http.client.HTTPResponse) -> bytes:
        if response.status != _OK:
            what = "a redirect, which is not followed" if response.getheader("Location") else "no keys"
            raise KeysNotFetched(self._url, f"it answers {response.status}, {what}")
        content = response.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise KeysNotFetched(self._url, f"its answer is longer than {MAX_BYTES} bytes")
        if response.length:  # promised and not sent
            raise KeysNotFetched(self._url, "its answer ends too early")
        return content


class Pace(NamedTuple):
    """How often a URL is asked, and how patiently; in seconds."""

    refresh_s: float = 300.0
    at_most_every_s: float = 30.0
    timeout_s: float = 10.0


PACE: Final = Pace()


class KeyRefresh:
    """Keeps keys as fresh as a URL has them.

    Args:
        url: where they are.
        take: is given what stands there when it has changed; raises InvalidKey if it cannot be used.
        pace: how often it is asked.
        context: what certificates are checked with; None: as the system does.
    """

    def __init__(
        self,
        url: str,
        take: Callable[[bytes, str], None],
        *,
        pace: Pace = PACE,
        context: ssl.SSLContext | None = None,
    ) -> None:
        self._url, self._take, self._pace, self._context = url, take, pace, context
        self._missing = asyncio.Event()
        self._content: bytes | None = None
        self._fetched = self._failed = 0

    def key_missing(self) -> None:
        """Ask soon: a token names a key that is not there."""
        self._missing.set()

    async def run(self) -> None:
        """Ask again and again, until it is cancelled."""
        while True:
            self._missing.clear()
            await self._refresh()
            await asyncio.sleep(self._pace.at_most_every_s)
            if self._content is not None:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._pace.refresh_s - self._pace.at_most_every_s):
                        await self._missing.wait()

    def statistics(self) -> Statistics:
        """Return how often keys came, and how often not."""
        return {"fetched": self._fetched, "failed": self._failed}

    async def _refresh(self) -> None:
        """Ask once; a failure is one line in the log, and changes nothing."""
        try:
            content = await fetched(self._url, self._pace.timeout_s, self._context)
            if content != self._content:
                self._take(content, f"JWT_JWKS: {self._url.partition('?')[0]}")
                self._content = content
        except (LinkError, LocalError) as error:
            self._failed += 1
            has = "stay the old ones" if self._content is not None else "have not come yet"
            log.error("The keys of tokens %s: %s", has, error)  # noqa: TRY400 - one line says it
        else:
            self._fetched += 1


class KeyHolder(Protocol):
    """Whoever checks tokens: an :class:`feedmux.edge.auth.Authenticator`."""

    key_missing: Callable[[], None] | None

    def take_jwks(self, content: bytes, source: str) -> None:
        """Check with these from now on; raises InvalidKey."""


async def keep(settings: Settings, holder: KeyHolder | None, stop: asyncio.Event) -> None:
    """Keep the keys fresh until ``stop``; done at once where they are at no URL."""
    if holder is None or not is_url(settings.jwt_jwks):
        return
    refresh = KeyRefresh(settings.jwt_jwks, holder.take_jwks)
    holder.key_missing = refresh.key_missing
    async with asyncio.TaskGroup() as tasks:
        asking = tasks.create_task(refresh.run())
        await stop.wait()
        asking.cancel()


async def fetched(url: str, timeout_s: float, context: ssl.SSLContext | None = None) -> bytes:
    """Ask a URL once, without blocking.

    Raises:
        KeysNotFetched: see :meth:`KeyFetch.run`.
    """
    fetch = KeyFetch(url, timeout_s, context)
    try:
        return await asyncio.to_thread(fetch.run)
    finally:
        fetch.cut()  # if we were cancelled, the thread must not keep the process
