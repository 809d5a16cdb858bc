from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Mapping
from typing import cast

import pytest

from feedmux import __version__
from feedmux.app.introduction import facts, introduce
from feedmux.app.settings import Settings
from feedmux.app.wiring import build
from feedmux.model.ports import Node


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("127.0.0.1", "127.0.0.1:8000"),
        ("::1", "[::1]:8000"),
        ("gateway", "gateway:8000"),
        ("0.0.0.0", f"{socket.gethostname()}:8000"),
        ("::", f"{socket.gethostname()}:8000"),
    ],
)
def test_the_address_is_one_that_others_can_use(host: str, address: str) -> None:
    assert facts(host, 8000, 3) == {"address": address, "version": __version__, "clients": 3}


class Listener:
    """A node that only keeps what it may say."""

    facts: Callable[[], Mapping[str, object]]

    def introduce(self, facts: Callable[[], Mapping[str, object]], /) -> None:
        self.facts = facts


async def test_a_node_says_where_it_is_even_when_its_port_is_closed_already() -> None:
    """It ends after its clients have gone, and is there for other nodes until then."""
    gateway, node = build(Settings(host="127.0.0.1", port=0), loop=asyncio.get_running_loop()), Listener()
    server = gateway.edge.server
    await server.start()
    introduce(cast(Node, node), "127.0.0.1", port := server.port, lambda: server.clients)
    await server.stop()
    assert node.facts() == facts("127.0.0.1", port, 0)
