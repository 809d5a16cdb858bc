"""What errors about rings say, and that they travel between processes."""

from __future__ import annotations

import pickle

import pytest

from feedmux.model.errors import NEVER, NOW, FeedmuxError, Retry
from feedmux.model.ring_errors import InvalidPosition, InvalidRing, Lapped, NoMemory, RecordTooLarge

ERRORS = [
    (
        InvalidRing("its version", 2, 1),
        "INVALID_RING",
        NEVER,
        "this memory is no ring: its version is 2; expected 1",
    ),
    (
        InvalidPosition(24, 64),
        "INVALID_POSITION",
        NEVER,
        "no reader can begin at the position 24; expected a multiple of 16 from 0 to 64",
    ),
    (
        Lapped(4096),
        "LAPPED",
        NOW,
        "the reader was too slow: 4096 bytes were overwritten before it read them",
    ),
    (
        RecordTooLarge(500, 496),
        "RECORD_TOO_LARGE",
        NEVER,
        "a record of 500 bytes does not fit; this ring takes at most 496",
    ),
    (NoMemory(4096, "no room"), "NO_MEMORY", NEVER, "4096 bytes of shared memory cannot be had: no room"),
]


@pytest.mark.parametrize(("error", "code", "retry", "text"), ERRORS)
def test_an_error_says_what_happened_and_what_to_do(
    error: FeedmuxError, code: str, retry: Retry, text: str
) -> None:
    assert (error.code, error.retry, str(error)) == (code, retry, text)


@pytest.mark.parametrize("error", [error for error, *_ in ERRORS])
def test_an_error_can_be_handed_to_another_process(error: FeedmuxError) -> None:
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), again.args, str(again)) == (type(error), error.args, str(error))
