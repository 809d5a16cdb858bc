from __future__ import annotations

import logging

import pytest

from feedmux.share.listening import TRACE, Listening, python_level, wire_level

LOG = logging.getLogger("feedmux.anything")


@pytest.mark.parametrize("level", range(6))
def test_levels_are_the_same_both_ways(level: int) -> None:
    assert wire_level(python_level(level)) == level


def test_other_numbers_have_a_level_too() -> None:
    assert (python_level(0), wire_level(1000), wire_level(35), wire_level(-5)) == (TRACE, 5, 3, 0)
    assert python_level(6) == python_level(255) > logging.CRITICAL


def test_lines_are_told_from_the_level_on_that_is_wanted_and_one_at_a_time() -> None:
    told: list[tuple[int, str]] = []

    def tell(level: int, line: str) -> None:
        LOG.critical("what telling says is not told")
        told.append((level, line))

    listening = Listening(tell)
    listening.begin()
    try:
        LOG.critical("nobody wants this")
        listening.want(2)
        LOG.debug("nor this")
        LOG.info("two\nlines")
    finally:
        listening.end()
    LOG.critical("nor this, which comes too late")
    [(level, line)] = told
    assert level == 2
    assert line.endswith("feedmux.anything: two | lines")
    assert logging.getLogger("feedmux").propagate
