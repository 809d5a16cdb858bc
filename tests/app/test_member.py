from __future__ import annotations

import pytest

from feedmux.app.member import CannotBegin


@pytest.mark.parametrize(
    ("code", "why"),
    [
        (1, "its last line in the log says why"),
        (-9, "the system kills what takes more memory than there is, or than it may have (SHM_RING_BYTES)"),
    ],
)
def test_a_child_that_could_not_begin_says_where_to_look(code: int, why: str) -> None:
    sentence = str(CannotBegin("the feed process", code))
    assert sentence == f"the feed process ended with {code} before it was ready; {why}"
