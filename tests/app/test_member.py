from __future__ import annotations

import sys

import pytest

from feedmux.app.member import CannotBegin, Member, NoProcess
from feedmux.app.messages import FromEdge
from support.loops import on_both_loops
from support.peers import open_descriptors


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


@on_both_loops
async def test_a_process_that_cannot_be_started_is_named_and_nothing_is_left_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    told: list[Member] = []
    member = Member("worker 1", FromEdge, told.append, lambda *_: None, told.append)
    before = open_descriptors()
    with pytest.raises(NoProcess, match=r"^no process can be started for worker 1: \[Errno 2\]"):
        await member.keep()
    assert open_descriptors() == before
    assert not told
