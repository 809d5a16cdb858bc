"""Run benches: ``python -m bench [p1 p5 p6 p9] [--seconds S] [--quick]``, or ``selfcheck``.

Without names all of them run; ``floor`` measures the C loop alone, without a gateway, and
``rivals [NAME ...]`` other servers beside it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

from bench import selfcheck
from bench.build import build
from bench.micro import feed
from bench.report import say, table
from bench.results import store
from bench.rivals import NAMES as RIVALS
from bench.rivals import run as rivals
from bench.system import p1, p5, p6
from bench.system.gateway import interpreter_finds_gateway
from bench.system.native import LOAD_CORE, BenchError, pinned
from bench.system.run import floor_run, relay_run

Bench = Callable[..., dict[str, Any]]


def floor_alone(*, seconds: float, quick: bool) -> dict[str, Any]:
    """What the C loop reaches on this machine: 1,000 clients, 420 bytes."""
    del quick
    samples = {
        "floor": floor_run("saturate", clients=p1.CLIENTS, seconds=seconds),
        "relay": relay_run("window 2", clients=p1.CLIENTS, seconds=seconds),
    }
    names = ("deliveries_per_s", "cpu_us_per_delivery", "server_busy", "load_busy", "foreign_share", "lost")
    rows = [[name, *(sample[figure] for figure in names)] for name, sample in samples.items()]
    table("The C loop at saturation, 1,000 clients, 420 bytes", ["", *names], rows)
    return {"samples": samples}


BENCHES: dict[str, tuple[Bench, float]] = {
    "p1": (p1.run, 5.0),
    "p5": (p5.run, 5.0),
    "p6": (p6.run, 0.0),
    "p9": (feed.run, 10.0),
    "floor": (floor_alone, 5.0),
    "rivals": (rivals.run, 5.0),
}
"""Each bench with its seconds of measuring per run."""
_NEED_GATEWAY = {"p1", "p5", "p6"}
_USUAL = ("p1", "p5", "p6", "p9")


def main() -> int:
    """Read the command line, run, store; 1 when something could not be measured."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="bench", help=f"{', '.join(BENCHES)} or selfcheck")
    parser.add_argument("--seconds", type=float, help="measured seconds per run, instead of each bench's own")
    parser.add_argument("--quick", action="store_true", help="fewer and shorter runs, stored apart")
    options = parser.parse_args()
    names, chosen = _take_rivals(options.names or list(_USUAL))
    for name in names:
        if name not in BENCHES and name != "selfcheck":
            parser.error(f"there is no bench {name!r}; there are {', '.join(BENCHES)} and selfcheck")
    build()
    with pinned(LOAD_CORE):
        outcomes = [_run(name, chosen, options.seconds, quick=options.quick) for name in names]
    return 0 if all(outcomes) else 1


def _take_rivals(names: list[str]) -> tuple[list[str], list[str]]:
    """Part the benches from the rivals that are named behind ``rivals``."""
    if "rivals" not in names:
        return names, []
    first = last = names.index("rivals") + 1
    while last < len(names) and names[last] in RIVALS:
        last += 1
    return names[:first] + names[last:], names[first:last]


def _run(name: str, chosen: list[str], seconds: float | None, *, quick: bool) -> bool:
    if name == "selfcheck":
        return selfcheck.run()
    if name in _NEED_GATEWAY and not interpreter_finds_gateway():
        say(f"{name}: {sys.executable} finds no feedmux to start; run `make install` first")
        return False
    bench, usual = BENCHES[name]
    if chosen and name == "rivals":
        bench = partial(bench, names=chosen)
    try:
        figures = bench(seconds=seconds or (usual / 2 if quick else usual), quick=quick)
    except (BenchError, ImportError) as error:
        say(f"{name} could not be measured: {error}")
        return False
    say(f"stored in {store(name, figures, quick=quick)}\n")
    return True


if __name__ == "__main__":
    sys.exit(main())
