"""Make one attempt to open a WebSocket, and say in words that help why it failed.

picows, which upgrades the connection, follows redirects to anywhere with all headers, waits as long as it
likes, and leaves its socket open when it is cancelled. So we dial ourselves, through a proxy or
not: a socket that we know can be shut down at any time; and we follow redirects ourselves, to the
same host only. Nor does it mind a server that agrees to what nobody offered.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from functools import partial
from ssl import SSLContext, SSLError
from typing import Final

from picows import (
    WSError,
    WSHandshakeError,
    WSInvalidHeaderError,
    WSInvalidStatusError,
    WSListener,
    WSParsedURL,
    WSUpgradeRequest,
    WSUpgradeResponse,
    ws_connect,
)

from feedmux.client.dial import dial
from feedmux.client.ears import Broken, Ears
from feedmux.client.endpoint import SERVER, Endpoint, reason_of, without_secrets
from feedmux.client.proxy import Proxy
from feedmux.client.settings import LinkConfig
from feedmux.model.link_errors import Cause, ConnectFailed, LinkError

REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
LONGEST_WAIT_S: Final = 3600.0
"""More is not believed when a server says how long we are to wait."""

_TURNS_TO_HANG_UP: Final = 10
_STATUS_HINTS: Final = {
    401: "; check the credentials",
    403: "; check the credentials",
    404: "; check the path of the URL",
    429: "; too many connections or attempts",
}
_AGREEMENTS: Final = {"Sec-WebSocket-Extensions": "an extension", "Sec-WebSocket-Protocol": "a subprotocol"}
_LOG: Final = logging.getLogger(__name__)


class Attempt:
    """One attempt; used once.

    Args:
        endpoint: where to.
        config: deadlines, headers, proxy and redirects.
        tls: how to check the server; for ``wss`` only.
        turn: see :func:`feedmux.client.dial.dial`.
        broken: is told when the open connection has to be closed because the server broke the protocol.
    """

    def __init__(
        self, endpoint: Endpoint, config: LinkConfig, *, tls: SSLContext | None, turn: int, broken: Broken
    ) -> None:
        self._endpoint, self._config, self._tls, self._turn = endpoint, config, tls, turn
        self._proxy = None if config.proxy is None else Proxy(config.proxy)
        self._ears = Ears(broken)
        self._socket: socket.socket | None = None
        self._scope: asyncio.Timeout | None = None

    @property
    def who(self) -> str:
        """Whom we speak to once a socket is connected, as far as we can tell."""
        return SERVER if self._proxy is None else f"{SERVER} or {self._proxy.who}"

    @property
    def is_under_way(self) -> bool:
        """Whether it can still succeed."""
        return self._scope is not None and not self._scope.expired()

    async def run(self, listener: WSListener) -> None:
        """Open the connection; the listener was told before this returns.

        Raises:
            ConnectFailed: it did not open within ``connect_timeout_s``, or was abandoned.
        """
        self._scope = asyncio.timeout(self._config.connect_timeout_s)
        try:
            async with self._scope:
                await self._follow(listener)
        except Exception as error:  # noqa: BLE001 - libraries raise what they like when a peer is rude
            failure = self._failure(error, timed_out=self._scope.expired())
        else:
            return
        finally:
            self._scope = None
        # Raised here, so that it does not carry the library's error, which has the server's words in it.
        raise failure

    def abandon(self) -> None:
        """Let it fail in the next turn."""
        if self._scope is not None and not self._scope.expired():
            self._scope.reschedule(0.0)

    async def hang_up(self) -> None:
        """Leave nothing of a failed attempt behind.

        The transport, if there is one yet, is not ours to close; it closes itself, and our
        socket, in the turns after it reads the end that the shutdown makes.
        """
        if self._socket is None:
            return
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        for _ in range(_TURNS_TO_HANG_UP):
            if self._socket.fileno() < 0:
                return
            await asyncio.sleep(0)

    async def _follow(self, listener: WSListener) -> None:
        """Upgrade here, or where this host points to on itself."""
        endpoint = self._endpoint
        for left in range(self._config.max_redirects, -1, -1):
            try:
                await self._upgrade(endpoint, listener)
            except WSInvalidStatusError as error:
                target = _target(endpoint, error) if left else None
                if target is None:
                    raise
                await self.hang_up()
                endpoint = target
            else:
                return

    async def _upgrade(self, endpoint: Endpoint, listener: WSListener) -> None:
        config = self._config
        headers = list(config.headers)
        if endpoint.authorization is not None:
            headers.append(("Authorization", endpoint.authorization))

        async def connect_socket(place: WSParsedURL) -> socket.socket:
            # picows names the proxy's place here if there is one.
            self._socket = await dial(place.host, place.port, self._turn)
            return self._socket

        # picows refuses these options without TLS. It would wait 30 s for a peer that never says goodbye,
        # and a handshake that we abandon would leave a timer of 60 s behind.
        secure = partial(
            ws_connect,
            ssl_shutdown_timeout=config.close_timeout_s,
            ssl_handshake_timeout=config.connect_timeout_s,
        )
        await (secure if endpoint.is_secure else ws_connect)(
            partial(_agree, listener),
            endpoint.url,
            ssl_context=self._tls,
            disconnect_on_exception=False,
            websocket_handshake_timeout=None,
            logger_name=self._ears,
            enable_auto_pong=False,
            max_frame_size=config.max_message_bytes,
            extra_headers=headers,
            max_redirects=0,
            proxy=None if self._proxy is None else self._proxy.url,
            socket_factory=connect_socket,
        )

    def _failure(self, error: Exception, *, timed_out: bool) -> LinkError:
        fail = partial(ConnectFailed, self._endpoint.text)
        if timed_out:
            reason = f"no answer within {self._config.connect_timeout_s:g} s while {self._doing}"
            return fail(reason, cause=Cause.TIMEOUT)
        if isinstance(error, OSError):
            who = self._fault_of(error)
            cause = _cause_of(error) if who in {SERVER, self.who} else Cause.PROXY
            return fail(reason_of(error, self._endpoint, who), cause=cause)
        if isinstance(error, WSInvalidStatusError) and error.response is not None:
            status, headers = error.response.status, error.response.headers
            reason = _status_reason(int(status), status.phrase, headers, self._endpoint)
            wait_s = wait_of(headers.get("Retry-After", ""), time.time())
            return fail(reason, cause=Cause.STATUS, status=int(status), wait_s=wait_s)
        said = self._endpoint.scrub(str(error) or type(error).__name__)
        if self._proxy is not None and not isinstance(error, WSError):
            return fail(self._proxy.refusal(said), cause=Cause.PROXY)
        if not isinstance(error, WSError):
            said = f"{type(error).__name__}: {said}"
        reason = f"the server does not speak WebSocket as it should: {said}"
        return fail(reason, cause=Cause.PROTOCOL)

    @property
    def _doing(self) -> str:
        """What takes too long."""
        if self._socket is None:
            return "connecting" if self._proxy is None else f"connecting to {self._proxy.who}"
        through = "" if self._proxy is None else f" through {self._proxy.who}"
        return f"upgrading to WebSocket{through}"

    def _fault_of(self, error: OSError) -> str:
        """Who did not let the connection come about, as far as we can tell."""
        if self._proxy is None:
            return SERVER
        if self._socket is None:
            return self._proxy.who
        if isinstance(
            error, socket.gaierror
        ):  # SOCKS4 takes addresses, so the server's name is looked up here
            return SERVER
        if isinstance(error, SSLError) and not (self._endpoint.is_secure and self._proxy.is_secure):
            return SERVER if self._endpoint.is_secure else self._proxy.who
        return self.who


def wait_of(text: str, now_s: float) -> float:
    """Read a ``Retry-After`` header; 0 when there is none, or none that can be read.

    Args:
        text: seconds, or an HTTP date.
        now_s: Unix time.

    Source: RFC 9110 §10.2.3.
    """
    if text.isascii() and text.isdigit():
        return min(float(text), LONGEST_WAIT_S)
    try:
        wait_s = parsedate_to_datetime(text).timestamp() - now_s
    except (ValueError, TypeError, OverflowError):
        return 0.0
    return min(max(wait_s, 0.0), LONGEST_WAIT_S)


def _agree(listener: WSListener, request: WSUpgradeRequest, response: WSUpgradeResponse) -> WSListener:
    """Refuse a server that takes for agreed what was not offered; extensions never are.

    Raises:
        WSInvalidHeaderError: it does.

    Source: RFC 6455 §4.1, steps 5 and 6 of the server's response.
    """
    for name, what in _AGREEMENTS.items():
        offered = _words(request, name)
        for word in _words(response, name):
            if word not in offered:
                raise WSInvalidHeaderError(
                    f"it answered with {what} that was not offered: {word}", name, word
                )
    return listener


def _words(message: WSUpgradeRequest | WSUpgradeResponse, name: str) -> list[str]:
    """Every word of a header that is a list."""
    lines = message.headers.getall(name, ())
    return [word.strip() for line in lines for word in line.split(",") if word.strip()]


def _cause_of(error: OSError) -> Cause:
    if isinstance(error, socket.gaierror):
        return Cause.NAME
    return Cause.TLS if isinstance(error, SSLError) else Cause.NETWORK


def _target(endpoint: Endpoint, error: WSHandshakeError) -> Endpoint | None:
    if error.response is None or int(error.response.status) not in REDIRECTS:
        return None
    return endpoint.sibling(error.response.headers.get("Location", ""))


def _status_reason(status: int, phrase: str, headers: Mapping[str, str], endpoint: Endpoint) -> str:
    hint = _STATUS_HINTS.get(status, "")
    if 300 <= status < 400:
        target = endpoint.scrub(without_secrets(headers.get("Location", "nowhere")))
        hint = f"; it points to {target}, and redirects are not followed"
    return f"the server answered HTTP {status} {phrase}{hint}"
