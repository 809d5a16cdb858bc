from __future__ import annotations

from collections.abc import Callable

from feedmux.client.heartbeat import Heartbeat
from support.peers import SystemClock, until


class Patient:
    """Counts what a heartbeat does to it."""

    def __init__(self, interval_s: float, timeout_s: float, *, answers: bool) -> None:
        self.asked = self.died = 0
        self.answers = answers
        self.on_asked: Callable[[], None] = lambda: None
        self.heartbeat = Heartbeat(interval_s, timeout_s, ask=self.ask, dead=self.dead, clock=SystemClock())

    def ask(self) -> None:
        self.asked += 1
        self.on_asked()
        if self.answers:
            self.heartbeat.answered()

    def dead(self) -> None:
        self.died += 1


async def test_answers_keep_it_alive_and_measure_the_round_trip() -> None:
    patient = Patient(0.001, 0.002, answers=True)
    assert patient.heartbeat.round_trip_s is None
    patient.heartbeat.start()
    await until(lambda: patient.asked >= 10)
    patient.heartbeat.stop()
    assert patient.died == 0
    assert patient.heartbeat.round_trip_s is not None
    assert patient.heartbeat.round_trip_s >= 0
    assert patient.heartbeat.statistics() == {
        "pings": patient.asked,
        "pongs": patient.asked,
        "round_trip_s": patient.heartbeat.round_trip_s,
    }


async def test_no_second_question_while_one_waits_and_one_death() -> None:
    patient = Patient(0.001, 0.02, answers=False)
    patient.heartbeat.start()
    await until(lambda: patient.died == 1)
    assert patient.asked == 1
    await outlive(patient)
    assert (patient.asked, patient.died) == (1, 1), "a dead one asks no more"
    assert patient.heartbeat.statistics() == {"pings": 1, "pongs": 0, "round_trip_s": None}


async def test_a_stopped_heartbeat_calls_nobody() -> None:
    patient = Patient(0.001, 0.003, answers=False)
    patient.on_asked = patient.heartbeat.stop
    patient.heartbeat.start()
    await until(lambda: patient.asked == 1)
    patient.heartbeat.stop()
    patient.heartbeat.answered()
    await outlive(patient)
    assert (patient.asked, patient.died) == (1, 0)


async def outlive(patient: Patient) -> None:
    """Wait until all that the patient could have in store is past."""
    other = Patient(0.001, 0.02, answers=False)
    other.heartbeat.start()
    await until(lambda: other.died == 1)
