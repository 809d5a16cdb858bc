from __future__ import annotations

from typing import Any

import pytest

from feedmux.model.errors import InvalidSetting
from feedmux.share.config import LEAST_RING_BYTES, MOST_RING_BYTES, ShareConfig


@pytest.mark.parametrize("ring_bytes", [LEAST_RING_BYTES, MOST_RING_BYTES])
def test_a_ring_is_a_power_of_two(ring_bytes: int) -> None:
    assert ShareConfig(ring_bytes=ring_bytes).ring_bytes == ring_bytes


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("name", "a/b"),
        ("linger_s", 0.0),
        ("linger_s", float("nan")),
        ("beat_s", -1.0),
        ("dead_s", 0.0),
        ("client_dead_s", float("inf")),
        ("ring_bytes", 3 * LEAST_RING_BYTES),
        ("ring_bytes", LEAST_RING_BYTES // 2),
        ("ring_bytes", MOST_RING_BYTES * 2),
    ],
)
def test_what_cannot_work_is_named(name: str, value: Any) -> None:
    with pytest.raises(InvalidSetting, match=name):
        ShareConfig(**{name: value})
