"""``feedmux bench``: load a gateway with clients, and say what they got, how late, and what was lost."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, NamedTuple

import msgspec
import typer

import feedmux
from feedmux.app.chart import latency_over_load
from feedmux.app.commands.bench_runs import SPARE, Setting, own, run, say, theirs, workload
from feedmux.app.config import parse_pairs
from feedmux.app.measurement import (
    SCHEMA,
    Incomplete,
    Machine,
    Measurement,
    Point,
    Workload,
    commit_of,
    doubts,
    faults,
)
from feedmux.app.measurement_table import write_table
from feedmux.app.options import Pairs
from feedmux.model.errors import InvalidSetting, LocalError
from feedmux.sim.swarm import SwarmOptions

OWN_TOPICS = tuple(f"trade:S{number:03d}USDT" for number in range(100))
"""What the clients of an own gateway subscribe to, unless it is said: the venue trades anything."""
OWN_EACH = 20
OTHERS_TOPICS = ("ticker:BTCUSDT", "trade:BTCUSDT")
"""What the clients of somebody's gateway subscribe to, unless it is said."""
RATES = "100,1000,5000"
OURS = {"host", "port", "bybit_ws_url", "log_level", "log_json"}
"""Settings of an own gateway that are not to be chosen: by them it is found, and finds its venue."""


class CannotWrite(LocalError):
    """A file cannot be written.

    Args:
        path: which.
        reason: what the system says.
    """

    code = "CANNOT_WRITE"

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(path, reason)
        self.path, self.reason = path, reason

    def __str__(self) -> str:
        return f"{self.path} cannot be written: {self.reason}"


class Outputs(NamedTuple):
    """Where the result goes besides the terminal; ``-`` is standard output, instead of the table."""

    json: Path | None
    svg: Path | None

    def check(self) -> None:
        """Find out before the measurement, not after it.

        Raises:
            CannotWrite: there is no such folder.
        """
        for path in (self.json, self.svg):
            if path is not None and not path.parent.is_dir():
                raise CannotWrite(path, f"there is no folder {path.parent}")


Url = Annotated[
    str | None,
    typer.Argument(
        help="A gateway, e.g. ws://127.0.0.1:8000/ws; without it one is started.", show_default=False
    ),
]
Clients = Annotated[int, typer.Option(help="How many clients.")]
Topics = Annotated[
    str | None,
    typer.Option(
        help="What they subscribe to, separated by commas.",
        show_default="100 trade streams; with a URL ticker:BTCUSDT,trade:BTCUSDT",
    ),
]
TopicsFile = Annotated[
    Path | None, typer.Option(help="A file with topics, separated by white space.", show_default=False)
]
Each = Annotated[
    int | None, typer.Option(help="So many random ones of the topics for each client.", show_default="all")
]
Rates = Annotated[
    str | None,
    typer.Option(help="Messages/s of the venue, a run for each; only without a URL.", show_default=RATES),
]
Seconds = Annotated[float, typer.Option(help="How long each run is measured.")]
Warmup = Annotated[float, typer.Option(help="Seconds of data before that.")]
Slow = Annotated[float, typer.Option(help="Share of clients that read a tenth of the others, e.g. 0.01.")]
StopReading = Annotated[float, typer.Option(help="Share of clients that read nothing.")]
Processes = Annotated[int, typer.Option(help="Load processes; 0: as many as are useful.")]
MessageBytes = Annotated[
    int, typer.Option(help="About the size of a message; only without a URL.", min=230, max=1200)
]
SameClock = Annotated[
    bool, typer.Option("--same-clock", help="Time messages by their timestamp: the venue's clock is ours.")
]
Pid = Annotated[
    int | None,
    typer.Option(help="The server's process, if it is here: its CPU is measured.", show_default=False),
]
Json = Annotated[
    Path | None, typer.Option(help="Write the result; - is standard output.", show_default=False)
]
Svg = Annotated[Path | None, typer.Option(help="Draw latency over load.", show_default=False)]


def bench(
    url: Url = None,
    *,
    clients: Clients = 1000,
    topics: Topics = None,
    topics_file: TopicsFile = None,
    each: Each = None,
    rates: Rates = None,
    seconds: Seconds = 10.0,
    warmup: Warmup = 1.0,
    slow: Slow = 0.0,
    stop_reading: StopReading = 0.0,
    processes: Processes = 0,
    message_bytes: MessageBytes = 250,
    same_clock: SameClock = False,
    pid: Pid = None,
    pairs: Pairs = None,
    json: Json = None,
    svg: Svg = None,
) -> None:
    """Load a gateway with clients: deliveries/s, loss and latency, at each rate.

    With a URL that server is measured, at the rate at which its data comes.

    Without one a venue and a gateway are started, and each rate is a run of its own.
    """
    outputs = Outputs(json, svg)
    outputs.check()
    chosen = _topics(topics, topics_file, own_one=url is None)
    options = SwarmOptions(
        clients=clients,
        topics=chosen,
        each=OWN_EACH if each is None and chosen is OWN_TOPICS else each or 0,
        seconds=seconds,
        warmup_s=warmup,
        slow=slow,
        stop_reading=stop_reading,
        times="timestamp" if same_clock else "intended",
        processes=processes,
    )
    if url is not None:
        _refuse_own_options(rates, pairs)
        asyncio.run(_measure_theirs(url, options, pid, outputs))
    else:
        asyncio.run(_measure_own(_rates(rates or RATES), options, _asked(pairs), message_bytes, outputs))


