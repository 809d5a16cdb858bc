from __future__ import annotations

import io
import tomllib
from pathlib import Path

import pytest
from dotenv import dotenv_values

from feedmux.app.config import load
from feedmux.app.config_text import as_env, as_markdown, as_toml, shown, title, write_reference
from feedmux.app.settings import Settings, fields

REFERENCE = Path(__file__).parents[2] / "docs" / "reference" / "config.md"
SOME = Settings(
    port=9, venues=("bybit.spot", "bybit.linear"), log_json=True, brand="acme", drain_grace=1.5, uvloop=False
)


def test_the_reference_page_is_what_the_declarations_say() -> None:
    assert REFERENCE.read_text() == as_markdown(), "write_reference() writes it anew"


def test_the_reference_page_can_be_written_anew(tmp_path: Path) -> None:
    write_reference(tmp_path / "docs" / "config.md")
    assert (tmp_path / "docs" / "config.md").read_text() == as_markdown()


def test_the_reference_page_names_every_setting_once() -> None:
    page = as_markdown()
    for name in fields():
        assert page.count(f"\n| `{title(name)}` |") == 1


def test_toml_and_env_give_the_same_settings_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.toml").write_text(as_toml(SOME))
    assert load(config=tmp_path / "x.toml") == SOME
    (tmp_path / ".env").write_text(as_env(SOME))
    assert load() == SOME


def test_only_what_differs_from_the_defaults_is_in_force() -> None:
    changed = {"port", "venues", "log_json", "brand", "drain_grace", "uvloop"}
    assert set(tomllib.loads(as_toml(SOME))) == changed
    assert set(dotenv_values(stream=io.StringIO(as_env(SOME)))) == {name.upper() for name in changed}
    assert as_toml(SOME).count("\n# ") >= len(fields()) - len(changed)


def test_secrets_are_masked_everywhere() -> None:
    settings = Settings(redis_url="redis://:hunter2@h")  # type: ignore[arg-type]
    text = as_toml(settings) + as_env(settings) + shown("redis_url", settings)
    assert "hunter2" not in text
    assert '# redis_url = "***"\n' in text
    assert "# REDIS_URL=***\n" in text
