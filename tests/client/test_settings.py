from __future__ import annotations

import math

import pytest

from feedmux.client.settings import LinkConfig
from feedmux.core.reconnect import Backoff
from feedmux.model.errors import InvalidSetting


def test_the_defaults_are_what_venues_ask_for() -> None:
    config = LinkConfig()
    assert (config.ping_interval_s, config.ping_timeout_s) == (20.0, 10.0)
    assert config.backoff == Backoff(initial=1.0, multiplier=2.0, ceiling=60.0)


@pytest.mark.parametrize(
    "name",
    [
        "connect_timeout_s", "close_timeout_s", "retry_delay_s", "retry_multiplier", "max_backoff_s",
        "ping_interval_s", "ping_timeout_s",
    ],
)  # fmt: skip
@pytest.mark.parametrize("value", [0, -1.0, math.nan, math.inf, "5", None, True])
def test_seconds_are_numbers_above_zero(name: str, value: object) -> None:
    with pytest.raises(InvalidSetting) as caught:
        LinkConfig(**{name: value})  # type: ignore[arg-type]
    assert caught.value.name == name


@pytest.mark.parametrize("name", ["max_message_bytes", "max_write_buffer_bytes"])
@pytest.mark.parametrize("value", [0, -1, 1.5, "1", True])
def test_bounds_are_whole_numbers_above_zero(name: str, value: object) -> None:
    with pytest.raises(InvalidSetting) as caught:
        LinkConfig(**{name: value})  # type: ignore[arg-type]
    assert caught.value.name == name


def test_bounds_of_the_backoff_must_fit_together() -> None:
    with pytest.raises(InvalidSetting, match=r"at least retry_delay_s \(5\)"):
        LinkConfig(retry_delay_s=5.0, max_backoff_s=4.0)
    with pytest.raises(InvalidSetting, match=r"retry_multiplier: 0\.5"):
        LinkConfig(retry_multiplier=0.5)


@pytest.mark.parametrize(
    "header",
    [
        ("", "x"), ("A B", "x"), ("A:", "x"), ("Upgrade", "x"), ("sec-websocket-extensions", "x"),
        ("X-Key", "s3cret\r\nHost: evil"), ("X-Key", "s3cret\x00"), ("X-Key", "s3crét"),
    ],
)  # fmt: skip
def test_headers_that_would_break_the_request_are_refused_without_their_value(
    header: tuple[str, str],
) -> None:
    with pytest.raises(InvalidSetting) as caught:
        LinkConfig(headers=(header,))
    assert "s3cr" not in str(caught.value)


def test_header_values_do_not_show() -> None:
    config = LinkConfig(headers=(("X-Key", "s3cret"),))
    assert "s3cret" not in repr(config)
    assert "headers=(('X-Key', '***'),)" in repr(config)
    assert repr(config).startswith("LinkConfig(connect_timeout_s=5.0, ")
