from __future__ import annotations

import pytest
from pydantic import ValidationError

from feedmux.app.config import expected
from feedmux.app.section import note
from feedmux.app.settings import SECTIONS, Settings, fields

NUMBERS = {name: field for name, field in fields().items() if field.annotation in (int, float)}


def test_defaults_do_not_depend_on_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "9")
    assert Settings().port == 8000


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError):
        Settings().port = 9


def test_every_setting_is_declared_with_a_sentence_and_its_values() -> None:
    for name, field in fields().items():
        said = field.description
        assert said and said.endswith(".") and said[0].isupper(), name
        assert expected(field), name


def test_no_setting_is_in_two_sections() -> None:
    assert (
        sum(len(section.model_fields) for section in SECTIONS) == len(fields()) == len(Settings.model_fields)
    )


def test_every_number_has_bounds_that_hold_its_default() -> None:
    for name, field in NUMBERS.items():
        low = next(rule.ge for rule in field.metadata if hasattr(rule, "ge"))
        high = next(rule.le for rule in field.metadata if hasattr(rule, "le"))
        assert low <= field.default <= high, name
        for wrong in (low - 1, high + 1, float("nan"), float("inf")):
            with pytest.raises(ValidationError, match=name):
                Settings.model_validate({name: wrong})


@pytest.mark.parametrize(
    ("given", "venues"),
    [
        ({}, ("bybit.linear",)),
        ({"bybit_category": "spot"}, ("bybit.spot",)),
        ({"bybit_category": "spot", "venues": "bybit.linear"}, ("bybit.linear",)),
        ({"venues": "bybit.spot, bybit.linear,bybit.spot,"}, ("bybit.spot", "bybit.linear")),
        ({"venues": ["bybit.inverse"]}, ("bybit.inverse",)),
    ],
)
def test_venues_come_from_the_list_or_else_from_the_category(
    given: dict[str, object], venues: tuple[str, ...]
) -> None:
    assert Settings.model_validate(given).venues == venues


@pytest.mark.parametrize(("text", "value"), [("auto", None), ("AUTO", None), ("true", True), ("off", False)])
def test_log_json_is_yes_no_or_auto(text: str, value: bool | None) -> None:
    assert Settings(log_json=text).log_json is value  # type: ignore[arg-type]


def test_what_does_nothing_says_so() -> None:
    assert {name for name, field in fields().items() if note(field, "idle")} == {
        "bybit_max_symbols_per_connection",
        "log_format",
        "redis_retry_on_timeout",
    }
