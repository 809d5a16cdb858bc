"""A pool against a model: whatever its members do, nothing is executed twice."""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from feedmux.client.pool import Pool
from feedmux.core.pool import Vitals
from feedmux.model.errors import Refused
from feedmux.model.link_errors import AttemptsFailed, LinkLost, NoConnections, RequestLost
from support.examples import EXAMPLES

FATES = st.sampled_from(["answers", "refuses", "is down", "is lost after it", "times out", "is closed"])


class Scripted:
    """Does one thing for ever; counts what was executed by the other side."""

    def __init__(self, fate: str) -> None:
        self.fate, self.asked, self.executed = fate, 0, 0

    def vitals(self) -> Vitals | None:
        return None if self.fate == "is closed" else Vitals(0)

    async def request(self, method: str, params: object = None, /, *, timeout_s: float | None = None) -> Any:
        self.asked += 1
        if self.fate == "is down":
            raise RequestLost(method, "down", maybe_executed=False)
        self.executed += 1
        if self.fate == "refuses":
            raise Refused(method, "no")
        if self.fate == "is lost after it":
            raise LinkLost("cut")
        if self.fate == "times out":
            raise TimeoutError
        return "done"


@given(fates=st.lists(FATES, max_size=6), repeatable=st.booleans(), attempts=st.integers(1, 4))
@settings(max_examples=EXAMPLES, deadline=None)
def test_nothing_that_is_not_repeatable_is_executed_twice(
    fates: list[str], repeatable: bool, attempts: int
) -> None:
    members = [Scripted(fate) for fate in fates]
    pool = Pool({str(number): member for number, member in enumerate(members)}, attempts=attempts)
    outcome = "done"
    try:
        assert asyncio.run(pool.request("buy", repeatable=repeatable)) == "done"
    except (Refused, RequestLost, AttemptsFailed, NoConnections) as error:
        outcome = type(error).__name__
    executed, asked = sum(m.executed for m in members), sum(m.asked for m in members)
    assert all(member.asked <= 1 for member in members)
    assert asked <= attempts
    assert executed <= 1 or repeatable
    expected = {"done": executed >= 1, "Refused": executed >= 1, "RequestLost": executed == 1}
    assert expected.get(outcome, executed == 0 or repeatable), outcome
    assert (outcome == "NoConnections") == (asked == 0)
