"""Keep results: one JSON file per day, host and commit, which later runs add to."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

RESULTS = Path(__file__).parent / "results"
LIBRARIES = ("feedmux", "picows", "websockets", "msgspec", "uvloop", "Cython")


def store(name: str, figures: dict[str, object], *, quick: bool, folder: Path = RESULTS) -> Path:
    """Add one bench's figures to the file of this day, host and commit.

    Args:
        name: the bench, e.g. ``p1``; an earlier result of the same name is replaced.
        figures: plain values.
        quick: short runs go to a file of their own, which proves nothing.
        folder: where the file is; it is made when it is not there.

    Returns:
        The file.
    """
    commit, dirty = _commit()
    day = datetime.now(UTC)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{day:%Y-%m-%d}-{_host()}-{commit}{'-quick' if quick else ''}.json"
    content = json.loads(path.read_text()) if path.exists() else {"benches": {}}
    content.update(commit=commit, dirty=dirty or content.get("dirty", False), quick=quick, machine=machine())
    content["benches"][name] = {"at": day.isoformat(timespec="seconds"), **figures}
    path.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n")
    return path


def machine() -> dict[str, object]:
    """What the figures depend on; the host's name stays out."""
    return {
        "host": _host(),
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "python_build": " ".join((*platform.python_build(), platform.python_compiler())),
        "libraries": {name: _version(name) for name in LIBRARIES},
    }


def _host() -> str:
    return hashlib.sha256(platform.node().encode()).hexdigest()[:8]


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _commit() -> tuple[str, bool]:
    def git(*arguments: str) -> str:
        root = Path(__file__).parent.parent
        done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=False)
        return done.stdout.strip()

    changed = git("status", "--porcelain", "--", ":!bench/results")
    return git("rev-parse", "--short=10", "HEAD") or "no-commit", bool(changed)
