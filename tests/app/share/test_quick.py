from __future__ import annotations

import pytest

from feedmux.app.share.quick import OPTIONS, quick_options
from feedmux.share.config import ShareConfig


@pytest.mark.parametrize(
    ("line", "options"),
    [
        ("share", {}),
        ("share --name x", {"name": "x"}),
        ("share --linger 5 --name=x", {"linger_s": 5.0, "name": "x"}),
        ("share --ring-bytes 65536 --beat 0.1", {"ring_bytes": 65536, "beat_s": 0.1}),
        ("share --name --linger", {"name": "--linger"}),
    ],
)
def test_a_broker_to_be_started_is_recognised(line: str, options: dict[str, object]) -> None:
    assert quick_options(line.split()) == options


@pytest.mark.parametrize(
    "line",
    [
        "", "serve", "--help", "share --help", "share status", "share --name x status", "share --nmae x",
        "share --name", "share --linger soon", "share --ring-bytes 1.5", "share --name x --", "sharee",
    ],
)  # fmt: skip
def test_everything_else_is_left_to_the_command_line(line: str) -> None:
    assert quick_options(line.split()) is None


def test_its_options_are_those_of_a_broker() -> None:
    assert {name for name, _ in OPTIONS.values()} == set(ShareConfig.__struct_fields__)
