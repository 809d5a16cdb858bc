from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable
from uuid import uuid4

import pytest

from feedmux.client.peer import Peer
from feedmux.model.errors import InvalidSetting
from feedmux.model.share_errors import ForeignBroker
from feedmux.share import door
from feedmux.share.door import Door, claim
from support.share_client import place
from support.waiting import until


@pytest.fixture(name="name")
def _name() -> str:
    return f"test-{uuid4().hex[:12]}"


def test_one_is_elected_and_the_place_is_free_afterwards(name: str) -> None:
    first = claim(name)
    assert first is not None
    assert claim(name) is None
    other = claim(name + "-other")
    assert other is not None
    other.close()
    first.close()
    again = claim(name)
    assert again is not None
    again.close()


def test_a_name_that_is_none_is_refused() -> None:
    with pytest.raises(InvalidSetting, match="name"):
        claim("a/b")


def test_a_place_that_somebody_else_holds_is_no_broker_of_ours(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket(socket.AF_UNIX) as squatter:
        squatter.bind(place(name))
        assert claim(name) is None  # it does not listen yet, as a broker that has just been elected
        squatter.listen()
        assert claim(name) is None
        monkeypatch.setattr(door, "peer_of", lambda _: Peer(1, 65534))
        with pytest.raises(ForeignBroker, match="held by the user 65534"):
            claim(name)


def entering(entered: list[socket.socket]) -> Callable[[socket.socket, Peer], None]:
    def enter(sock: socket.socket, peer: Peer) -> None:
        assert peer == Peer(os.getpid(), os.getuid())
        entered.append(sock)

    return enter


def connected(name: str) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(place(name))
    return sock


async def test_only_the_same_user_comes_in(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    entered: list[socket.socket] = []
    listener = claim(name)
    assert listener is not None
    found = Door(listener, entering(entered))
    found.open()
    with connected(name):
        await until(lambda: entered)
    monkeypatch.setattr(door, "peer_of", lambda _: Peer(77, 65534))
    with connected(name) as stranger:
        await until(lambda: found.refused == 1)
        assert stranger.recv(1) == b""
    assert len(entered) == 1
    entered[0].close()
    found.close()


async def test_without_descriptors_it_waits_and_then_lets_them_in(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered: list[socket.socket] = []
    listener = claim(name)
    assert listener is not None

    class Exhausted:
        """A listener whose process has no descriptor left."""

        def __init__(self) -> None:
            self.tries = 0

        def fileno(self) -> int:
            return listener.fileno() if listener is not None else -1

        def accept(self) -> tuple[socket.socket, str]:
            self.tries += 1
            if self.tries == 1:
                raise OSError(errno.EMFILE, "too many open files")
            assert listener is not None
            found: tuple[socket.socket, str] = listener.accept()
            return found

        def close(self) -> None:
            assert listener is not None
            listener.close()

    monkeypatch.setattr(door, "_PAUSE_S", 0.01)
    exhausted = Exhausted()
    found = Door(exhausted, entering(entered))  # type: ignore[arg-type]
    found.open()
    with connected(name):
        await until(lambda: entered)
    assert exhausted.tries >= 2
    entered[0].close()
    found.close()
