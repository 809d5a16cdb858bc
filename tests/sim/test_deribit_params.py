"""Parameters, and how they are refused."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from feedmux.sim.deribit_params import Params
from feedmux.sim.deribit_rpc import Denied

Read = Callable[[Params], object]


@pytest.mark.parametrize(
    ("value", "read", "expected"),
    [
        ("x", lambda p: p.text("a"), "x"),
        (None, lambda p: p.text("a", "d"), "d"),
        ("y", lambda p: p.choice("a", ("x", "y")), "y"),
        (5, lambda p: p.number("a"), Decimal(5)),
        (Decimal("0.1"), lambda p: p.number("a"), Decimal("0.1")),
        (Decimal("5.0"), lambda p: p.whole("a", 1, least=1, most=9), 5),
        (None, lambda p: p.whole("a", 1, least=1, most=9), 1),
        (True, lambda p: p.flag("a"), True),
        (None, lambda p: p.flag("a", default=True), True),
        (["x"], lambda p: p.texts("a"), ["x"]),
        ([], lambda p: p.texts("a"), []),
    ],
)
def test_what_is_right_is_taken(value: Any, read: Read, expected: object) -> None:
    assert read(Params({"a": value})) == expected


@pytest.mark.parametrize(
    ("value", "read", "reason"),
    [
        (None, lambda p: p.text("a"), "value required"),
        (5, lambda p: p.text("a"), "wrong format"),
        ("z", lambda p: p.choice("a", ("x", "y")), "invalid value"),
        (None, lambda p: p.number("a"), "value required"),
        ("5", lambda p: p.number("a"), "wrong format"),
        (True, lambda p: p.number("a"), "wrong format"),
        (10**16, lambda p: p.number("a"), "value must be <= 1000000000000000"),
        (Decimal("1e-400"), lambda p: p.number("a"), "wrong format"),
        (Decimal("Infinity"), lambda p: p.number("a"), "value must be <= 1000000000000000"),
        (Decimal("1.5"), lambda p: p.whole("a", 1, least=1, most=9), "wrong format"),
        (0, lambda p: p.whole("a", 1, least=1, most=9), "value must be >= 1"),
        (10, lambda p: p.whole("a", 1, least=1, most=9), "value must be <= 9"),
        (1, lambda p: p.flag("a"), "wrong format"),
        (None, lambda p: p.texts("a"), "value required"),
        ("x", lambda p: p.texts("a"), "wrong format"),
        (["x", 1], lambda p: p.texts("a"), "wrong format"),
    ],
)
def test_what_is_wrong_is_refused_by_name(value: Any, read: Read, reason: str) -> None:
    with pytest.raises(Denied) as caught:
        read(Params({"a": value}))
    assert caught.value.number == -32602
    assert caught.value.data == {"reason": reason, "param": "a"}
