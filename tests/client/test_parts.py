from __future__ import annotations

import math
from typing import Any

import pytest

from feedmux.client.link import connect
from feedmux.client.parts import channels_of, check_wait, patience_s
from feedmux.client.plain import PlainAdapter
from feedmux.model.errors import InvalidSetting


class Halved:
    """An adapter that somebody left in the middle."""

    name, has_credentials, codec, correlator = "half", False, None, None

    async def authenticate(self, dialogue: object) -> None: ...


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("config", [None, 5, {}, {"headers": "s3cret"}]),
        ("adapter", [5, "s3cret", PlainAdapter, Halved(), object()]),
        ("listener", [5, "print", []]),
        ("limiter", [5, 10.0, object()]),
        ("policy", [None, "usual", 5]),
        ("ssl", [True, "s3cret", 5]),
        ("urls", [None, 5, []]),
        ("url", ["http://h/", [5], ["wss://h/", "s3cret:x"]]),
    ],
)
def test_what_no_link_can_be_made_of_is_refused_by_name(name: str, values: list[Any]) -> None:
    for value in values:
        with pytest.raises(InvalidSetting) as caught:
            connect(**{"urls": "wss://h/", "urls" if name == "url" else name: value})
        assert caught.value.name == name
        assert "s3cret" not in f"{caught.value!s} {caught.value!r}" or name == "url"


def test_an_adapter_says_what_it_lacks() -> None:
    with pytest.raises(InvalidSetting, match="a value of type Halved, without 'prepare'"):
        connect("wss://h/", adapter=Halved())  # type: ignore[arg-type]
    with pytest.raises(InvalidSetting, match="the class PlainAdapter itself"):
        connect("wss://h/", adapter=PlainAdapter)  # type: ignore[arg-type]


@pytest.mark.parametrize("value", ["a recorder", 5, object()])
def test_what_is_no_recorder_is_refused(value: Any) -> None:
    with pytest.raises(InvalidSetting, match=r"recorder: .* expected a Recorder, or None"):
        connect("wss://h/").record(value)


@pytest.mark.parametrize(
    ("channels", "found"),
    [("a", ("a",)), (["a", "b", "a"], ("a", "b")), ([], ()), (iter("ab"), ("a", "b")), ({"a": 1}, ("a",))],
)
def test_repeats_count_once(channels: Any, found: tuple[str, ...]) -> None:
    assert channels_of(channels) == found


@pytest.mark.parametrize(
    "channels",
    [
        None, 5, b"a", "", [""], ["a", ""], [1], [None], [b"a"], [["a"]], [{"a": 1}], "\ud800", "x" * 10_001,
        object(),
    ],
    ids=lambda value: f"{value!r:.20}",
)  # fmt: skip
def test_what_is_no_channel_is_refused(channels: Any) -> None:
    with pytest.raises(InvalidSetting, match="texts of 1 to 10000 characters") as caught:
        channels_of(channels)
    assert caught.value.name == "channels"


@pytest.mark.parametrize(
    "seconds", [0, -1, math.nan, math.inf, "5", True, [], pytest.param(10**400, id="huge")]
)
def test_patience_is_a_time(seconds: Any) -> None:
    assert patience_s(None, 30.0) == 30.0
    assert patience_s(0.5, 30.0) == 0.5
    with pytest.raises(InvalidSetting, match="timeout_s"):
        patience_s(seconds, 30.0)


@pytest.mark.parametrize("seconds", [-1, math.nan, math.inf, "5", True, []])
def test_a_wait_is_a_time_or_none(seconds: Any) -> None:
    for right in (None, 0, 0.5, 1e9):
        check_wait("within_s", right)
    with pytest.raises(InvalidSetting, match="within_s"):
        check_wait("within_s", seconds)
