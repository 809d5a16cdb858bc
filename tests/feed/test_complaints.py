"""What comes often is counted always and said seldom."""

from __future__ import annotations

import logging

import pytest

from feedmux.feed.complaints import REST_S, Complaints
from support.clocks import StandingClock

LOG = logging.getLogger("complaints")


def test_one_of_a_kind_is_said_in_a_minute_and_then_how_many_there_were(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = StandingClock()
    complaints = Complaints(LOG, clock)
    assert [complaints.note("bad", "that was bad") for _ in range(3)] == [True, False, False]
    assert complaints.note("worse", "that was worse")
    clock.now += REST_S - 0.1
    assert not complaints.note("bad", "that was bad")
    clock.now += 0.1
    assert complaints.note("bad", "that was bad")
    assert [record.getMessage() for record in caplog.records] == [
        "that was bad",
        "that was worse",
        "that was bad (and 3 more of the kind before)",
    ]
    assert complaints.counts == {"bad": 5, "worse": 1}
