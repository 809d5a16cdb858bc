"""What a deployment builds and starts: the image's steps, the start script, the platform files.

There need not be a container engine where tests run, so the Dockerfile is read and done here, in an
empty folder that stands for the image's root: COPY copies, RUN and CMD run with absolute
paths of the image moved below that folder. Only the steps in NEEDS_ROOT are left out.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
import tomllib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from feedmux import __version__
from feedmux.app.settings import Settings, fields

ROOT = Path(__file__).parents[2]
NOWHERE = "ws://127.0.0.1:9/v5/public/linear"
START_DEADLINE_S = 60.0
NEEDS_ROOT = {
    "apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev",
    "useradd --system --uid 10001 --home-dir /app feedmux",
}
"""Steps that need root or Debian's packages; they are not run here."""


class Step(NamedTuple):
    """One instruction of a Dockerfile."""

    word: str
    rest: str


def steps(text: str) -> Iterator[Step]:
    """Read a Dockerfile: comments go, continued lines become one."""
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    for instruction in re.sub(r"\\\n\s*", "", "\n".join(lines)).splitlines():
        word, _, rest = instruction.partition(" ")
        yield Step(word.upper(), rest.strip())


DOCKERFILE = list(steps((ROOT / "Dockerfile").read_text()))


class Image:
    """A Dockerfile that is done in a folder; the folder of the last stage is :attr:`root`.

    Args:
        folder: an empty folder; each stage works in ``<folder>/root``, and is moved away at its end,
            because what it built may remember its paths.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.root = folder / "root"
        self._stages: dict[str, Path] = {}
        self._name = ""
        self._bin = folder / "bin"
        self._bin.mkdir()
        base = getattr(sys, "_base_executable", sys.executable)
        for name in ("python", "python3"):
            (self._bin / name).symlink_to(base)
        self._begin()
        self.command: list[str] = []
        self.health = ""
        self.user = ""
        self.skipped: set[str] = set()

    def _begin(self) -> None:
        self.root.mkdir()
        self.cwd = self.root
        self.environment: dict[str, str] = {}

    def do(self, step: Step) -> None:
        """Do one instruction."""
        getattr(self, f"_{step.word.lower()}")(step.rest)

    def at(self, text: str) -> str:
        """``text`` with the image's own absolute paths moved below the root."""
        return re.sub(r"(?<![\w.])/(opt|app|build)(?![\w.])", rf"{self.root}/\1", text)

    def env(self, **more: str) -> dict[str, str]:
        """The environment of a process in the image; pip's settings are the machine's."""
        ours = {key: value for key, value in os.environ.items() if key.lower() not in fields()}
        path = f"{self._bin}:/usr/bin:/bin"
        for outside in ("PYTHONPATH", "VIRTUAL_ENV", "PYTHONHOME"):
            ours.pop(outside, None)
        return ours | {"PATH": path} | self._expanded(path) | more

    def _expanded(self, path: str) -> dict[str, str]:
        return {name: self.at(value).replace("$PATH", path) for name, value in self.environment.items()}

    def _from(self, rest: str) -> None:
        base, _, name = rest.partition(" AS ")
        assert base == "python:3.11-slim"
        if self._name:
            self._stages[self._name] = self.root.rename(self._folder / f"stage-{self._name}")
            self._begin()
        self._name = name or "final"

    def _workdir(self, rest: str) -> None:
        self.cwd = Path(self.at(rest))
        self.cwd.mkdir(parents=True, exist_ok=True)

    def _env(self, rest: str) -> None:
        self.environment |= dict(pair.split("=", 1) for pair in shlex.split(rest))

    def _copy(self, rest: str) -> None:
        *sources, target = shlex.split(rest)
        home = ROOT
        if sources[0].startswith("--from="):
            home = self._stages[sources.pop(0).removeprefix("--from=")]
        for source in sources:
            self._copy_one(home, source.lstrip("/"), target)

    def _copy_one(self, home: Path, source: str, target: str) -> None:
        origin, goal = home / source, self.cwd / self.at(target)
        if origin.is_dir():
            ignore = leave_out if home == ROOT else None
            shutil.copytree(origin, goal, symlinks=True, ignore=ignore, dirs_exist_ok=True)
        else:
            assert home != ROOT or not is_ignored(source), f".dockerignore keeps {source} out"
            shutil.copy2(origin, goal / origin.name if target.endswith("/") else goal)

    def _run(self, rest: str) -> None:
        if rest in NEEDS_ROOT:
            self.skipped.add(rest)
            return
        done = subprocess.run(
            ["/bin/sh", "-ec", self.at(rest)],
            cwd=self.cwd,
            env=self.env(),
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert done.returncode == 0, f"RUN {rest}\n{done.stdout}{done.stderr}"

    def _user(self, rest: str) -> None:
        self.user = rest

    def _expose(self, rest: str) -> None:
        assert rest == self.environment["PORT"]

    def _healthcheck(self, rest: str) -> None:
        self.health = rest.partition(" CMD ")[2]

    def _cmd(self, rest: str) -> None:
        self.command = json.loads(rest)


IGNORE = [
    line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")
]


def is_ignored(path: str) -> bool:
    """Whether .dockerignore keeps ``path`` out of the build: the last line that fits decides."""
    parents = ["/".join(path.split("/")[: n + 1]) for n in range(path.count("/") + 1)]
    ignored = False
    for line in IGNORE:
        pattern = line.removeprefix("!")
        anywhere = pattern.removeprefix("**/")
        if any(fnmatch(p.rpartition("/")[2] if anywhere != pattern else p, anywhere) for p in parents):
            ignored = not line.startswith("!")
    return ignored


def leave_out(folder: str, names: list[str]) -> set[str]:
    """What .dockerignore keeps out of a folder that is copied."""
    place = Path(folder).relative_to(ROOT).as_posix()
    return {name for name in names if is_ignored(f"{place}/{name}")}


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    """The image, built once; pip really installs into it."""
    built = Image(tmp_path_factory.mktemp("image"))
    for step in DOCKERFILE:
        built.do(step)
    return built


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@asynccontextmanager
async def started(command: list[str], *, cwd: Path, env: dict[str, str]) -> AsyncIterator[Any]:
    """A process; it is gone when the block ends."""
    process = await asyncio.create_subprocess_exec(
        *command, cwd=cwd, env=env, stdin=asyncio.subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def ready(port: int, process: Any) -> None:
    """Ask ``/ready`` until it answers 200."""
    async with asyncio.timeout(START_DEADLINE_S):
        while await status_of(port, "/ready") != 200:
            assert process.returncode is None, f"it ended with {process.returncode}"
            await asyncio.sleep(0.02)


async def status_of(port: int, path: str) -> int | None:
    """The HTTP status of ``path``; None when nobody listens."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return None
    writer.write(f"GET {path} HTTP/1.1\r\nHost: gateway\r\n\r\n".encode())
    head = await reader.readline()
    writer.close()
    return int(head.split()[1]) if head else None


def test_every_step_of_the_dockerfile_runs(image: Image) -> None:
    assert image.skipped == NEEDS_ROOT, "NEEDS_ROOT names a step that is not there"
    assert image.user == "feedmux", "the image does not run as root"
    assert {path.name for path in image.root.iterdir()} == {"opt", "app"}
    version = subprocess.run(
        [*image.command[:1], "--version"], env=image.env(), capture_output=True, text=True, check=True
    )
    assert version.stdout == f"feedmux {__version__}\n"


def test_the_image_holds_the_package_itself_and_no_tests(image: Image) -> None:
    probe = "import feedmux; print(feedmux.__file__)"
    python = image.root / "opt/feedmux/bin/python"
    where = subprocess.run([python, "-c", probe], env=image.env(), capture_output=True, text=True, check=True)
    assert Path(where.stdout.strip()).is_relative_to(image.root)
    missing = subprocess.run(
        [python, "-c", "import pytest"], env=image.env(), capture_output=True, check=False
    )
    assert missing.returncode == 1


def test_the_image_can_speak_to_redis_and_to_rabbitmq(image: Image) -> None:
    python = image.root / "opt/feedmux/bin/python"
    done = subprocess.run(
        [python, "-c", "import hiredis, aio_pika"],
        env=image.env(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_the_package_has_its_native_code_compiled_and_nothing_that_it_was_made_of(image: Image) -> None:
    (native,) = image.root.glob("opt/feedmux/lib/python*/site-packages/feedmux/_native")
    sources = (ROOT / "src/feedmux/_native").glob("*.pyx")
    found = sorted(path.relative_to(native).as_posix() for path in native.rglob("*") if path.is_file())
    compiled = [name for name in found if name.endswith(".so")]
    assert [name.partition(".")[0] for name in compiled] == sorted(path.stem for path in sources)
    assert {Path(name).suffix for name in found} <= {".so", ".py", ".pyc", ".pyi"}
    tried = subprocess.run(
        [*image.command[:1], "bench", "--clients", "5", "--rates", "20", "--seconds", "0.5", "--warmup", "0"],
        cwd=image.cwd, env=image.env(), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert tried.returncode == 0, tried.stderr
    assert "deliveries" in tried.stdout


async def test_the_images_command_is_ready_healthy_and_ends_on_sigterm(image: Image) -> None:
    port = free_port()
    env = image.env(PORT=str(port), BYBIT_WS_URL=NOWHERE, DRAIN_SECONDS="0.5")
    check = ["/bin/sh", "-c", image.health]
    before = await asyncio.to_thread(subprocess.run, check, env=env, capture_output=True, timeout=30)
    assert before.returncode != 0, "the health check passes although nothing runs"
    async with started(image.command, cwd=image.cwd, env=env) as process:
        await ready(port, process)
        healthy = await asyncio.create_subprocess_exec(*check, env=env)
        assert await healthy.wait() == 0
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(START_DEADLINE_S):
            assert await process.wait() == 0


def with_a_venv(image: Image, project: Path) -> dict[str, str]:
    (project / ".venv").symlink_to(image.root / "opt/feedmux")
    return image.env(PATH="/usr/bin:/bin")


def on_the_path(image: Image, project: Path) -> dict[str, str]:
    return image.env(PATH=f"{image.root / 'opt/feedmux/bin'}:/usr/bin:/bin")


@pytest.mark.parametrize("found", [with_a_venv, on_the_path])
async def test_the_start_script_is_ready_on_its_port(
    found: Callable[[Image, Path], dict[str, str]],
    image: Image,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    script = tmp_path / "scripts" / "start.sh"
    script.parent.mkdir()
    shutil.copy2(ROOT / "scripts" / "start.sh", script)
    port = free_port()
    env = found(image, tmp_path) | {"PORT": str(port), "BYBIT_WS_URL": NOWHERE, "DRAIN_SECONDS": "0"}
    began = time.monotonic()
    async with started([str(script)], cwd=Path("/"), env=env) as process:
        await ready(port, process)
        seconds = time.monotonic() - began
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(START_DEADLINE_S):
            assert await process.wait() == 0, "exec: the signal reaches the gateway itself"
    record_property("seconds_to_ready", round(seconds, 3))
    with capsys.disabled():
        sys.stdout.write(f"\n    scripts/start.sh ({found.__name__}) was ready after {seconds:.2f} s\n")


def test_the_start_script_says_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "scripts").mkdir()
    script = shutil.copy2(ROOT / "scripts" / "start.sh", tmp_path / "scripts")
    done = subprocess.run(
        [script], env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.returncode, done.stdout) == (127, "")
    assert done.stderr == "start.sh: feedmux is not installed; run: make install\n"


def test_the_build_is_given_nothing_but_the_source() -> None:
    for secret in (".env", ".git", ".git/config", ".venv", "tests/e2e", "src/feedmux/__pycache__"):
        assert is_ignored(secret), secret
    for wanted in ("src", "src/feedmux", "src/feedmux/py.typed", "pyproject.toml"):
        assert not is_ignored(wanted), wanted


def drain_s() -> float:
    """How long a gateway may take to end, by its defaults."""
    defaults = Settings()
    return defaults.drain_grace + defaults.drain_seconds


def test_the_compose_file_names_what_exists() -> None:
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    assert list(services) == ["gateway"]
    gateway = services["gateway"]
    assert (ROOT / gateway["build"] / "Dockerfile").exists()
    assert {name.lower() for name in gateway["environment"]} <= set(fields())
    assert gateway["ports"] == ["${PORT:-8000}:" + gateway["environment"]["PORT"]]
    assert (ROOT / ".env.example").exists(), "the text of the documents: copy it to .env"
    assert not gateway["env_file"][0]["required"]
    assert float(gateway["stop_grace_period"].removesuffix("s")) > drain_s()


def test_the_railway_file_names_what_exists() -> None:
    railway = tomllib.loads((ROOT / "railway.toml").read_text())
    assert railway["build"] == {"builder": "DOCKERFILE", "dockerfilePath": "Dockerfile"}
    deploy = railway["deploy"]
    assert deploy.pop("drainingSeconds") > drain_s()
    assert deploy == {
        "healthcheckPath": "/ready",
        "healthcheckTimeout": 30,
        "numReplicas": 1,
        "restartPolicyType": "ON_FAILURE",
        "restartPolicyMaxRetries": 5,
    }
