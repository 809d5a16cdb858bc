from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from feedmux.core.requests import Fate, Lost, Requests
from feedmux.model.errors import Overflow
from support.examples import EXAMPLES
from support.jsons import STRANGE_VALUES

TIMEOUTS = st.sampled_from([0.5, 1.0, 1.0, 2.0, 8.0])


@given(echo=STRANGE_VALUES, begun=st.integers(0, 8))
@settings(max_examples=EXAMPLES, deadline=None)
def test_whatever_a_peer_sends_as_an_id_it_is_settled_and_nothing_is_raised(echo: Any, begun: int) -> None:
    requests = Requests(limit=8)
    ids = [requests.begin(0.0, 1.0) for _ in range(begun)]
    settled = requests.settle(echo)
    same = [own for own in ids if not isinstance(echo, bool) and (echo in (own, str(own)))]
    assert settled.request_id == (same[0] if same else None)
    assert (settled.fate is Fate.CLAIMED) == bool(same)


class Asked:
    """What a request is known to be, from outside."""

    def __init__(self, deadline: float, repeatable: bool) -> None:
        self.deadline = deadline
        self.repeatable = repeatable
        self.sent = False
        self.waits = False
        """For the next connection."""
        self.ends: list[str] = []


class RequestsModel(RuleBasedStateMachine):
    """Against a list of all that was ever asked: each is ended once, and every answer is judged right."""

    @initialize(limit=st.integers(1, 5), memory=st.sampled_from([0, 1, 3, 1000]))
    def begin_anew(self, limit: int, memory: int) -> None:
        self.requests = Requests(limit, memory)
        self.limit, self.memory = limit, memory
        self.now = 0.0
        self.asked: list[Asked] = []
        self.unanswered: list[int] = []  # in the order of their ends
        self.told_late: set[int] = set()
        self.fates = dict.fromkeys(Fate, 0)

    def recent(self, back: int) -> int:
        """One of the latest ids; 0 back was not given yet, and beyond the first there are none."""
        return len(self.asked) + 1 - back

    def live(self) -> list[int]:
        return [own for own, asked in enumerate(self.asked, 1) if not asked.ends]

    def ended(self, lost: Lost, how: str) -> None:
        asked = self.asked[lost.request_id - 1]
        assert not asked.ends, "a request ends once"
        assert lost.what == f"number {lost.request_id}"
        assert lost.maybe_executed == asked.sent
        asked.ends.append(how)
        self.unanswered.append(lost.request_id)

    @rule(timeout_s=TIMEOUTS, repeatable=st.booleans(), sent=st.booleans())
    def ask(self, timeout_s: float, repeatable: bool, sent: bool) -> None:
        what = f"number {len(self.asked) + 1}"
        if len(self.live()) == self.limit:
            with pytest.raises(Overflow):
                self.requests.begin(self.now, timeout_s, repeatable=repeatable, what=what)
            return
        request_id = self.requests.begin(self.now, timeout_s, repeatable=repeatable, what=what)
        self.asked.append(Asked(self.now + timeout_s, repeatable))
        assert request_id == len(self.asked)
        if sent:
            self.send_it(request_id)

    @rule(back=st.integers(0, 8))
    def send(self, back: int) -> None:
        self.send_it(self.recent(back))

    def send_it(self, request_id: int) -> None:
        self.requests.sent(request_id)
        if request_id in self.live():
            self.asked[request_id - 1].sent = True

    @rule(back=st.integers(0, 8), form=st.sampled_from([int, float, str]), times=st.integers(1, 3))
    def answer(self, back: int, form: Callable[[int], object], times: int) -> None:
        for _ in range(times):
            self.settle(self.recent(back), form)

    def settle(self, request_id: int, form: Callable[[int], object]) -> None:
        live = request_id in self.live()
        fate, own = self.requests.settle(form(request_id))
        self.fates[fate] += 1
        if form is str and request_id < 1:
            assert fate is Fate.UNKNOWN
            return
        assert (fate is Fate.CLAIMED) == live
        assert own == (None if fate is Fate.UNKNOWN else request_id)
        if live:
            self.asked[request_id - 1].ends.append("answered")
        elif not 1 <= request_id <= len(self.asked):
            assert fate is Fate.UNKNOWN
        else:
            self.judge(request_id, fate)

    def judge(self, request_id: int, fate: Fate) -> None:
        """An answer to what has ended: memory may be too short to know, but never wrong."""
        if request_id not in self.unanswered:
            forgetful = len(self.unanswered) > self.memory
            assert fate is Fate.DUPLICATE or (forgetful and fate is Fate.UNKNOWN)
            return
        since = len(self.unanswered) - self.unanswered.index(request_id)
        if request_id in self.told_late:
            assert fate in (Fate.DUPLICATE, Fate.UNKNOWN)
        elif since <= self.memory:
            assert fate is Fate.LATE
        else:
            assert fate in (Fate.LATE, Fate.UNKNOWN)
        if fate is Fate.LATE:
            self.told_late.add(request_id)

    @rule(back=st.integers(0, 8))
    def cancel(self, back: int) -> None:
        request_id = self.recent(back)
        live = request_id in self.live()
        lost = self.requests.cancel(request_id)
        assert (lost is not None) == live
        if lost is not None:
            assert lost.request_id == request_id
            self.ended(lost, "cancelled")

    @rule(passed_s=st.sampled_from([0.0, 0.25, 0.5, 1.0, 4.0]))
    def time_passes(self, passed_s: float) -> None:
        self.now += passed_s
        due = [own for own in self.live() if self.asked[own - 1].deadline <= self.now]
        expired = self.requests.expire(self.now)
        assert sorted(lost.request_id for lost in expired) == due
        deadlines = [self.asked[lost.request_id - 1].deadline for lost in expired]
        assert deadlines == sorted(deadlines)
        for lost in expired:
            assert not lost.repeats
            self.ended(lost, "timed out")

    @rule()
    def lose(self) -> None:
        live = self.live()
        lost = self.requests.lost()
        assert [one.request_id for one in lost] == live
        for one in lost:
            asked = self.asked[one.request_id - 1]
            assert one.repeats == asked.repeatable
            if one.repeats:
                assert one.maybe_executed == asked.sent
                asked.waits = True
            else:
                self.ended(one, "failed")

    @rule()
    def repeat(self) -> None:
        waiting = [own for own in self.live() if self.asked[own - 1].waits]
        assert self.requests.repeat() == waiting
        for own in waiting:
            self.asked[own - 1].waits = False

    @invariant()
    def it_holds_what_has_not_ended(self) -> None:
        live = self.live()
        assert len(self.requests) == len(live) <= self.limit
        assert [own for own in range(60) if own in self.requests] == live
        deadlines = [self.asked[own - 1].deadline for own in live]
        assert self.requests.next_deadline == (min(deadlines) if deadlines else None)

    @invariant()
    def its_figures_add_up(self) -> None:
        figures = dict(self.requests.statistics())
        ends = [asked.ends[0] for asked in self.asked if asked.ends]
        assert figures["in_flight"] == len(self.live())
        assert figures["answered"] == ends.count("answered") == self.fates[Fate.CLAIMED]
        assert figures["timeouts"] == ends.count("timed out")
        assert figures["cancelled"] == ends.count("cancelled")
        assert figures["failed"] == ends.count("failed")
        assert figures["late"] == self.fates[Fate.LATE] == len(self.told_late)
        assert figures["duplicates"] == self.fates[Fate.DUPLICATE]
        assert figures["unknown"] == self.fates[Fate.UNKNOWN]


TestRequestsModel = RequestsModel.TestCase
TestRequestsModel.settings = settings(max_examples=EXAMPLES, stateful_step_count=50, deadline=None)
