from __future__ import annotations

from feedmux.bus.redis_config import RedisRefused
from feedmux.bus.redis_refusal import Refusals
from support.clocks import StandingClock

NO = RedisRefused("PUBLISH", "NOPERM no")


def test_what_is_not_refused_again_is_forgotten() -> None:
    clock = StandingClock()
    refusals = Refusals(clock.monotonic, 3.5)
    assert refusals.trouble == ""
    refusals.note([b"a"], NO)
    clock.now += 3.4
    assert refusals.trouble == "Redis refused PUBLISH: NOPERM no"
    refusals.note([b"a"], NO)
    clock.now += 3.4
    assert refusals.trouble
    clock.now += 0.2
    assert refusals.trouble == ""


def test_channels_are_tried_again_once_for_each_refusal() -> None:
    refusals = Refusals(StandingClock().monotonic, 3.5)
    refusals.note([b"a", b"b"], NO)
    refusals.note([b"b"], NO)
    assert refusals.again() == [b"a", b"b"]
    assert refusals.again() == []
    refusals.note([b"b"], NO)
    assert refusals.again() == [b"b"]
