from __future__ import annotations

from typing import Any

import pytest

from feedmux.model.errors import InvalidMessage, InvalidSetting
from feedmux.sim.script import Disconnect, Expect, Say, Script

HELLO, ACK, DATA = Say("hello"), Say({"success": True}), Say(b"\x01")


def test_a_script_goes_on_until_a_message_is_waited_for() -> None:
    script = Script([HELLO, ACK, Expect("a"), DATA, Expect("b"), Disconnect(4000)])
    assert script.begin() == [HELLO, ACK]
    assert script.take("noise") == []
    assert script.take("a") == [DATA]
    assert not script.is_over
    assert script.take("a") == []
    assert script.take("b") == [Disconnect(4000)]
    assert script.is_over
    assert script.take("b") == []


def test_two_steps_that_wait_take_two_messages() -> None:
    script = Script([Expect("a"), Expect("a"), HELLO])
    assert [script.begin(), script.take("a"), script.take("a")] == [[], [], [HELLO]]


def test_a_script_without_steps_is_over() -> None:
    assert Script([]).is_over
    assert Script([]).begin() == []


@pytest.mark.parametrize(
    ("how", "code"),
    [("normal", 1000), ("going_away", 1001), (1012, 1012), (4999, 4999), ("reset", None), ("vanish", None)],
)
def test_ways_to_end_have_their_codes(how: str | int, code: int | None) -> None:
    assert Disconnect(how).code == code


@pytest.mark.parametrize(
    "how", ["", "abnormal", 999, 1004, 1005, 1006, 1015, 2999, 5000, -1, True, None, 1000.0, ["reset"], {}]
)
def test_what_is_no_way_to_end_is_refused(how: Any) -> None:
    with pytest.raises(InvalidSetting, match="normal, going_away, reset, vanish, or a close code"):
        Disconnect(how)


@pytest.mark.parametrize("reason", ["x" * 124, "é" * 62, None, 5, b"bye"])
def test_a_reason_fits_into_its_frame(reason: Any) -> None:
    assert Disconnect(4000, "é" * 61).reason
    with pytest.raises(InvalidSetting, match="expected a text of at most 123 bytes"):
        Disconnect(4000, reason)


@pytest.mark.parametrize("wanted", [None, 5, ["a"], 1.5])
def test_what_no_message_can_be_is_not_expected(wanted: Any) -> None:
    with pytest.raises(InvalidSetting, match="wanted"):
        Expect(wanted)


@pytest.mark.parametrize("message", [object(), "\ud800", {"a": object()}, {1j: 1}])
def test_what_cannot_be_sent_is_not_said(message: Any) -> None:
    with pytest.raises(InvalidMessage, match="message: a value of type"):
        Say(message)
