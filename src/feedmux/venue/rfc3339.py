"""Read times as RFC 3339 writes them, to the nanosecond.

A fraction has up to nine digits and is never rounded. Other spellings that the RFC allows and no venue of
ours uses (a small ``t`` or ``z``, a space in the middle) are refused, like all that is no time.

Source: RFC 3339, "Date and Time on the Internet: Timestamps", §5.6 and §5.7, 2002-07; the number of days is
H. Hinnant's ``days_from_civil``, 2013.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from msgspec import ValidationError

__all__ = ["LAST_NS", "nanoseconds"]

LAST_NS: Final = 2**63 - 1
"""The last nanosecond that an envelope can carry, in 2262."""

_TIME: Final = re.compile(
    r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)", flags=re.ASCII
)
_DAYS: Final = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_NS_PER_S: Final = 1_000_000_000
_EPOCH_DAY: Final = 719_468  # from 0000-03-01 to 1970-01-01
_ERA_DAYS: Final = 146_097  # the calendar repeats after 400 years
_REMEMBERED: Final = 1024
_SHOWN: Final = 40


def nanoseconds(text: str) -> int:
    """Give the Unix nanoseconds of a time, e.g. ``2021-02-22T15:51:44.208123456Z``; cheap when repeated.

    Raises:
        msgspec.ValidationError: it is no time, or none from 1970 to 2262.
    """
    found = _TIME.fullmatch(text)
    seconds = None if found is None else _seconds(found[1], found[3])
    if found is None or seconds is None:
        raise ValidationError(f"Expected a time as of RFC 3339, got {text[:_SHOWN]!r}")
    ns = seconds * _NS_PER_S + int((found[2] or "").ljust(9, "0"))
    if not 0 < ns <= LAST_NS:
        raise ValidationError(f"Expected a time from 1970 to 2262, got {text!r}")
    return ns


@lru_cache(_REMEMBERED)
def _seconds(moment: str, offset: str) -> int | None:
    """Unix seconds; None where there is no such day or hour. A leap second is the one that follows it."""
    year, month, day = int(moment[:4]), int(moment[5:7]), int(moment[8:10])
    hour, minute, second = int(moment[11:13]), int(moment[14:16]), int(moment[17:19])
    if not (1 <= month <= 12 and 1 <= day <= _days_in(year, month) and hour < 24 and minute < 60):
        return None
    ahead = 0 if offset == "Z" else _minutes(offset)
    if second > 60 or ahead is None:
        return None
    return _day(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second - ahead * 60


def _minutes(offset: str) -> int | None:
    hours, minutes = int(offset[1:3]), int(offset[4:6])
    if hours > 23 or minutes > 59:
        return None
    return (hours * 60 + minutes) * (-1 if offset[0] == "-" else 1)


def _days_in(year: int, month: int) -> int:
    is_leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    return 29 if month == 2 and is_leap else _DAYS[month - 1]


def _day(year: int, month: int, day: int) -> int:
    """The days since 1970-01-01; years begin in March, so that a leap day is the last of its year."""
    year -= month <= 2
    era, of_era = divmod(year, 400)
    of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    return era * _ERA_DAYS + of_era * 365 + of_era // 4 - of_era // 100 + of_year - _EPOCH_DAY