# What was asked for


def _topics(listed: str | None, file: Path | None, *, own_one: bool) -> tuple[str, ...]:
    text = listed or ""
    if file is not None:
        try:
            text += "," + file.read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidSetting(
                "--topics-file", str(file), f"a text file that can be read ({error})"
            ) from error
    found = tuple(dict.fromkeys(text.replace(",", " ").split()))
    if listed is None and file is None:
        return OWN_TOPICS if own_one else OTHERS_TOPICS
    return found


def _rates(text: str) -> list[float]:
    try:
        rates = [float(part) for part in text.split(",")]
    except ValueError:
        rates = []
    if not rates or not all(0 < rate <= 10_000_000 for rate in rates):
        raise InvalidSetting("--rates", text, "messages per second, numbers above 0 separated by commas")
    return rates


def _refuse_own_options(rates: str | None, pairs: Sequence[str] | None) -> None:
    if rates is not None:
        raise InvalidSetting("--rates", rates, "no URL beside it: the data of a server comes at its own rate")
    if pairs:
        raise InvalidSetting("--set", pairs[0], "no URL beside it: a server has its own settings")


def _asked(pairs: Sequence[str] | None) -> dict[str, str]:
    """The settings that were asked for, for a gateway of our own."""
    asked = {name.lower().replace("-", "_"): value for name, value in parse_pairs(pairs or []).items()}
    for name in OURS & asked.keys():
        raise InvalidSetting("--set", f"{name}={asked[name]}", "none of " + ", ".join(sorted(OURS)))
    return asked


def _own_settings(options: SwarmOptions) -> dict[str, str]:
    """The settings of a gateway that is to be measured: room for all clients, else the defaults."""
    most = options.each or len(options.topics)
    return {
        "host": "127.0.0.1",
        "port": "0",
        "drain_seconds": "0",
        "log_level": "INFO",
        "log_json": "false",
        "local": "off",
        "max_clients_total": str(options.clients + SPARE),
        "max_subscriptions_per_client": str(max(100, most)),
    }


# The measured server


async def _measure_theirs(url: str, options: SwarmOptions, pid: int | None, outputs: Outputs) -> None:
    setting = await theirs(url, options, pid)
    await _measure(setting, [None], workload(setting), outputs)


async def _measure_own(
    rates: list[float], options: SwarmOptions, asked: dict[str, str], message_bytes: int, outputs: Outputs
) -> None:
    async with own(options, _own_settings(options) | asked, message_bytes) as setting:
        told = msgspec.structs.replace(workload(setting), settings=asked or None, message_bytes=message_bytes)
        await _measure(setting, rates, told, outputs)


async def _measure(
    setting: Setting, rates: Sequence[float | None], workload: Workload, outputs: Outputs
) -> None:
    """Make the runs; what was measured is shown and stored even when a later run fails.

    Raises:
        Incomplete: something was lost, or clients were closed.
    """
    points: list[Point] = []
    try:
        for rate in rates:
            points.append(await run(setting, rate))
    finally:
        if points:
            _deliver(_measurement(workload, points), outputs)
    if found := list(faults(points)):
        raise Incomplete(found)


# What comes of it


def _measurement(workload: Workload, points: list[Point]) -> Measurement:
    return Measurement(
        schema=SCHEMA,
        at=datetime.now(UTC).isoformat(timespec="seconds"),
        feedmux=feedmux.__version__,
        commit=commit_of(Path(feedmux.__file__).parent),
        machine=Machine.this(),
        workload=workload,
        points=points,
        notes=list(doubts(points)),
    )


def _deliver(measured: Measurement, outputs: Outputs) -> None:
    if outputs.json == Path("-"):
        sys.stdout.buffer.write(measured.encode())
        sys.stdout.buffer.flush()
    else:
        write_table(measured)
        if outputs.json is not None:
            _write(outputs.json, measured.encode())
    if outputs.svg is not None:
        picture = latency_over_load(measured)
        if picture is None:
            say(f"{outputs.svg} was not drawn: latency is not known")
        else:
            _write(outputs.svg, picture.encode())


def _write(path: Path, content: bytes) -> None:
    try:
        path.write_bytes(content)
    except OSError as error:
        raise CannotWrite(path, error.strerror or str(error)) from error
