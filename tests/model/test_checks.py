from __future__ import annotations

import math
from decimal import Decimal

import pytest

from feedmux.model.checks import (
    is_number,
    is_whole,
    require_kind,
    require_number,
    require_parts,
    require_text,
    require_whole,
)
from feedmux.model.errors import InvalidSetting

NO_NUMBERS = [
    None,
    True,
    False,
    "5",
    b"5",
    math.nan,
    math.inf,
    -math.inf,
    10**400,
    1j,
    Decimal(5),
    [5],
    object(),
]


@pytest.mark.parametrize("value", NO_NUMBERS, ids=lambda value: type(value).__name__)
def test_what_is_no_number_is_refused_and_nothing_else_is_raised(value: object) -> None:
    assert not is_number(value)
    with pytest.raises(InvalidSetting) as caught:
        require_number("x", value, "a number")
    assert (caught.value.name, caught.value.expected) == ("x", "a number")
    assert caught.value.value is value


@pytest.mark.parametrize("value", [None, True, "5", 5.0, math.nan, [5]])
def test_what_is_no_whole_number_is_refused(value: object) -> None:
    assert not is_whole(value)
    with pytest.raises(InvalidSetting, match="a count"):
        require_whole("x", value, "a count", least=0)


@pytest.mark.parametrize("value", [0, 0.5, 1e308, -3, 10**15])
def test_numbers_are_numbers(value: float) -> None:
    assert is_number(value)
    require_number("x", value, "a number")


def test_bounds_belong_to_the_range_and_above_does_not() -> None:
    require_number("x", 1, "", least=1, most=2)
    require_number("x", 2, "", above=1, most=2)
    require_whole("x", 1, "", least=1, most=1)
    require_whole("x", 10**400, "", least=0)
    for value, bounds in ((1, {"above": 1}), (0.9, {"least": 1}), (2.1, {"most": 2})):
        with pytest.raises(InvalidSetting):
            require_number("x", value, "", **bounds)
    for value in (0, 3):
        with pytest.raises(InvalidSetting):
            require_whole("x", value, "", least=1, most=2)


@pytest.mark.parametrize("value", [None, 5, b"x", ["x"]])
def test_what_is_no_text_is_named_by_its_type_only(value: object) -> None:
    with pytest.raises(InvalidSetting, match=rf"x: 'a value of type {type(value).__name__}' does not work"):
        require_text("x", value)


def test_an_empty_text_is_none() -> None:
    with pytest.raises(InvalidSetting, match="expected a text that is not empty"):
        require_text("x", "")
    require_text("x", "y")


def test_an_object_of_another_kind_is_not_shown() -> None:
    require_kind("x", 5, (int, str), "a number or a text")
    with pytest.raises(InvalidSetting, match="a value of type str") as caught:
        require_kind("credentials", "s3cret", int, "a number")
    assert "s3cret" not in f"{caught.value!s} {caught.value!r}"


def test_an_object_without_a_part_says_which() -> None:
    require_parts("x", "text", ["upper", "lower"], "a text")
    with pytest.raises(InvalidSetting, match="x: \"a value of type str, without 'ping'\" does not work"):
        require_parts("x", "text", ["upper", "ping"], "an adapter")
    with pytest.raises(InvalidSetting, match="the class str itself"):
        require_parts("x", str, ["upper"], "an object")
