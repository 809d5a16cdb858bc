"""Build the native tools: one C file each, no dependencies, gcc -O2.

Load and venue are the ones that the package ships as an extension, compiled to programs here.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
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
FLAGS = ("-std=c11", "-D_GNU_SOURCE", "-O2", "-Wall", "-Wextra", "-Werror", f"-I{SWARM}")


def build() -> None:
    """Compile what is older than its sources; ends the program when that fails."""
    compiler = os.environ.get("CC") or shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        sys.exit("The benchmark tools need a C compiler; install gcc or set CC.")
    BIN.mkdir(exist_ok=True)
    headers = max(path.stat().st_mtime for folder in (SWARM, NATIVE) for path in folder.glob("*.h"))
    for tool, source in SOURCES.items():
        target = BIN / tool
        if target.exists() and target.stat().st_mtime > max(headers, source.stat().st_mtime):
            continue
        if subprocess.run(
            [compiler, *FLAGS, f"-D{tool}_main=main", "-o", str(target), str(source)], check=False
        ).returncode:
            sys.exit(f"{source.name} could not be built; the lines above say why.")


def tool(name: str) -> str:
    """The path of a built tool: one of :data:`SOURCES`."""
    return str(BIN / name)
