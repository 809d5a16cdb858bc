from __future__ import annotations

import pytest
from msgspec import ValidationError

from feedmux.venue.rfc3339 import LAST_NS, nanoseconds

S = 1_000_000_000


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("1970-01-01T00:00:00.000000001Z", 1),
        ("1970-01-01T00:00:01Z", S),
        ("2021-02-22T15:51:45.335689322Z", 1_614_009_105_335_689_322),
        ("2021-02-22T15:51:44.208Z", 1_614_009_104_208_000_000),
        ("2021-02-22T15:51:44.000000010Z", 1_614_009_104_000_000_010),
        ("2021-02-22T10:51:44.208-05:00", 1_614_009_104_208_000_000),
        ("2021-02-22T21:21:44.208+05:30", 1_614_009_104_208_000_000),
        ("2000-02-29T00:00:00Z", 951_782_400 * S),
        ("2024-02-29T23:59:59.999999999Z", 1_709_251_199 * S + S - 1),
        ("2016-12-31T23:59:60Z", 1_483_228_800 * S),
        ("2262-04-11T23:47:16.854775807Z", LAST_NS),
    ],
)
def test_times_are_exact_to_the_nanosecond(text: str, ns: int) -> None:
    assert nanoseconds(text) == ns


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "2021-02-22",
        "2021-02-22 15:51:44Z",
        "2021-02-22t15:51:44z",
        "2021-02-22T15:51:44",
        "2021-02-22T15:51:44.Z",
        "2021-02-22T15:51:44.1234567891Z",
        "2021-02-30T00:00:00Z",
        "2100-02-29T00:00:00Z",
        "2021-13-01T00:00:00Z",
        "2021-00-01T00:00:00Z",
        "2021-01-00T00:00:00Z",
        "2021-02-22T24:00:00Z",
        "2021-02-22T23:60:00Z",
        "2021-02-22T23:59:61Z",
        "2021-02-22T15:51:44+24:00",
        "2021-02-22T15:51:44+01:60",
        "٢٠٢١-02-22T15:51:44Z",
        "2021-02-22T15:51:44Z\n",
        "0000-00-00T00:00:00Z",
    ],
)
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValidationError, match="Expected a time as of RFC 3339"):
        nanoseconds(text)


@pytest.mark.parametrize(
    "text", ["1969-12-31T23:59:59Z", "1970-01-01T00:00:00Z", "2262-04-11T23:47:16.854775808Z"]
)
def test_what_no_envelope_can_carry_is_refused(text: str) -> None:
    with pytest.raises(ValidationError, match="from 1970 to 2262"):
        nanoseconds(text)
