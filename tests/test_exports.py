"""What the package offers from outside: names, and how little importing it costs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import feedmux
from feedmux import sim

SOURCE = Path(__file__).parents[1] / "src"


def python(*args: str) -> str:
    """Run the interpreter in a process of its own; what it wrote."""
    done = subprocess.run(
        [sys.executable, *args],
        env=os.environ | {"PYTHONPATH": str(SOURCE)},
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    return done.stdout


def loaded_by(statement: str) -> set[str]:
    """Every module that is loaded after ``statement`` and was not before."""
    probe = f"import json, sys; before = set(sys.modules); {statement}; "
    return set(json.loads(python("-c", probe + "print(json.dumps(sorted(set(sys.modules) - before)))")))


@pytest.mark.parametrize("name", feedmux.__all__)
def test_every_public_name_is_there_and_documented(name: str) -> None:
    value = getattr(feedmux, name)
    assert name == "__version__" or value.__doc__
    assert name in dir(feedmux)


def test_a_name_that_is_none_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'feedmux' has no attribute 'Manager'"):
        _ = feedmux.Manager


def test_importing_the_package_loads_nothing_else_of_it() -> None:
    loaded = loaded_by("import feedmux")
    assert {name for name in loaded if name.startswith("feedmux")} == {"feedmux"}
    assert not {name.split(".")[0] for name in loaded} - {"feedmux"} - sys.stdlib_module_names


def test_the_client_library_loads_no_server_and_no_bus() -> None:
    assert {name for name in loaded_by("import feedmux.client") if name.startswith("feedmux")} == {
        "feedmux",
        "feedmux.client",
    }
    everything = "import feedmux.client as c; [getattr(c, name) for name in c.__all__ if {}]"
    alone = loaded_by(everything.format("'Local' not in name and name != 'Kinds'"))
    assert stages_of(alone) == {"client", "core", "model", "venue"}, "venue is for Deribit"
    shared = stages_of(loaded_by(everything.format("True")))
    assert shared - stages_of(alone) == {"wire", "_native"}, "they are for who shares WebSockets"


def stages_of(loaded: set[str]) -> set[str]:
    """The folders of the package that are among these modules."""
    return {name.split(".")[1] for name in loaded if name.startswith("feedmux.")}


def test_a_client_loads_no_server_code() -> None:
    names = ("Link", "LinkConfig", "LocalClient", "AsyncLocalClient", "Topic", "Envelope", "FeedmuxError")
    loaded = loaded_by(f"from feedmux import {', '.join(names)}")
    for stage in ("app", "bus", "edge", "feed", "hub", "sim", "venue"):
        assert f"feedmux.{stage}" not in loaded
    assert not loaded & {"websockets", "typer", "pydantic", "rich", "structlog", "prometheus_client"}


def test_the_module_runs_as_a_program() -> None:
    assert python("-m", "feedmux", "--version") == f"feedmux {feedmux.__version__}\n"


def test_the_package_says_that_it_is_typed() -> None:
    assert (SOURCE / "feedmux" / "py.typed").exists()


def test_the_names_of_the_mock_server_are_loaded_when_they_are_used() -> None:
    assert not {name for name in loaded_by("import feedmux.sim") if name.startswith("feedmux.sim.")}
    assert "websockets" not in loaded_by("import feedmux.sim")
    for name in sim.__all__:
        assert getattr(sim, name).__doc__
        assert name in dir(sim)
    with pytest.raises(AttributeError, match=r"'feedmux\.sim' has no attribute 'Manager'"):
        _ = sim.Manager
