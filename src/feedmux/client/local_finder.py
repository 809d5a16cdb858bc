"""Find the broker of this user and machine, and start one if there is none; or a gateway, and start none.

Its address is an abstract Unix socket, which the system lets one process bind; the others connect
(docs/reference/local-protocol.md). Of many programs that find nobody at once one starts a broker: the one
that can bind a second address, which it holds until somebody answers at the first. If it dies, or takes too
long, another one starts a broker too; that it is one too many does no harm, for it cannot bind and ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Final

import feedmux
from feedmux.client.peer import peer_of
from feedmux.model.checks import require_kind
from feedmux.model.errors import InvalidSetting
from feedmux.model.share_errors import ForeignBroker, ForeignGateway, NoBroker, NoGateway
from feedmux.wire.local_address import DEFAULT_NAME, NAME_VARIABLE, address, gateway_address

_BY_HAND: Final = "none came up within {:g} s; run `feedmux share --name {}` by hand to see why"
_PATIENCE_S: Final = 2.0
"""How long somebody else's broker may take to come up before one of our own is started."""
_PAUSES_S: Final = (0.005, 0.05)
_DETACHED: Final = '"$@" &'
"""The shell ends at once, so that the broker is nobody's child and no dead process waits for its parent."""


def check_name(name: object) -> str:
    """Return a broker's name; an empty one stands for that of the environment, else ``default``.

    Raises:
        InvalidSetting: it is none.
    """
    require_kind("broker", name, str, "the broker's name, a text")
    assert isinstance(name, str)
    where, chosen = ("broker", name) if name else (NAME_VARIABLE, os.environ.get(NAME_VARIABLE, ""))
    try:
        address(os.getuid(), chosen or DEFAULT_NAME)
    except InvalidSetting as error:
        raise InvalidSetting(where, chosen, error.expected) from None
    return chosen or DEFAULT_NAME


def check_gateway(name: object) -> str:
    """Return a gateway's name, its setting LOCAL_NAME.

    Raises:
        InvalidSetting: it is none.
    """
    require_kind("gateway", name, str, "the gateway's name, a text")
    assert isinstance(name, str)
    try:
        gateway_address(os.getuid(), name)
    except InvalidSetting as error:
        raise InvalidSetting("gateway", name, error.expected) from None
    return name


async def find_broker(name: str, *, within_s: float = 10.0, may_start: bool = True) -> socket.socket:
    """Connect to the broker; if there is none, start one.

    Args:
        name: of the broker.
        within_s: how long it may take, seconds.
        may_start: False only looks.

    Returns:
        A connected socket that does not block; it is the caller's.

    Raises:
        NoBroker: none was found and none came up.
        ForeignBroker: another user listens at its address.
    """
    loop = asyncio.get_running_loop()
    end, pause = loop.time() + within_s, _PAUSES_S[0]
    with socket.socket(socket.AF_UNIX) as claim:
        start_at = loop.time() if _claims(claim, name) else loop.time() + _PATIENCE_S
        while (found := _broker(name)) is None:
            if not may_start:
                raise NoBroker(name, "nobody listens there")
            if loop.time() >= end:
                raise NoBroker(name, _BY_HAND.format(within_s, name))
            if loop.time() >= start_at:
                start_broker(name)
                start_at = loop.time() + _PATIENCE_S
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, _PAUSES_S[1])
    return found


async def find_gateway(name: str) -> socket.socket:
    """Connect to the gateway that offers its topics to this user's programs.

    Args:
        name: its setting LOCAL_NAME.

    Returns:
        A connected socket that does not block; it is the caller's.

    Raises:
        NoGateway: there is none.
        ForeignGateway: another user listens at its address.
    """
    try:
        found, uid = _connected(gateway_address(os.getuid(), name))
    except ConnectionRefusedError:
        raise NoGateway(name) from None
    except OSError as error:
        raise NoGateway(name, error.strerror or str(error)) from error
    if uid != os.getuid():
        found.close()
        raise ForeignGateway(name, uid)
    return found


def start_broker(name: str) -> None:
    """Start a broker that outlives us: in a session of its own, without our terminal and directory.

    Raises:
        NoBroker: the system starts none.
    """
    command = ["/bin/sh", "-c", _DETACHED, "sh", sys.executable, "-m", "feedmux", "share", "--name", name]
    nowhere = subprocess.DEVNULL
    try:
        subprocess.run(  # noqa: S603 - our own program, and a name that was checked
            command,
            stdin=nowhere,
            stdout=nowhere,
            stderr=nowhere,
            cwd="/",
            env=_environment(),
            start_new_session=True,
            check=True,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise NoBroker(name, f"it cannot be started: {error}") from error


def _environment() -> dict[str, str]:
    """Ours, in which the broker finds the package that runs here, from whatever directory."""
    home = Path(feedmux.__file__).parents[1]
    places = [str(Path(place).absolute()) for place in os.environ.get("PYTHONPATH", "").split(":") if place]
    if home.name not in {"site-packages", "dist-packages"} and str(home) not in places:
        places.append(str(home))
    return {**os.environ, "PYTHONPATH": ":".join(places)}


def _claims(claim: socket.socket, name: str) -> bool:
    """Whether it is ours to start a broker."""
    try:
        claim.bind(f"\0feedmux-start-{os.getuid()}-{name}")
    except OSError:
        return False
    return True


def _broker(name: str) -> socket.socket | None:
    """A socket to the broker; None while there is none, or it has no time yet."""
    try:
        found, uid = _connected(address(os.getuid(), name))
    except (ConnectionError, BlockingIOError):
        return None
    except OSError as error:
        raise NoBroker(name, f"its address cannot be reached: {error}") from error
    if uid != os.getuid():
        found.close()
        raise ForeignBroker(name, uid)
    return found


def _connected(place: str) -> tuple[socket.socket, int]:
    """A socket to who is found at an address, and the number of its user.

    Raises:
        OSError: there is nobody, or it has no time.
    """
    with contextlib.ExitStack() as undo:
        sock = undo.enter_context(socket.socket(socket.AF_UNIX))
        sock.setblocking(False)
        sock.connect(place)
        uid = peer_of(sock).uid
        undo.pop_all()
    return sock, uid
