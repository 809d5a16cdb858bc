from __future__ import annotations

import math

import pytest

from feedmux.client.settings import LinkConfig
from feedmux.core.reconnect import Backoff
from feedmux.model.errors import InvalidSetting


def test_the_defaults_are_those_that_are_documented() -> None:
    config = LinkConfig()
    assert (config.connect_timeout_s, config.request_timeout_s) == (5.0, 30.0)
    assert (config.ping_interval_s, config.ping_timeout_s) == (30.0, 10.0)
    assert config.backoff == Backoff(initial=1.0, multiplier=2.0, ceiling=30.0)
    assert (config.max_attempts, config.max_redirects, config.proxy) == (0, 0, None)


@pytest.mark.parametrize(
    "name",
    [
        "connect_timeout_s", "close_timeout_s", "retry_delay_s", "retry_multiplier", "max_backoff_s",
        "ping_interval_s", "ping_timeout_s", "request_timeout_s", "breaker_cooldown_s",
    ],
)  # fmt: skip
@pytest.mark.parametrize("value", [0, -1.0, math.nan, math.inf, "5", None, True])
def test_seconds_are_numbers_above_zero(name: str, value: object) -> None:
    with pytest.raises(InvalidSetting) as caught:
        LinkConfig(**{name: value})  # type: ignore[arg-type]
    assert caught.value.name == name


@pytest.mark.parametrize("name", ["silence_s", "channel_silence_s"])
@pytest.mark.parametrize("value", [0, -1.0, math.nan, math.inf, "5", True])
def test_silence_is_a_number_above_zero_or_none(name: str, value: object) -> None:
    with pytest.raises(InvalidSetting) as caught:
        LinkConfig(**{name: value})  # type: ignore[arg-type]
    assert caught.value.name == name
    assert LinkConfig(**{name: None}) == LinkConfig()  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["max_attempts", "max_redirects", "breaker_failures"])
@pytest.mark.parametrize("value", [-1, 1.5, "1", True, None])
def test_counts_are_whole_numbers_and_may_be_zero(name: str, value: object) -> None:
    with pytest.raises(InvalidSetting) as caught:
        LinkConfig(**{name: value})  # type: ignore[arg-type]
    assert caught.value.name == name
    LinkConfig(**{name: 0})  # type: ignore[arg-type]


def test_a_rule_that_there_is_not_is_refused() -> None:
    with pytest.raises(InvalidSetting, match="expected one of pause, drop, close"):
        LinkConfig(when_full="sometimes")  # type: ignore[arg-type]


@pytest.mark.parametrize("proxy", ["", "ftp://u:s3cret@h", "socks5://u:s3cret%C3%A9@h", 5])
def test_a_proxy_that_cannot_work_is_refused_without_its_password(proxy: object) -> None:
    with pytest.raises(InvalidSetting, match="proxy") as caught:
        LinkConfig(proxy=proxy)  # type: ignore[arg-type]
    assert "s3cret" not in str(caught.value)


def test_a_proxys_password_does_not_show() -> None:
    assert "s3cret" not in repr(LinkConfig(proxy="http://u:s3cret@h:8080"))


@pytest.mark.parametrize(
    "name", ["max_message_bytes", "max_write_buffer_bytes", "max_in_flight", "max_waiting"]
)
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
