from __future__ import annotations

import pytest

from feedmux.client.privacy import is_local


@pytest.mark.parametrize("host", ["localhost", "a.localhost", "127.0.0.1", "127.8.9.10", "::1"])
def test_this_machine_is_known(host: str) -> None:
    assert is_local(host)


@pytest.mark.parametrize(
    "host", ["localhost.example.com", "example.com", "10.0.0.1", "0.0.0.0", "", "127.0.0.1.example"]
)
def test_others_are_not_taken_for_it(host: str) -> None:
    assert not is_local(host)
