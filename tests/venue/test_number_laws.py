from __future__ import annotations

import re
from decimal import Decimal

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from feedmux.venue.number import optional
from support.examples import EXAMPLES

DIGITS = st.text("0123456789", min_size=1, max_size=30)


@settings(max_examples=EXAMPLES)
@given(
    st.booleans(),
    DIGITS,
    DIGITS | st.just(""),
    st.none() | st.tuples(st.sampled_from("eE"), st.integers(-99, 99)),
)
def test_the_text_has_the_same_value_and_where_it_can_the_same_bytes(
    negative: bool, whole: str, fraction: str, exponent: tuple[str, int] | None
) -> None:
    written = f"{'-' * negative}{whole}{'.' * bool(fraction)}{fraction}"
    if exponent is not None:
        written += f"{exponent[0]}{exponent[1]:+d}"
    text = optional(msgspec.Raw(written.encode()))
    assert re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", text)
    assert Decimal(text) == Decimal(written)
    if exponent is None:
        assert text == written


@settings(max_examples=EXAMPLES)
@given(st.binary(max_size=40))
def test_anything_else_is_refused(written: bytes) -> None:
    try:
        text = optional(msgspec.Raw(written))
    except msgspec.ValidationError:
        return
    assert text == "" if written == b"null" else Decimal(text) == Decimal(written.decode())
