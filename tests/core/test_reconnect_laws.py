from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from feedmux.core.reconnect import Backoff, Event, Reconnect, State
from feedmux.model.errors import IllegalEvent
from support.examples import EXAMPLES

BACKOFF = Backoff(initial=0.5, multiplier=2.0, ceiling=7.0)


class ChosenDice:
    """A dice whose next throw the test chooses, as a share of the range."""

    share = 0.0

    def uniform(self, low: float, high: float, /) -> float:
        return low + (high - low) * self.share


class ReconnectModel(RuleBasedStateMachine):
    """The machine against a model in plain words: a connection, its proof, a count of waits."""

    def __init__(self) -> None:
        super().__init__()
        self.dice = ChosenDice()
        self.machine = Reconnect(BACKOFF, self.dice)
        self.phase = "idle"
        self.unproven_waits = 0
        self.stopped = False

    def begin_to_wait(self, share: float) -> None:
        self.dice.share = share
        limit = min(7.0, 0.5 * 2**self.unproven_waits)
        self.unproven_waits += 1
        self.phase = "waiting"
        self.expected_wait = limit * share

    @precondition(lambda self: self.phase == "idle")
    @rule()
    def start(self) -> None:
        self.machine.apply(Event.START)
        self.phase = "connecting"

    @precondition(lambda self: self.phase == "connecting")
    @rule()
    def opened(self) -> None:
        self.machine.apply(Event.OPENED)
        self.phase = "open"

    @precondition(lambda self: self.phase == "connecting")
    @rule(share=st.floats(0, 1))
    def failed(self, share: float) -> None:
        self.begin_to_wait(share)
        self.machine.apply(Event.FAILED)
        assert self.machine.wait_s == self.expected_wait

    @precondition(lambda self: self.phase in {"open", "proven"})
    @rule()
    def proved(self) -> None:
        self.machine.apply(Event.PROVED)
        self.phase, self.unproven_waits = "proven", 0

    @precondition(lambda self: self.phase in {"open", "proven"})
    @rule(share=st.floats(0, 1))
    def lost(self, share: float) -> None:
        self.begin_to_wait(share)
        self.machine.apply(Event.LOST)
        assert self.machine.wait_s == self.expected_wait

    @precondition(lambda self: self.phase == "waiting")
    @rule()
    def due(self) -> None:
        self.machine.apply(Event.DUE)
        self.phase = "connecting"

    @precondition(lambda self: self.unproven_waits > 4)
    @rule()
    def stop(self) -> None:
        self.machine.apply(Event.STOP)
        self.phase = "closed"

    @rule(event=st.sampled_from(Event))
    def an_illegal_event_changes_nothing(self, event: Event) -> None:
        legal = {
            "idle": {Event.START, Event.STOP},
            "connecting": {Event.OPENED, Event.FAILED, Event.STOP},
            "open": {Event.PROVED, Event.LOST, Event.STOP},
            "proven": {Event.PROVED, Event.LOST, Event.STOP},
            "waiting": {Event.DUE, Event.STOP},
            "closed": {Event.STOP, Event.LOST, Event.FAILED},
        }
        if event in legal[self.phase]:
            return
        before = repr(self.machine)
        with pytest.raises(IllegalEvent):
            self.machine.apply(event)
        assert repr(self.machine) == before

    @invariant()
    def it_is_where_the_model_is(self) -> None:
        assert self.machine.state is State(self.phase)
        assert self.machine.failures == self.unproven_waits
        assert 0 <= self.machine.wait_s <= BACKOFF.ceiling


TestReconnectModel = ReconnectModel.TestCase
TestReconnectModel.settings = settings(max_examples=EXAMPLES, stateful_step_count=40, deadline=None)
