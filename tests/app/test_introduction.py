from __future__ import annotations

import socket

import pytest

from feedmux import __version__
from feedmux.app.introduction import facts


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
