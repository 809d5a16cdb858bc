"""Programs of Debian that stories talk to: those of this machine, or else unpacked into ``build/debian``.

No rights are needed: packages are downloaded and unpacked, never installed. Where a fresh machine
has no list of packages, one is fetched beside them.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from support.documents import ROOT

PLACE = ROOT / "build" / "debian"
MACHINE = Path("/")
LONGEST_DOWNLOAD_S = 300.0
_FOLDERS = ("usr/local/bin", "usr/local/sbin", "usr/bin", "usr/sbin", "bin", "sbin")
_LIBRARIES = ("lib/*.so*", "lib/*/*.so*", "usr/lib/*.so*", "usr/lib/*/*.so*")
_LISTED = "packages"


class NotHere(Exception):
    """A program cannot be had; the text says why."""


class DebianProgram(NamedTuple):
    """A program that can be started.

    Args:
        path: of the program.
        root: where its packages were unpacked; ``/`` when this machine has it.
    """

    path: Path
    root: Path

    @property
    def environment(self) -> dict[str, str]:
        """What it needs in its environment to find the libraries that came with it."""
        if self.root == MACHINE:
            return {}
        files = [file for place in _LIBRARIES for file in self.root.glob(place)]
        folders = {file.parent for file in files}
        return {"LD_LIBRARY_PATH": os.pathsep.join(sorted(map(str, folders)))} if folders else {}

    @property
    def in_path(self) -> dict[str, str]:
        """The environment of somebody who has it in his path."""
        return self.environment | {"PATH": os.pathsep.join((str(self.path.parent), os.environ["PATH"]))}


def debian_program(name: str, packages: Sequence[str]) -> DebianProgram:
    """Find a program, or fetch it once for all who ask; the test fails if it cannot be had.

    Args:
        name: of the program.
        packages: what is unpacked if this machine does not have it, with all that these depend on and
            this machine lacks.
    """
    try:
        return _found(name, MACHINE) or _unpacked(name, packages)
    except NotHere as error:
        pytest.fail(f"{name} is not here: install it (Debian: apt-get install {' '.join(packages)}); {error}")


def _found(name: str, root: Path) -> DebianProgram | None:
    own = os.environ.get("PATH", "") if root == MACHINE else ""
    folders = [*own.split(os.pathsep), *(str(root / folder) for folder in _FOLDERS)]
    path = shutil.which(name, path=os.pathsep.join(filter(None, folders)))
    return None if path is None else DebianProgram(Path(path), root)


def _unpacked(name: str, packages: Sequence[str]) -> DebianProgram:
    root = PLACE / name
    with _alone():
        listed = root / _LISTED
        if not listed.exists() or listed.read_text().split() != list(packages):
            shutil.rmtree(root, ignore_errors=True)
            root.mkdir()
            _fetch(packages, root)
            listed.write_text("\n".join(packages))
    found = _found(name, root)
    if found is None:
        raise NotHere(f"{' '.join(packages)} have no such program")
    return found


@contextmanager
def _alone() -> Iterator[None]:
    """Keep out everybody else on this machine who fetches programs, until the block ends."""
    PLACE.mkdir(parents=True, exist_ok=True)
    with (PLACE / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _fetch(packages: Sequence[str], root: Path) -> None:
    """Unpack the packages into an empty folder, with this machine's lists or lists of our own."""
    for tool in ("apt-get", "dpkg"):
        if shutil.which(tool) is None:
            raise NotHere(f"it cannot be fetched without {tool}")
    try:
        _download(packages, root, options=())
    except NotHere:
        state = PLACE / ".apt"
        (state / "lists" / "partial").mkdir(parents=True, exist_ok=True)
        # As root, apt would read and write as a user who may not enter this folder.
        options = (f"-oDir::State={state}", f"-oDir::Cache={state}", "-oAPT::Sandbox::User=root")
        _run(["apt-get", *options, "update"], root)
        _download(packages, root, options)
    for package in sorted(root.glob("*.deb")):
        _run(["dpkg", "-x", package.name, "."], root)
        package.unlink()


def _download(packages: Sequence[str], root: Path, options: Sequence[str]) -> None:
    """Download packages and what is missing for them; apt says what that is if asked to install them."""
    simulate = ["apt-get", *options, "--simulate", "--no-install-recommends", "install", *packages]
    lines = _run(simulate, root).splitlines()
    missing = {line.split()[1] for line in lines if line.startswith("Inst ")}
    _run(["apt-get", *options, "download", *sorted(missing.union(packages))], root)


def _run(command: list[str], folder: Path) -> str:
    """Run a command to its end; what it said."""
    what = f"`{' '.join(command)}`"
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=os.environ | {"LC_ALL": "C"},
            capture_output=True,
            text=True,
            check=False,
            timeout=LONGEST_DOWNLOAD_S,
        )
    except subprocess.TimeoutExpired as error:
        raise NotHere(f"{what} took over {LONGEST_DOWNLOAD_S:g} s") from error
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise NotHere(f"{what} failed: {said[-1] if said else done.returncode}")
    return done.stdout
