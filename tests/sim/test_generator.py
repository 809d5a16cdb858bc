from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from feedmux.sim.generator import Generator, GeneratorDied, NoGenerator, Program, Silence
from support.running import SOURCE


@pytest.fixture(autouse=True)
def same_source(monkeypatch: pytest.MonkeyPatch) -> None:
    """The children run the package under test, whatever else is installed."""
    monkeypatch.setenv("PYTHONPATH", str(SOURCE))


async def started(program: Program, *arguments: object) -> Generator:
    return await Generator.start(program, arguments)


async def test_a_venue_says_its_port_takes_commands_and_ends_with_its_input() -> None:
    venue = await started("venue", "--port", 0)
    try:
        assert json.loads(await venue.line(10))["port"] > 0
        await venue.tell("stats")
        assert json.loads(await venue.line(10))["sent"] == 0
    finally:
        await venue.end()
    with pytest.raises(GeneratorDied, match="the native venue ended with status 0"):
        while await venue.line(1):
            continue


async def test_what_it_cannot_do_is_said_in_its_words() -> None:
    load = await started("load", "--colour", "red")
    with pytest.raises(
        GeneratorDied, match="native load ended with status 2: unknown option --colour; known:"
    ):
        await load.line(10)
    await load.end()
    assert len(load.said) == 1


async def test_one_that_is_killed_is_said_to_be() -> None:
    venue = await started("venue")
    await venue.line(10)
    os.kill(venue.pid, signal.SIGKILL)
    with pytest.raises(GeneratorDied, match="ended by SIGKILL: it did not say why"):
        await venue.line(10)
    await venue.tell("stats")
    await venue.end()


async def test_one_that_says_nothing_is_not_waited_for_for_ever() -> None:
    venue = await started("venue")
    await venue.line(10)
    with pytest.raises(Silence, match=r"said nothing for 0\.01 s"):
        await venue.line(0.01)
    await venue.end()


async def test_ctrl_c_in_the_terminal_is_not_its_business() -> None:
    venue = await started("venue")
    await venue.line(10)
    assert os.getsid(venue.pid) != os.getsid(0)
    await venue.end()


async def test_a_package_without_the_extension_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shadow = tmp_path / "sitecustomize.py"
    shadow.write_text("import sys; sys.modules['feedmux._native'] = None\n")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{SOURCE}")
    load = await started("load")
    with pytest.raises(NoGenerator, match=r"was not built .*; install feedmux with a C compiler at hand"):
        await load.line(10)
    await load.end()
