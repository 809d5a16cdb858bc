"""Run benches: ``python -m bench [p1 p2 ...] [--seconds S] [--quick] [--rivals NAMES|none]``.

Without names all of them run. ``selfcheck`` tries the tools, ``floor`` measures the C loop alone,
without a gateway, ``soak`` is the long run of ``make soak``, and ``rivals [NAME ...]`` measures other
servers beside the C loop.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from bench import selfcheck
from bench.build import build
from bench.micro import feed
from bench.report import say, table
from bench.results import RESULTS, store
from bench.rivals import NAMES as RIVALS
from bench.rivals import buses, hops
from bench.rivals import run as rivals
from bench.system import p1, p2, p3, p5, p6, p7, p8, p10, p11, p12, p13, p14, p15, rango, soak
from bench.system.gateway import interpreter_finds_gateway
from bench.system.native import LOAD_CORE, BenchError, pinned
from bench.system.rivals import USUAL, Rival, installed
from bench.system.run import Workload, floor, relay
from bench.system.run import run as run_once


class Bench(NamedTuple):
    """A bench: what runs it, its seconds of measuring per run, what it needs, beside whom it runs."""

    run: Callable[..., dict[str, Any]]
    seconds: float
    needs_gateway: bool = True
    takes_rivals: bool = False
    takes_hops: bool = False
    takes_buses: bool = False
    needs_tools: bool = True


def floor_alone(*, seconds: float, quick: bool) -> dict[str, Any]:
    """What the C loop reaches on this machine: 1,000 clients, 420 bytes."""
    del quick
    samples = {
        "floor": run_once(floor, Workload(command="saturate", seconds=seconds)),
        "relay": run_once(relay, Workload(command="window 2", seconds=seconds)),
    }
    names = ("deliveries_per_s", "cpu_us_per_delivery", "server_busy", "load_busy", "foreign_share", "lost")
    rows = [[name, *(sample[figure] for figure in names)] for name, sample in samples.items()]
    table("The C loop at saturation, 1,000 clients, 420 bytes", ["", *names], rows)
    return {"samples": samples}


BENCHES: dict[str, Bench] = {
    "p1": Bench(p1.run, 5.0, takes_rivals=True),
    "p2": Bench(p2.run, 5.0, takes_rivals=True),
    "p3": Bench(p3.run, 3.0, takes_rivals=True),
    "p5": Bench(p5.run, 5.0),
    "p6": Bench(p6.run, 0.0),
    "p7": Bench(p7.run, 5.0),
    "p8": Bench(p8.run, 3.0),
    "p9": Bench(feed.run, 10.0, needs_gateway=False),
    "p10": Bench(p10.run, 2.0, needs_gateway=False, takes_hops=True, needs_tools=False),
    "p11": Bench(p11.run, 3.0, takes_buses=True),
    "p12": Bench(p12.run, 5.0),
    "p13": Bench(p13.run, 0.0),
    "p14": Bench(p14.run, 0.0),
    "p15": Bench(p15.run, 3.0),
    "rango": Bench(rango.run, 5.0),
    "floor": Bench(floor_alone, 5.0, needs_gateway=False),
    "rivals": Bench(rivals.run, 5.0, needs_gateway=False),
}
_APART = (*hops.NAMES, *buses.NAMES)
"""Rivals that are no servers of clients."""
_USUAL = ("p1", "p2", "p3", "p5", "p6", "p7", "p8", "p9", "p10", "p11", "p12", "p13", "p14", "p15", "rango")


def main() -> int:
    """Read the command line, run, store; 1 when something could not be measured."""
    options = _options()
    if any(name not in BENCHES or BENCHES[name].needs_tools for name in options.names):
        build()
    with pinned(LOAD_CORE):
        beside = _beside(options)
        outcomes = [_run(name, options, beside) for name in options.names]
    return 0 if all(outcomes) else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="bench", help=f"{', '.join(BENCHES)}, soak or selfcheck")
    parser.add_argument("--seconds", type=float, help="measured seconds per run, instead of each bench's own")
    parser.add_argument("--quick", action="store_true", help="fewer and shorter runs, stored apart")
    parser.add_argument(
        "--rivals",
        default=",".join((*USUAL, *hops.NAMES, *buses.NAMES)),
        help="beside whom p1, p2, p3, p10 and p11 run, or none",
    )
    parser.add_argument("--clients", type=int, default=soak.CLIENTS, help="of the soak")
    parser.add_argument(
        "--results", type=Path, default=RESULTS, help="the folder in which results are stored"
    )
    options = parser.parse_args()
    options.rivals = [] if options.rivals == "none" else options.rivals.split(",")
    options.names, options.chosen = _take_rivals(options.names or list(_USUAL))
    for name in options.names:
        if name not in BENCHES and name not in {"soak", "selfcheck"}:
            parser.error(f"there is no bench {name!r}; there are {', '.join(BENCHES)}, soak and selfcheck")
    return options


def _take_rivals(names: list[str]) -> tuple[list[str], list[str]]:
    """Part the benches from the rivals that are named behind ``rivals``."""
    if "rivals" not in names:
        return names, []
    first = last = names.index("rivals") + 1
    while last < len(names) and names[last] in RIVALS:
        last += 1
    return names[:first] + names[last:], names[first:last]


def _beside(options: argparse.Namespace) -> list[Rival]:
    """The rivals that p1, p2 and p3 measure beside the gateway."""
    wanted = any(name in BENCHES and BENCHES[name].takes_rivals for name in options.names)
    return installed([name for name in options.rivals if name not in _APART]) if wanted else []


def _run(name: str, options: argparse.Namespace, beside: Sequence[Rival]) -> bool:
    if name == "selfcheck":
        return selfcheck.run()
    if (name == "soak" or BENCHES[name].needs_gateway) and not interpreter_finds_gateway():
        say(f"{name}: {sys.executable} finds no feedmux to start; run `make install` first")
        return False
    try:
        figures = _soak(options) if name == "soak" else _bench(name, options, beside)
    except (BenchError, ImportError) as error:
        say(f"{name} could not be measured: {error}")
        return False
    say(f"stored in {store(name, figures, quick=options.quick, folder=options.results)}\n")
    return bool(figures.get("passed", True))


def _bench(name: str, options: argparse.Namespace, beside: Sequence[Rival]) -> dict[str, Any]:
    bench = BENCHES[name]
    seconds = options.seconds or (bench.seconds / 2 if options.quick else bench.seconds)
    more: dict[str, Any] = {"rivals": beside} if bench.takes_rivals else {}
    if bench.takes_hops:
        more["rivals"] = [name for name in options.rivals if name not in (*RIVALS, *buses.NAMES)]
    if bench.takes_buses:
        more["rivals"] = [name for name in options.rivals if name not in (*RIVALS, *hops.NAMES)]
    if name == "rivals":
        more["names"] = options.chosen or None
    return bench.run(seconds=seconds, quick=options.quick, **more)


def _soak(options: argparse.Namespace) -> dict[str, Any]:
    seconds = options.seconds or soak.SECONDS / (10 if options.quick else 1)
    return soak.run(clients=options.clients, seconds=seconds)


if __name__ == "__main__":
    sys.exit(main())
