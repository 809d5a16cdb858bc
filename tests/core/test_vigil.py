from __future__ import annotations

import pytest

from feedmux.core.vigil import Step, Vigil
from feedmux.model.errors import InvalidSetting


def vigil() -> Vigil:
    watching = Vigil(30, 10)
    watching.watch("a", 0)
    return watching


def test_silence_calls_for_a_probe_once() -> None:
    watching = vigil()
    assert watching.check(29.9) == []
    assert watching.check(30) == [(Step.PROBE, "a")]
    assert watching.check(35) == []


def test_a_probe_that_nobody_answers_leads_to_a_reconnect() -> None:
    watching = vigil()
    watching.check(30)
    assert watching.check(40) == [(Step.RECONNECT, "a")]
    assert watching.check(60) == [], "named once"


def test_an_answered_probe_leads_to_a_renewal_and_that_to_a_reconnect() -> None:
    watching = vigil()
    watching.check(30)
    assert watching.answered(31) == ["a"]
    assert watching.answered(32) == []
    assert watching.check(40.9) == []
    assert watching.check(41) == [(Step.RECONNECT, "a")]


@pytest.mark.parametrize("answered", [False, True])
def test_who_speaks_is_left_alone(answered: bool) -> None:
    watching = vigil()
    watching.check(30)
    if answered:
        watching.answered(31)
    watching.heard("a", 32)
    assert watching.answered(33) == []
    assert watching.check(61.9) == []
    assert watching.check(62) == [(Step.PROBE, "a")]


def test_keys_are_judged_one_by_one_and_strangers_not_at_all() -> None:
    watching = vigil()
    watching.watch("b", 20)
    watching.heard("c", 25)
    assert watching.check(30) == [(Step.PROBE, "a")]
    assert watching.check(50) == [(Step.RECONNECT, "a"), (Step.PROBE, "b")]
    watching.forget("b")
    assert watching.check(1000) == []
    assert watching.statistics() == {"watched": 1, "silent": 1}


def test_a_new_connection_starts_every_watch_anew() -> None:
    watching = vigil()
    watching.check(30)
    watching.restart(35)
    assert watching.check(64.9) == []
    assert watching.check(65) == [(Step.PROBE, "a")]
    assert repr(watching) == "<Vigil watched=1 silent=1>"


@pytest.mark.parametrize(
    ("limit_s", "grace_s"), [(0, 1), (1, 0), (-1, 1), (float("nan"), 1), ("5", 1), (True, 1), (1, 10**400)]
)
def test_what_cannot_work_is_refused(limit_s: float, grace_s: float) -> None:
    with pytest.raises(InvalidSetting):
        Vigil(limit_s, grace_s)
