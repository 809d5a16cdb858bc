from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given, settings
from hypothesis import strategies as st

from feedmux.venue.rfc3339 import nanoseconds
from support.examples import EXAMPLES


@given(
    at_s=st.integers(1, 9_223_372_035),
    fraction=st.integers(0, 999_999_999),
    digits=st.integers(1, 9),
    minutes=st.integers(-23 * 60, 23 * 60),
)
@settings(max_examples=EXAMPLES)
def test_every_time_is_the_calendars_of_the_standard_library(
    at_s: int, fraction: int, digits: int, minutes: int
) -> None:
    there = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=at_s)).astimezone(
        timezone(timedelta(minutes=minutes))
    )
    written = f"{fraction:09}"[:digits]
    sign, ahead = "-" if minutes < 0 else "+", abs(minutes)
    text = f"{there:%Y-%m-%dT%H:%M:%S}.{written}{sign}{ahead // 60:02}:{ahead % 60:02}"
    assert nanoseconds(text) == at_s * 1_000_000_000 + int(written.ljust(9, "0"))
