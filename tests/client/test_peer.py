from __future__ import annotations

import os
import socket

import pytest

from feedmux.client.peer import Peer, peer_of


def test_the_system_says_who_is_there() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert peer_of(ours) == Peer(os.getpid(), os.getuid())


def test_a_socket_that_is_closed_has_nobody() -> None:
    ours, theirs = socket.socketpair()
    theirs.close()
    ours.close()
    with pytest.raises(OSError, match="descriptor"):
        peer_of(ours)
