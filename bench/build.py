"""Build the native tools: one file each, no dependencies, -O2.

Load and venue are the ones that the package ships as an extension, compiled to programs here.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

NATIVE = Path(__file__).parent / "native"
BIN = NATIVE / "bin"
SWARM = NATIVE.parents[1] / "src" / "feedmux" / "_native" / "swarm"
SOURCES = {
    "venue": SWARM / "venue.c",
    "floor": NATIVE / "floor.c",
    "load": SWARM / "load.c",
    "publisher": NATIVE / "publisher.c",
}
CPP_SOURCES = {"local_reader": NATIVE.parent / "local" / "reader.cpp"}
WARNINGS = ("-Wall", "-Wextra", "-Werror")
INCLUDE = NATIVE.parents[1] / "include"
FLAGS = ("-std=c11", "-D_GNU_SOURCE", "-O2", *WARNINGS, f"-I{SWARM}")
CPP_FLAGS = ("-std=c++17", "-O2", *WARNINGS, f"-I{INCLUDE}", "-pthread")


def build() -> None:
    """Compile what is older than its sources; ends the program when that fails."""
    BIN.mkdir(exist_ok=True)
    headers = [path for folder in (SWARM, NATIVE) for path in folder.glob("*.h")]
    compiler = _compiler("CC", "gcc", "cc")
    for name, source in SOURCES.items():
        _compile(name, source, headers, compiler, *FLAGS, f"-D{name}_main=main")
    compiler, headers = _compiler("CXX", "g++", "c++"), list(INCLUDE.rglob("*.hpp"))
    for name, source in CPP_SOURCES.items():
        _compile(name, source, headers, compiler, *CPP_FLAGS)


def _compiler(variable: str, *names: str) -> str:
    found = os.environ.get(variable) or next(filter(None, map(shutil.which, names)), None)
    if found is None:
        sys.exit(f"The benchmark tools need compilers for C and C++; install {names[0]} or set {variable}.")
    return found


def _compile(name: str, source: Path, headers: Sequence[Path], compiler: str, *flags: str) -> None:
    target = BIN / name
    latest = max(path.stat().st_mtime for path in (source, *headers))
    if target.exists() and target.stat().st_mtime > latest:
        return
    if subprocess.run([compiler, *flags, "-o", str(target), str(source)], check=False).returncode:
        sys.exit(f"{source.name} could not be built; the lines above say why.")


def tool(name: str) -> str:
    """The path of a built tool: one of :data:`SOURCES` or :data:`CPP_SOURCES`."""
    return str(BIN / name)
