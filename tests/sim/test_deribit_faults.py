"""Faults of answers wait for the requests that they fit."""

from __future__ import annotations

import pytest

from feedmux.model.errors import InvalidSetting
from feedmux.sim.deribit_faults import MAX_RULES, AnswerFaults, Fault, Treatment

USUAL = Treatment(1, 0.0)


@pytest.mark.parametrize(
    ("fault", "treatment"),
    [
        (Fault.DROP, Treatment(0, 0.0)),
        (Fault.REPEAT, Treatment(2, 0.0)),
        (Fault.DELAY, Treatment(1, 0.5)),
        (Fault.LIMIT, USUAL),
    ],
)
def test_a_fault_changes_one_answer_of_its_method(fault: Fault, treatment: Treatment) -> None:
    faults = AnswerFaults()
    faults.add(fault, method="public/test", seconds=0.5)
    assert faults.treat("public/hello") == USUAL
    assert faults.treat("public/test") == treatment
    assert faults.treat("public/test") == USUAL


def test_a_limit_is_used_up_too() -> None:
    faults = AnswerFaults()
    faults.add(Fault.LIMIT, count=2)
    assert [faults.limits("public/test") for _ in range(3)] == [True, True, False]


def test_without_a_count_it_stays_until_it_is_cleared() -> None:
    faults = AnswerFaults()
    faults.add(Fault.DELAY, count=None, seconds=1.0)
    assert {faults.treat("a").delay_s for _ in range(100)} == {1.0}
    faults.clear()
    assert faults.treat("a") == USUAL


def test_faults_of_several_kinds_add_up() -> None:
    faults = AnswerFaults()
    faults.add(Fault.DELAY, seconds=2.0)
    faults.add(Fault.REPEAT)
    assert faults.treat("a") == Treatment(2, 2.0)


@pytest.mark.parametrize(("count", "seconds"), [(0, 0.0), (1, -1.0), (1, float("nan")), (1, 1e9)])
def test_what_makes_no_sense_is_refused(count: int, seconds: float) -> None:
    with pytest.raises(InvalidSetting):
        AnswerFaults().add(Fault.DELAY, count=count, seconds=seconds)


def test_no_more_than_so_many_wait() -> None:
    faults = AnswerFaults()
    for _ in range(MAX_RULES):
        faults.add(Fault.DROP)
    with pytest.raises(InvalidSetting, match="faults that wait"):
        faults.add(Fault.DROP)
