"""The rivals: what each is, how it is installed, which version is there, how it is started."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.build import tool
from bench.report import say
from bench.rivals.nchan import Nchan
from bench.rivals.server import Server
from bench.system.native import BenchError

HERE = Path(__file__).parent
SERVERS = HERE / "servers"
CACHE = HERE / ".cache"
NODE_MODULES = SERVERS / "node_modules"
PYTHON = CACHE / "python" / "bin" / "python"
DEBIAN = CACHE / "debian"

Serve = Callable[[str, str, Sequence[object]], AbstractContextManager[Any]]
"""Starts a server, given the rival's name and version and the workload's options."""


@dataclass(frozen=True)
class Subject:
    """One rival.

    Args:
        name: as on the command line and in the results.
        design: how it sends one message to many, in one line.
        find_version: its version; None when it is not installed.
        serve: starts it.
    """

    name: str
    design: str
    find_version: Callable[[], str | None]
    serve: Serve

    @property
    def version(self) -> str | None:
        """What is installed, with what it runs on; None when it is not."""
        return self.find_version()

    def __call__(
        self, *, symbols: Sequence[str] = ("BTCUSDT",), topics: int = 0, client_bytes: int = 420
    ) -> AbstractContextManager[Any]:
        """Start it on a workload.

        Args:
            symbols: one message of each per tick.
            topics: instead, so many topics, whose messages are taken at random.
            client_bytes: about how long a message is.

        Raises:
            BenchError: it is not installed, or does not start.
        """
        version = self.version
        if version is None:
            raise BenchError(f"{self.name} is not installed; run `make rivals`")
        which = ["--topics", topics] if topics else ["--symbols", ",".join(symbols)]
        return self.serve(self.name, version, [*which, "--client-bytes", client_bytes])


def subjects(names: Sequence[str] | None = None) -> list[Subject]:
    """The rivals of these names that are installed, in the order asked for; all of them by default.

    Each one that is not installed is left out with one line.

    Raises:
        BenchError: there is no such rival.
    """
    chosen = [_find(name) for name in names or NAMES]
    for subject in chosen:
        if subject.version is None:
            say(f"{subject.name} is left out: it is not installed; run `make rivals`")
    return [subject for subject in chosen if subject.version is not None]


def missing(names: Sequence[str] | None = None) -> list[str]:
    """Those of the rivals that are not installed, for the results to say."""
    return [name for name in names or NAMES if _find(name).version is None]


def _find(name: str) -> Subject:
    for subject in _SUBJECTS:
        if subject.name == name:
            return subject
    raise BenchError(f"there is no rival {name!r}; there are {', '.join(NAMES)}")


# ---- versions --------------------------------------------------------------------------------------------


def _of_module(name: str) -> str | None:
    package = NODE_MODULES / name / "package.json"
    return json.loads(package.read_text())["version"] if package.exists() else None


def version_of_distribution(name: str) -> str | None:
    """The version of a Python package in the rivals' environment; None when it is not there."""
    found = sorted(CACHE.glob(f"python/lib/python*/site-packages/{name}-*.dist-info"))
    return found[-1].name.removesuffix(".dist-info").rpartition("-")[2] if found else None


def _of_node(module: str) -> str | None:
    version = _of_module(module)
    if version is None or shutil.which("node") is None:
        return None
    said = subprocess.run(["node", "--version"], capture_output=True, text=True, check=False)
    return f"{version} (node {said.stdout.strip()})"


def _with_uvloop(name: str) -> str | None:
    version, loop = version_of_distribution(name), version_of_distribution("uvloop")
    return f"{version} (uvloop {loop})" if version and loop else None


def _of_nchan() -> str | None:
    version = DEBIAN / "version"
    return version.read_text() if version.exists() else None


# ---- starting --------------------------------------------------------------------------------------------


def _program(*command: str | Path) -> Serve:
    return lambda name, version, options: Server(name, version, [str(part) for part in command], options)


def _floor(name: str, version: str, options: Sequence[object]) -> Server:
    return Server(name, version, [tool("floor")], options)


def _nchan(name: str, version: str, options: Sequence[object]) -> Nchan:
    return Nchan(name, version, DEBIAN, options)


_ASYNCIO = SERVERS / "asyncio_server.py"
_SUBJECTS = (
    Subject("floor", "the C loop: send() or writev() per client", lambda: "C", _floor),
    Subject(
        "bun",
        "server.publish, native uWebSockets",
        lambda: _of_module("bun"),
        _program(NODE_MODULES / ".bin" / "bun", SERVERS / "bun_server.js"),
    ),
    Subject(
        "socketify",
        "app.publish, uWebSockets from Python",
        lambda: version_of_distribution("socketify"),
        _program(PYTHON, SERVERS / "socketify_server.py"),
    ),
    Subject(
        "ws",
        "node ws, client.send per client",
        lambda: _of_node("ws"),
        _program("node", SERVERS / "ws_server.js"),
    ),
    Subject(
        "picows",
        "transport.send per client",
        lambda: _with_uvloop("picows"),
        _program(PYTHON, _ASYNCIO, "picows"),
    ),
    Subject(
        "broadcast",
        "websockets.broadcast",
        lambda: _with_uvloop("websockets"),
        _program(PYTHON, _ASYNCIO, "broadcast"),
    ),
    Subject("nchan", "nginx module, fed by HTTP POST", _of_nchan, _nchan),
    Subject(
        "gather",
        "asyncio.gather of timed websockets sends",
        lambda: _with_uvloop("websockets"),
        _program(PYTHON, _ASYNCIO, "gather"),
    ),
)
NAMES = tuple(subject.name for subject in _SUBJECTS)
"""Every rival, the C loop first."""
