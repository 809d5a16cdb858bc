from __future__ import annotations

import msgspec
import pytest

from feedmux.venue.number import NOTHING, optional, required


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("93612.0", "93612.0"),
        ("0.95978896", "0.95978896"),
        ("7", "7"),
        ("-0.0", "-0.0"),
        ("10.50", "10.50"),
        ("0.0028213400122472977", "0.0028213400122472977"),
        ("1.423e-4", "0.0001423"),
        ("2.2e3", "2200"),
        ("2.2E+3", "2200"),
        ("2.20e1", "22.0"),
        ("12.5e-1", "1.25"),
        ("-5e-8", "-0.00000005"),
        ("1e30", "1" + "0" * 30),
        ("0e5", "0"),
    ],
)
def test_a_number_is_its_own_digits_without_an_exponent(written: str, text: str) -> None:
    assert optional(msgspec.Raw(written.encode())) == text
    assert required(msgspec.Raw(written.encode())) == text


def test_what_is_not_known_is_an_empty_text_unless_it_must_be_there() -> None:
    assert optional(NOTHING) == optional(msgspec.Raw(b"null")) == ""
    with pytest.raises(msgspec.ValidationError, match="Expected a number, got nothing"):
        required(NOTHING)


@pytest.mark.parametrize(
    "written",
    [
        '"5"',
        "true",
        "[]",
        "{}",
        "NaN",
        "-",
        "1.",
        ".5",
        "1e",
        "1e999",
        "1e-100",
        "9" * 31,
        "0." + "1" * 31,
        "",
    ],
)
def test_what_is_no_number_is_refused(written: str) -> None:
    for read in (optional, required):
        with pytest.raises(msgspec.ValidationError, match="Expected a number, got"):
            read(msgspec.Raw(written.encode()))


def test_a_long_stranger_is_shown_in_part() -> None:
    with pytest.raises(msgspec.ValidationError) as caught:
        optional(msgspec.Raw(b'"' + b"x" * 999))
    assert len(str(caught.value)) < 80
