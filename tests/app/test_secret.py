from __future__ import annotations

from feedmux.app.secret import Secret


def test_no_way_of_printing_shows_the_text() -> None:
    secret = Secret("hunter2")
    assert [repr(secret), str(secret), f"{secret}", f"{[secret]}"] == ["***", "***", "***", "[***]"]


def test_only_reveal_gives_the_text() -> None:
    assert Secret("hunter2").reveal() == "hunter2"


def test_secrets_compare_by_text_and_are_false_when_empty() -> None:
    assert Secret("a") == Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret("a")}) == 1
    assert Secret("a") and not Secret("")
