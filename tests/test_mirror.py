"""tests/ mirrors src/feedmux: every test module of a folder names the module it covers."""

from __future__ import annotations

from pathlib import Path

TESTS = Path(__file__).parent
SOURCE = TESTS.parent / "src" / "feedmux"
FREE = {"contract", "e2e", "support"}


def covered(test: Path) -> str:
    return test.stem.removeprefix("test_").removesuffix("_laws")


def test_every_unit_test_covers_a_module_that_exists() -> None:
    for test in TESTS.rglob("test_*.py"):
        folder = test.parent.relative_to(TESTS)
        if not folder.parts or folder.parts[0] in FREE:
            continue
        home = SOURCE / folder
        homes = [home / f"{covered(test)}{suffix}" for suffix in (".py", ".pyx")]
        assert any(path.exists() for path in homes), f"{test} covers no module in {home}"


def test_every_module_of_the_pure_folders_has_tests() -> None:
    """A module's tests stand where a reader looks for them; the contract suites cover the ports."""
    tested = {(t.parent.relative_to(TESTS).as_posix(), covered(t)) for t in TESTS.rglob("test_*.py")}
    for folder in ("model", "core", "wire", "venue", "hub"):
        for module in (SOURCE / folder).glob("*.py"):
            if module.stem not in {"__init__", "ports"}:
                assert (folder, module.stem) in tested, (
                    f"{folder}/{module.stem}.py has no tests/{folder}/test_{module.stem}.py"
                )
