from __future__ import annotations

import math

import pytest

from feedmux.client.settings import LinkConfig
from feedmux.core.reconnect import Backoff
from feedmux.model.errors import InvalidSetting

HUGE = pytest.param(10**400, id="huge")
"""A number that no float can be."""


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
def test_seconds_are_numbers_above_zero(name: str) -> None:
    values: list[object] = [0, -1.0, math.nan, math.inf, -math.inf, 10**400, "5", b"5", [], None, True]
    for value in values:
        with pytest.raises(InvalidSetting) as caught:
            LinkConfig(**{name: value})  # type: ignore[arg-type]
        assert caught.value.name == name, value


@pytest.mark.parametrize("name", ["silence_s", "channel_silence_s"])
@pytest.mark.parametrize("value", [0, -1.0, math.nan, math.inf, HUGE, "5", True])
def test_silence_is_a_number_above_zero_or_none(name: str, value: object) -> None:
    with pytest.raises(InvalidSetting) as caught:
        LinkConfig(**{name: value})  # type: ignore[arg-type]
    assert caught.value.name == name
    assert LinkConfig(**{name: None}) == LinkConfig()  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["max_attempts", "max_redirects", "breaker_failures"])
@pytest.mark.parametrize("value", [-1, 1.5, math.nan, "1", True, None])
def test_counts_are_whole_numbers_and_may_be_zero(name: str, value: object) -> None:
    with pytest.raises(InvalidSetting) as caught:
        LinkConfig(**{name: value})  # type: ignore[arg-type]
    assert caught.value.name == name
    LinkConfig(**{name: 0})  # type: ignore[arg-type]


@pytest.mark.parametrize("value", ["sometimes", "", None, 1, True, ["pause"], {"pause": 1}])
def test_a_rule_that_there_is_not_is_refused(value: object) -> None:
    with pytest.raises(InvalidSetting, match="expected one of pause, drop, close"):
        LinkConfig(when_full=value)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "proxy",
    [
        "", "ftp://u:s3cret@h", "socks5://u:s3cret%C3%A9@h",
        "http://:8080", "socks5://h:0", "http://h:99999", "http://u:s3cret@h:x", 5,
        b"http://h:80", ["http://h"], "http://u:s3cret@h:80\r\nX: y", "http://u:s3cret@h ost:80",
        "u:s3cret@h:80",
        "http://u:s3cr\u00e9t@h", "http://u:s3cret@[::1", "\x00http://h",
    ],
)  # fmt: skip
def test_what_is_no_proxy_is_refused_without_its_password(proxy: object) -> None:
    with pytest.raises(InvalidSetting, match="proxy") as caught:
        LinkConfig(proxy=proxy)  # type: ignore[arg-type]
    assert "s3cret" not in str(caught.value)


def test_a_proxys_password_does_not_show() -> None:
    assert "s3cret" not in repr(LinkConfig(proxy="http://u:s3cret@h:8080"))


@pytest.mark.parametrize(
    "name", ["max_message_bytes", "max_write_buffer_bytes", "max_in_flight", "max_waiting"]
)
@pytest.mark.parametrize("value", [0, -1, 1.5, math.inf, "1", True])
def test_bounds_are_whole_numbers_above_zero(name: str, value: object) -> None:
    with pytest.raises(InvalidSetting) as caught:
        LinkConfig(**{name: value})  # type: ignore[arg-type]
    assert caught.value.name == name


@pytest.mark.parametrize("name", ["max_message_bytes", "max_write_buffer_bytes"])
@pytest.mark.parametrize("value", [2**40 + 1, 2**63, pytest.param(10**5000, id="huge")])
def test_nobody_has_so_many_bytes(name: str, value: int) -> None:
    with pytest.raises(InvalidSetting, match=f"{name}: .* expected .* at most a tebibyte"):
        LinkConfig(**{name: value})  # type: ignore[arg-type]
    LinkConfig(**{name: 2**40})  # type: ignore[arg-type]


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


@pytest.mark.parametrize(
    "headers",
    [
        None, 5, "X-Key: s3cret", b"s3cret", {"X-Key": "s3cret"}, ("X-Key", "s3cret"), ["X-Key: s3cret"],
        (("X-Key",),), (("X-Key", "s3cret", "s3cret"),), (("X-Key", b"s3cret"),), ((b"X-Key", "s3cret"),),
        (("X-Key", None),), ((5, "s3cret"),), [None], [{"X-Key": "s3cret"}],
    ],
)  # fmt: skip
def test_headers_that_are_no_pairs_of_texts_are_refused_and_not_shown(headers: object) -> None:
    with pytest.raises(InvalidSetting, match=r"headers: .* expected a sequence of pairs of texts") as caught:
        LinkConfig(headers=headers)  # type: ignore[arg-type]
    assert "s3cret" not in f"{caught.value!s} {caught.value!r}"


def test_a_pair_that_is_the_wrong_way_round_does_not_show() -> None:
    with pytest.raises(InvalidSetting, match="expected a header name of letters") as caught:
        LinkConfig(headers=(("Bearer s3cret", "Authorization"),))
    assert "s3cret" not in f"{caught.value!s} {caught.value!r}"


def test_header_values_do_not_show() -> None:
    config = LinkConfig(headers=(("X-Key", "s3cret"),))
    assert "s3cret" not in repr(config)
    assert "headers=(('X-Key', '***'),)" in repr(config)
    assert repr(config).startswith("LinkConfig(connect_timeout_s=5.0, ")
