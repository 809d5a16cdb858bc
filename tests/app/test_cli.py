from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

from feedmux import __version__
from feedmux.app.cli import COMMANDS
from feedmux.app.config_text import as_markdown, title
from feedmux.app.settings import fields

pytestmark = pytest.mark.e2e

SOURCE = Path(__file__).parents[2] / "src"
Result = subprocess.CompletedProcess[str]


def feedmux(*args: str, cwd: Path, **environment: str) -> Result:
    """Run the command line in a directory of its own, with a clean environment."""
    clean = {name: value for name, value in os.environ.items() if name.lower() not in fields()}
    return subprocess.run(
        [sys.executable, "-m", "feedmux", *args],
        cwd=cwd,
        env=clean | {"PYTHONPATH": str(SOURCE), "COLUMNS": "100"} | environment,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_help_names_every_command_and_imports_none(tmp_path: Path) -> None:
    result = feedmux("--help", cwd=tmp_path)
    assert result.returncode == 0
    assert all(name in result.stdout for name in COMMANDS)
    probe = (
        "import sys, feedmux.app.cli; print([m for m in sys.modules if m.startswith(('feedmux.app.commands', "
    )
    probe += "'feedmux.client', 'feedmux.sim', 'pydantic', 'picows', 'rich.'))])"
    loaded = subprocess.run(
        [sys.executable, "-c", probe],
        env=os.environ | {"PYTHONPATH": str(SOURCE)},
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert loaded.stdout.strip() == "[]"


def test_version(tmp_path: Path) -> None:
    assert feedmux("--version", cwd=tmp_path).stdout == f"feedmux {__version__}\n"


def test_a_command_that_is_none_names_the_nearest(tmp_path: Path) -> None:
    result = feedmux("tial", cwd=tmp_path)
    assert result.returncode == 2
    assert "Did you mean 'tail'?" in result.stderr


@pytest.mark.parametrize("name", ["config", "tail", "sim"])
def test_a_command_is_a_typer_or_a_function_of_its_name(name: str) -> None:
    module = import_module(COMMANDS[name].module)
    assert hasattr(module, "app") or callable(getattr(module, name))


def test_config_print_shows_what_is_in_force_and_where_it_came_from(tmp_path: Path) -> None:
    (tmp_path / "feedmux.toml").write_text("port = 9001")
    result = feedmux("config", "print", "--set", "brand=acme", cwd=tmp_path, REDIS_URL="redis://:hunter2@h")
    assert (result.returncode, result.stderr) == (0, "")
    rows = {line.split()[0]: line.split() for line in result.stdout.splitlines() if line.strip()}
    assert rows["PORT"][1:3] == ["9001", "feedmux.toml"]
    assert rows["BRAND"][1:3] == ["acme", "--set"]
    assert rows["REDIS_URL"][1:3] == ["***", "environment"]
    assert set(rows) >= {title(name) for name in fields()}
    assert "hunter2" not in result.stdout


@pytest.mark.parametrize("form", ["toml", "env"])
def test_config_print_writes_files_without_secrets(form: str, tmp_path: Path) -> None:
    result = feedmux(
        "config", "print", "--format", form, cwd=tmp_path, PORT="9", REDIS_URL="redis://:hunter2@h"
    )
    assert result.returncode == 0
    assert "hunter2" not in result.stdout
    if form == "toml":
        assert tomllib.loads(result.stdout) == {"port": 9}
    else:
        assert "\nPORT=9\n" in result.stdout


def test_config_print_writes_the_reference_page(tmp_path: Path) -> None:
    assert feedmux("config", "print", "--format", "markdown", cwd=tmp_path).stdout == as_markdown()


def test_config_check_of_a_good_file_says_so(tmp_path: Path) -> None:
    (tmp_path / "good.toml").write_text('port = 9001\nlog_format = "x"\n')
    result = feedmux("config", "check", "--config", "good.toml", cwd=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("note: LOG_FORMAT was set and does nothing")
    assert result.stdout.endswith("The configuration works: 2 settings set (good.toml).\n")


def test_config_check_of_a_bad_file_names_everything_and_exits_with_2(tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text('prot = 1\ndebug = "perhaps"\n')
    result = feedmux("config", "check", "--config", "bad.toml", cwd=tmp_path, PORT="x")
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.splitlines() == [
        "feedmux: bad.toml: prot is not a setting; did you mean port?",
        "feedmux: PORT: 'x' does not work; expected a whole number from 0 to 65535",
        "feedmux: bad.toml: debug: 'perhaps' does not work; expected true or false",
    ]
