"""Install the rivals into this folder: ``make rivals``, or ``python -m bench.rivals.install``.

Nothing outside ``bench/rivals/`` is changed and no rights are needed: npm packages go to
``servers/node_modules``, Python packages to an environment of their own, Debian packages are
downloaded and unpacked. What cannot be installed here is left out, with one line that says why.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from bench.report import say
from bench.rivals import buses, hops
from bench.rivals.catalogue import CACHE, DEBIAN, HERE, PYTHON, SERVERS, missing

_DEBIAN_PACKAGES = ("nginx", "nginx-common", "libnginx-mod-nchan")


class NotInstalled(Exception):
    """A step that failed; the text says why."""


def install() -> int:
    """Install what is pinned; 1 when something is missing afterwards."""
    CACHE.mkdir(exist_ok=True)
    for what, step in _STEPS.items():
        try:
            step()
            say(f"{what}: installed")
        except NotInstalled as error:
            say(f"{what}: left out, {error}")
    left_out = [*missing(), *hops.missing(), *buses.missing()]
    if left_out:
        say(f"not there: {', '.join(left_out)}")
    return 1 if left_out else 0


def _javascript() -> None:
    """What package-lock.json pins: Bun itself and ws."""
    _need("npm")
    _run(["npm", "ci", "--no-fund", "--no-audit"], SERVERS)


def _python() -> None:
    """What requirements.txt pins, in an environment of its own."""
    if not PYTHON.exists():
        _run([sys.executable, "-m", "venv", CACHE / "python"], HERE)
    wanted = HERE / "requirements.txt"
    _run([PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", wanted], HERE)


def _debian() -> None:
    """nginx and nchan of this Debian, unpacked: apt keeps no old versions, so none is pinned."""
    _need("apt-get")
    _need("dpkg")
    shutil.rmtree(DEBIAN, ignore_errors=True)
    DEBIAN.mkdir()
    _run(["apt-get", "download", *_DEBIAN_PACKAGES], DEBIAN)
    packages = sorted(DEBIAN.glob("*.deb"))
    for package in packages:
        _run(["dpkg", "-x", package, DEBIAN], DEBIAN)
    nchan, nginx = (_version(packages, name) for name in ("libnginx-mod-nchan", "nginx"))
    (DEBIAN / "version").write_text(f"{nchan} (nginx {nginx})")


def _version(packages: Sequence[Path], name: str) -> str:
    """From ``name_epoch%3aversion_architecture.deb``."""
    file = next(package.name for package in packages if package.name.startswith(f"{name}_"))
    return file.split("_")[1].rpartition("%3a")[2]


def _need(program: str) -> None:
    if shutil.which(program) is None:
        raise NotInstalled(f"there is no {program} here")


def _run(command: Sequence[str | Path], folder: Path) -> None:
    words = [str(word) for word in command]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise NotInstalled(f"`{' '.join(words[:3])}` failed: {said[-1] if said else done.returncode}")


_STEPS: dict[str, Callable[[], None]] = {
    "Bun, ws (npm)": _javascript,
    "socketify, picows, websockets, pyzmq, iceoryx2, redis-py (PyPI)": _python,
    "nchan (Debian)": _debian,
}


if __name__ == "__main__":
    sys.exit(install())
