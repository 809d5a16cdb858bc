from __future__ import annotations

import math

import pytest

from feedmux.core.reconnect import TRANSITIONS, Backoff, Event, Reconnect, State
from feedmux.model.errors import IllegalEvent, InvalidSetting


class HighDice:
    """Always the longest wait, and a memory of what was asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[float, float]] = []

    def uniform(self, low: float, high: float, /) -> float:
        self.asked.append((low, high))
        return high


WAYS = {
    State.IDLE: [],
    State.CONNECTING: [Event.START],
    State.OPEN: [Event.START, Event.OPENED],
    State.PROVEN: [Event.START, Event.OPENED, Event.PROVED],
    State.WAITING: [Event.START, Event.FAILED],
    State.CLOSED: [Event.STOP],
}


def machine_in(state: State) -> Reconnect:
    machine = Reconnect(Backoff(), HighDice())
    for event in WAYS[state]:
        machine.apply(event)
    assert machine.state is state
    return machine


@pytest.mark.parametrize(("state", "event"), TRANSITIONS, ids=str)
def test_legal_events_lead_where_the_table_says(state: State, event: Event) -> None:
    machine = machine_in(state)
    assert machine.apply(event) is TRANSITIONS[state, event]
    assert machine.state is TRANSITIONS[state, event]


@pytest.mark.parametrize(
    ("state", "event"), [(s, e) for s in State for e in Event if (s, e) not in TRANSITIONS], ids=str
)
def test_illegal_events_are_named_and_change_nothing(state: State, event: Event) -> None:
    machine = machine_in(state)
    before = repr(machine)
    with pytest.raises(IllegalEvent, match=f"'{event}' cannot happen in the state '{state}'"):
        machine.apply(event)
    assert repr(machine) == before


def test_stop_leads_from_every_state_to_closed() -> None:
    assert {TRANSITIONS[state, Event.STOP] for state in State} == {State.CLOSED}


def test_waits_double_up_to_the_ceiling_and_are_drawn_from_zero() -> None:
    dice = HighDice()
    machine = Reconnect(Backoff(initial=1.0, multiplier=2.0, ceiling=5.0), dice)
    machine.apply(Event.START)
    waits = []
    for _ in range(5):
        machine.apply(Event.FAILED)
        waits.append(machine.wait_s)
        machine.apply(Event.DUE)
    assert waits == [1.0, 2.0, 4.0, 5.0, 5.0]
    assert dice.asked == [(0.0, wait) for wait in waits]


def test_an_open_that_never_proved_itself_counts_as_a_failure() -> None:
    machine = machine_in(State.CONNECTING)
    waits = []
    for _ in range(4):
        machine.apply(Event.OPENED)
        machine.apply(Event.LOST)
        waits.append(machine.wait_s)
        machine.apply(Event.DUE)
    assert waits == [1.0, 2.0, 4.0, 8.0]


def test_only_proof_resets_the_backoff() -> None:
    machine = machine_in(State.CONNECTING)
    for event in (Event.FAILED, Event.DUE, Event.FAILED, Event.DUE, Event.OPENED, Event.PROVED):
        machine.apply(event)
    assert machine.failures == 0
    machine.apply(Event.LOST)
    assert machine.wait_s == 1.0


def test_failures_without_end_never_overflow() -> None:
    backoff = Backoff(initial=0.5, multiplier=3.0, ceiling=60.0)
    assert backoff.limit(10**6) == 60.0
    assert Backoff(multiplier=1.0).limit(10**6) == 1.0
    assert Backoff(multiplier=3).limit(10**9) == 60.0


@pytest.mark.parametrize(
    ("initial", "multiplier", "ceiling", "name"),
    [
        (0.0, 2.0, 60.0, "initial"),
        (-1.0, 2.0, 60.0, "initial"),
        (math.nan, 2.0, 60.0, "initial"),
        (1.0, 0.5, 60.0, "multiplier"),
        (1.0, math.inf, 60.0, "multiplier"),
        (2.0, 2.0, 1.0, "ceiling"),
        (1.0, 2.0, math.inf, "ceiling"),
        ("1", 2.0, 60.0, "initial"),
        (True, 2.0, 60.0, "initial"),
        (1.0, None, 60.0, "multiplier"),
        (1.0, 10**400, 60.0, "multiplier"),
        (1.0, 2.0, [60.0], "ceiling"),
    ],
)
def test_bounds_that_cannot_work_are_refused(
    initial: float, multiplier: float, ceiling: float, name: str
) -> None:
    with pytest.raises(InvalidSetting) as caught:
        Backoff(initial, multiplier, ceiling)
    assert caught.value.name == name


def test_it_shows_where_it_is() -> None:
    machine = machine_in(State.WAITING)
    assert repr(machine) == "<Reconnect waiting failures=1 wait_s=1.000>"
