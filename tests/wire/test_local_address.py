from __future__ import annotations

import pytest

from feedmux.model.errors import InvalidSetting
from feedmux.wire.local_address import DEFAULT_NAME, address, gateway_address


def test_it_is_as_the_document_says() -> None:
    assert address(1000, DEFAULT_NAME) == "\0feedmux-share-1000-default"
    assert gateway_address(1000, DEFAULT_NAME) == "\0feedmux-gateway-1000-default"
    for place in (address, gateway_address):
        assert len(place(2**32 - 1, "x" * 64)) <= 108  # what the system takes


@pytest.mark.parametrize("name", ["", "a/b", "a b", "ü", "x" * 65, "a\0", "a\n", 5])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    for place in (address, gateway_address):
        with pytest.raises(InvalidSetting, match="name"):
            place(0, name)
