"""The vigil: nothing that speaks is named, and nothing silent is forgotten."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from feedmux.core.vigil import Step, Vigil
from support.examples import EXAMPLES

pytestmark = pytest.mark.law

LIMIT_S, GRACE_S = 30, 10
KEYS = st.sampled_from("abc")


class Vigils(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.vigil = Vigil(LIMIT_S, GRACE_S)
        self.now = 0
        self.heard_at: dict[str, int] = {}
        self.named: dict[str, list[Step]] = {}

    @rule(seconds=st.integers(0, 40))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds

    @rule(key=KEYS)
    def watch(self, key: str) -> None:
        self.vigil.watch(key, self.now)
        self.heard_at[key], self.named[key] = self.now, []

    @rule(key=KEYS)
    def forget(self, key: str) -> None:
        self.vigil.forget(key)
        self.heard_at.pop(key, None)

    @rule(key=KEYS)
    def heard(self, key: str) -> None:
        self.vigil.heard(key, self.now)
        if key in self.heard_at:
            self.heard_at[key], self.named[key] = self.now, []

    @rule()
    def answered(self) -> None:
        for key in self.vigil.answered(self.now):
            assert self.named[key] == [Step.PROBE]
            self.named[key].append(Step.RENEW)

    @rule()
    def restart(self) -> None:
        self.vigil.restart(self.now)
        for key in self.heard_at:
            self.heard_at[key], self.named[key] = self.now, []

    @rule()
    def check(self) -> None:
        for step, key in self.vigil.check(self.now):
            assert self.now - self.heard_at[key] >= LIMIT_S, "it spoke"
            assert step not in self.named[key], "once for each silence"
            assert step is Step.PROBE or Step.PROBE in self.named[key]
            self.named[key].append(step)
        for key, heard_at in self.heard_at.items():
            assert self.now - heard_at < LIMIT_S or self.named[key], f"{key} is silent and was forgotten"


TestVigils = Vigils.TestCase
TestVigils.settings = settings(max_examples=EXAMPLES, deadline=None)
