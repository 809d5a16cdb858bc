"""Many processes that let clients in at once never let in too many."""

from __future__ import annotations

import mmap
import os

import pytest

from feedmux._native.tally import Tally
from feedmux.core.tally import PAGE_BYTES

pytestmark = pytest.mark.e2e

PROCESSES, ROUNDS, MOST = 4, 20_000, 10


def come_and_go(page: mmap.mmap, place: int) -> bool:
    """Let clients in and out as fast as it goes, until some came; whether none was lost count of.

    Others that are not running meanwhile may have all the room: then they are waited for.
    """
    tally, inside, came, number = Tally(page, place), 0, 0, 0
    while number < ROUNDS or not came:
        number += 1
        if tally.enter(MOST):
            inside += 1
            came += 1
        if tally.own != inside:
            return False
        if inside and (number % 3 == 0 or inside > MOST // 2):
            tally.leave()
            inside -= 1
    for _ in range(inside):
        tally.leave()
    return tally.own == 0


def test_the_bound_holds_while_everybody_comes_at_once() -> None:
    page = mmap.mmap(-1, PAGE_BYTES)
    children = []
    for place in range(PROCESSES):
        child = os.fork()
        if child == 0:
            os._exit(0 if come_and_go(page, place) else 1)
        children.append(child)
    watcher, worst, left = Tally(page, PROCESSES), 0, set(children)
    while left:
        worst = max(worst, watcher.total)
        ended, status = os.waitpid(-1, os.WNOHANG)
        if ended:
            assert status == 0, "a process lost count of its own clients"
            left.discard(ended)
    assert watcher.total == 0
    assert worst <= MOST + PROCESSES, "each may have one more for as long as it looks at the sum"
