"""The server that is to be loaded: its address, and one client ahead of all others to see what it is.

Ten thousand clients that fail say little about why. One that asks first gets a named error.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import json
import os
import socket
from collections.abc import Sequence
from typing import Any, Self
from urllib.parse import urlsplit

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage, InvalidStatus

from feedmux.model.errors import CapacityError, InvalidSetting, PeerError, Refused
from feedmux.model.link_errors import ConnectFailed

FULL_HOUSE = 4003
"""The close code of a gateway that has as many clients as it may."""
_DEFAULT_PORT = 80
_TIMEOUT_S = 10.0


class NotAGateway(PeerError):
    """Something answers, and it does not speak the ``/ws`` protocol.

    Args:
        url: where.
        reason: what it did.
    """

    code = "NOT_A_GATEWAY"

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(url, reason)
        self.url, self.reason = url, reason

    def __str__(self) -> str:
        return f"{self.url} does not speak the /ws protocol: {self.reason}"


class FullHouse(CapacityError):
    """The server takes no more clients.

    Args:
        url: where.
        clients: how many it had taken.
    """

    code = "FULL_HOUSE"

    def __init__(self, url: str, clients: int) -> None:
        super().__init__(url, clients)
        self.url, self.clients = url, clients

    def __str__(self) -> str:
        return (
            f"{self.url} is full, it took {self.clients:,} clients and closed the next with {FULL_HOUSE}; "
            "its setting MAX_CLIENTS_TOTAL says how many it takes"
        )


class Target(msgspec.Struct, frozen=True):
    """Where the clients connect.

    Args:
        host: as the URL names it.
        address: its IPv4 address.
        port: its TCP port.
        path: with the query, if there is one.
    """

    host: str
    address: str
    port: int
    path: str

    @classmethod
    async def of(cls, url: str) -> Self:
        """Read a URL and look its host up.

        Raises:
            InvalidSetting: it is no URL that the native clients can speak to.
            ConnectFailed: the host has no IPv4 address.
        """
        parts = urlsplit(url)
        with contextlib.suppress(ValueError):
            if parts.scheme == "ws" and parts.hostname:
                port = parts.port or _DEFAULT_PORT
                path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
                return cls(parts.hostname, await _address(url, parts.hostname, port), port, path)
        raise InvalidSetting(
            "URL", url, "ws://HOST[:PORT]/PATH; the native clients speak no TLS, so measure behind it"
        )

    @property
    def url(self) -> str:
        """The URL, without a user's credentials."""
        return f"ws://{self.host}:{self.port}{self.path}"

    @property
    def is_here(self) -> bool:
        """Whether it is a loopback address."""
        return ipaddress.ip_address(self.address).is_loopback


async def _address(url: str, host: str, port: int) -> str:
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, family=socket.AF_INET)
    except OSError as error:
        raise ConnectFailed(url, f"{host} has no IPv4 address ({error.strerror or error})") from error
    return str(found[0][4][0])


async def probe(target: Target, topics: Sequence[str]) -> None:
    """Connect, subscribe and leave, as one client of a load would.

    Raises:
        ConnectFailed: nobody listens there, or nobody answers.
        NotAGateway: what answers is something else.
        FullHouse: it takes no more clients.
        Refused: a topic was rejected; says which and why.
    """
    try:
        async with asyncio.timeout(_TIMEOUT_S), connect(
            target.url, compression=None, ping_interval=None, proxy=None, max_size=None
        ) as connection:  # fmt: skip
            await connection.send(json.dumps({"op": "subscribe", "args": list(topics)}))
            _check(target, await _answer(target, connection))
    except InvalidStatus as error:
        raise NotAGateway(target.url, f"it answered HTTP {error.response.status_code}") from error
    except ConnectionClosed as error:
        raise _closed(target, error) from error
    except (InvalidHandshake, InvalidMessage) as error:
        raise NotAGateway(target.url, f"it is no WebSocket server ({error})") from error
    except TimeoutError as error:
        raise ConnectFailed(target.url, f"no answer within {_TIMEOUT_S:g} s") from error
    except OSError as error:
        raise ConnectFailed(target.url, os.strerror(error.errno) if error.errno else str(error)) from error


async def _answer(target: Target, connection: ClientConnection) -> dict[str, Any]:
    """The answer to the subscription; data may come first."""
    async for text in connection:
        try:
            message = msgspec.json.decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise NotAGateway(target.url, "it sent what is no JSON") from error
        if isinstance(message, dict) and message.get("op") in ("subscribe", "error"):
            return message
    raise NotAGateway(target.url, "it closed the connection instead of answering a subscription")


def _check(target: Target, answer: dict[str, Any]) -> None:
    if answer["op"] == "error":
        raise Refused("the subscription", f"{answer.get('message')} ({answer.get('code')})")
    rejected = answer.get("rejected")
    if isinstance(rejected, list) and rejected and isinstance(rejected[0], dict):
        more = f", and {len(rejected) - 1} more" if len(rejected) > 1 else ""
        raise Refused(f"{rejected[0].get('arg')}{more}", str(rejected[0].get("reason")))
    if not answer.get("success"):
        raise NotAGateway(target.url, "it answered a subscription without success and without a reason")


def _closed(target: Target, error: ConnectionClosed) -> CapacityError | PeerError:
    code = error.rcvd.code if error.rcvd is not None else None
    if code == FULL_HOUSE:
        return FullHouse(target.url, 0)
    said = f"with {code} {error.rcvd.reason}".rstrip() if error.rcvd is not None else "without a close frame"
    return NotAGateway(target.url, f"it closed the connection {said}")
