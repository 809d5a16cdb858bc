from __future__ import annotations

import pytest

from feedmux.client.endpoint import Endpoint
from feedmux.client.privacy import is_local, require_privacy
from feedmux.model.errors import InvalidSetting


@pytest.mark.parametrize("host", ["localhost", "a.localhost", "127.0.0.1", "127.8.9.10", "::1"])
def test_this_machine_is_known(host: str) -> None:
    assert is_local(host)


@pytest.mark.parametrize(
    "host", ["localhost.example.com", "example.com", "10.0.0.1", "0.0.0.0", "", "127.0.0.1.example"]
)
def test_others_are_not_taken_for_it(host: str) -> None:
    assert not is_local(host)


@pytest.mark.parametrize(
    ("url", "proxy", "is_private"),
    [
        ("ws://127.0.0.1/", None, True),
        ("ws://127.0.0.1/", "http://localhost:3128", True),
        ("ws://127.0.0.1/", "socks5://u:p@10.0.0.1", False),
        ("wss://127.0.0.1/", "socks5://10.0.0.1", True),
        ("ws://10.0.0.1/", "socks5://127.0.0.1", False),
    ],
)
def test_secrets_cross_no_network_unencrypted_not_even_to_a_proxy(
    url: str, proxy: str | None, is_private: bool
) -> None:
    if is_private:
        require_privacy([Endpoint(url)], (), proxy=proxy, holds_secrets=True)
        return
    with pytest.raises(InvalidSetting, match="expected wss://"):
        require_privacy([Endpoint(url)], (), proxy=proxy, holds_secrets=True)
