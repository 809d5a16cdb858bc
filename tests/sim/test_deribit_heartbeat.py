"""Heartbeats, by the clock."""

from __future__ import annotations

import pytest

from feedmux.sim.deribit_heartbeat import Beat, Heartbeat

H, T, C = Beat.HEARTBEAT, Beat.TEST_REQUEST, Beat.CLOSE


def beating(interval_s: float = 10.0, grace_s: float = 10.0) -> Heartbeat:
    heartbeat = Heartbeat(grace_s)
    heartbeat.start(interval_s, 0.0)
    return heartbeat


def test_it_is_off_until_it_is_started() -> None:
    heartbeat = Heartbeat(10.0)
    assert not heartbeat.is_on
    assert heartbeat.due(1e9, idle=True) == []


def test_the_first_beat_is_late_and_the_others_less_so() -> None:
    heartbeat, beats = beating(), []
    for tenth in range(500):
        if heartbeat.due(tenth / 10, idle=True):
            beats.append(tenth / 10)
            heartbeat.answered()
    assert beats == [12.0, 22.7, 33.4, 44.1]


@pytest.mark.parametrize(("idle", "frames"), [(True, [H, T]), (False, [T])])
def test_only_an_idle_connection_gets_a_heartbeat_and_each_a_test_request(
    idle: bool, frames: list[Beat]
) -> None:
    assert beating().due(12.0, idle=idle) == frames


def test_an_unanswered_test_request_closes_after_the_grace_however_many_follow() -> None:
    heartbeat = beating(interval_s=2.0, grace_s=10.0)
    assert heartbeat.due(2.4, idle=False) == [T]
    assert heartbeat.due(4.6, idle=False) == [T]
    assert heartbeat.due(12.3, idle=False) == [T]
    assert heartbeat.due(12.4, idle=False) == [C]
    assert not heartbeat.is_on
    assert heartbeat.due(1e9, idle=False) == []


def test_an_answer_lets_the_next_request_have_the_whole_grace() -> None:
    heartbeat = beating()
    assert heartbeat.due(12.0, idle=True) == [H, T]
    heartbeat.answered()
    assert heartbeat.due(22.1, idle=True) == []
    assert heartbeat.due(22.7, idle=True) == [H, T]
    assert heartbeat.due(32.6, idle=True) == []
    assert heartbeat.due(32.7, idle=True) == [C]


def test_starting_again_forgets_what_was_asked() -> None:
    heartbeat = beating()
    assert heartbeat.due(12.0, idle=True)
    heartbeat.start(30.0, 20.0)
    assert heartbeat.due(40.0, idle=True) == []
    assert heartbeat.due(56.0, idle=True) == [H, T]


def test_stopping_ends_it() -> None:
    heartbeat = beating()
    assert heartbeat.due(12.0, idle=True)
    heartbeat.stop()
    assert not heartbeat.is_on
    assert heartbeat.due(1000.0, idle=True) == []
