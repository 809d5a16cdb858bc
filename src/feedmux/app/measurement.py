"""What ``feedmux bench`` measured: the document that ``--json`` writes, and the sentences about it.

A figure that is not known is absent. Every field is described in docs/benchmarks.md.
"""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Self

import msgspec

from feedmux.model.errors import FeedmuxError

SCHEMA: Final = 1
SATURATED: Final = 0.9
"""A load process that uses more of its core than this may be what was measured."""
BEHIND_S: Final = 0.1
"""A venue that is behind by more than the messages of this time was held up by the server."""


class Delays(msgspec.Struct, frozen=True, kw_only=True):
    """From a message's intended time to the client, in milliseconds."""

    measured: int
    p50_ms: float
    p90_ms: float
    p99_ms: float
    p999_ms: float
    max_ms: float


class SlowClients(msgspec.Struct, frozen=True, kw_only=True):
    """What the slow clients got; loss is what no gap message announced."""

    deliveries: int
    lost: int
    conflated: int
    announced: int
    closed: int


class Point(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One measured run."""

    deliveries: int
    deliveries_per_s: float
    seconds: float
    lost: int
    disorder: int
    duplicates: int
    announced: int
    closed: int
    bytes: int
    connect_seconds: float
    load_busy: float
    rate: float | None = None
    latency: Delays | None = None
    cpu_us_per_delivery: float | None = None
    server_busy: float | None = None
    venue_behind: int | None = None
    close_codes: tuple[int, ...] | None = None
    slow: SlowClients | None = None


class Workload(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the clients were told."""

    server: str
    clients: int
    topics: int
    each: int
    seconds: float
    warmup_seconds: float
    slow: float
    stop_reading: float
    processes: int
    times: str
    settings: dict[str, str] | None = None
    message_bytes: int | None = None


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """What the figures depend on; the host's name stays out."""

    host: str
    cpu: str
    cores: int
    kernel: str
    python: str

    @classmethod
    def this(cls) -> Self:
        """The machine that this runs on."""
        return cls(
            host=hashlib.sha256(platform.node().encode()).hexdigest()[:8],
            cpu=_cpu_model(),
            cores=os.cpu_count() or 1,
            kernel=platform.release(),
            python=platform.python_version(),
        )


class Measurement(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A whole run of ``feedmux bench``."""

    schema: int
    at: str
    feedmux: str
    machine: Machine
    workload: Workload
    points: list[Point]
    notes: list[str]
    commit: str | None = None

    def encode(self) -> bytes:
        """The document, indented, with a newline at its end."""
        return msgspec.json.format(msgspec.json.encode(self), indent=1) + b"\n"

    @property
    def title(self) -> str:
        """On what it was measured: the machine and what ran on it."""
        what = f"commit {self.commit}" if self.commit else f"feedmux {self.feedmux}"
        cores = f"{self.machine.cores} core{'s' if self.machine.cores > 1 else ''}"
        return f"{self.machine.cpu}, {cores}, {what}, {self.at[:10]}"


class Incomplete(FeedmuxError):
    """A run that was measured, and was not clean.

    Args:
        sentences: what happened, at least one.
    """

    code = "INCOMPLETE"

    def __init__(self, sentences: list[str]) -> None:
        super().__init__(sentences)
        self.sentences = tuple(sentences)

    def __str__(self) -> str:
        return "\n".join(self.sentences)


def read(path: Path) -> Measurement:
    """Read a stored document.

    Raises:
        msgspec.DecodeError: it is none.
    """
    return msgspec.json.decode(path.read_bytes(), type=Measurement)


def per_second(rate: float) -> str:
    """A rate as people write it: 5,000 or 0.5."""
    return f"{rate:,.0f}" if rate == int(rate) else f"{rate:,}"


def where(point: Point) -> str:
    """Which run of a sweep a point is."""
    return f"at {per_second(point.rate)} messages/s" if point.rate is not None else "in this run"


def faults(points: list[Point]) -> Iterator[str]:
    """What was not clean about the runs: one sentence each."""
    for point in points:
        unannounced = point.lost + (point.slow.lost if point.slow else 0)
        if unannounced:
            yield f"{where(point)}, {unannounced:,} messages were lost without a word"
        if point.disorder:
            yield f"{where(point)}, {point.disorder:,} messages came after newer ones"
        if point.closed:
            codes = ", ".join(map(str, point.close_codes or ())) or "no code"
            yield f"{where(point)}, the server closed {point.closed:,} clients ({codes})"


def doubts(points: list[Point]) -> Iterator[str]:
    """What a reader of the figures should know: one sentence each."""
    if any(point.load_busy > SATURATED for point in points):
        yield "the load used up its core: it may be what was measured; try more --processes"
    if any((point.venue_behind or 0) > (point.rate or 0) * BEHIND_S for point in points):
        yield "the server did not take all that was sent: at such a rate latency grows with --seconds"
    if points and all(point.latency is None for point in points):
        yield "latency is not known: the messages carry no intended time (see docs/benchmarks.md)"
    elif any(point.latency and point.latency.measured < point.deliveries for point in points):
        yield "latency is that of the messages that carry their intended time, which not all do"


def commit_of(folder: Path) -> str | None:
    """The commit that a source folder is at, with ``+`` when it was changed; None where there is none.

    An installed package may lie in somebody else's repository, which does not know its files.
    """
    try:
        _git(folder, "ls-files", "--error-unmatch", "__init__.py")
        name = _git(folder, "rev-parse", "--short=10", "HEAD")
        return name + ("+" if _git(folder, "status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def _git(folder: Path, *words: str) -> str:
    done = subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, check=True)  # noqa: S603, S607
    return done.stdout.strip()


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    for line in lines:
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
