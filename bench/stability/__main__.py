"""Find out whether links endure: ``python -m bench.stability [PART ...] [--minutes M] [--store]``.

``undisturbed`` and ``disturbed`` are runs on a simulated Deribit behind a proxy, the second with a fault
every second; ``reconnects`` ends one connection after the other; ``rate`` sends numbered messages. Without
names all of them run, each in a process of its own. The exit code is 1 when a mark is missed.
"""

from __future__ import annotations

import argparse
import sys
from concurrent.futures.process import BrokenProcessPool

from bench.report import say
from bench.results import store
from bench.stability.options import MINUTES, RATE, RECONNECTS, SECONDS, Options
from bench.stability.parts import PARTS, apart, show
from bench.system.native import BenchError
from feedmux.model.errors import FeedmuxError


def main() -> int:
    """Read the command line, run, store; 1 when a mark was missed."""
    chosen = _chosen()
    options = Options(
        chosen.minutes, chosen.reconnects, chosen.rate, chosen.seconds, chosen.seed, spoil=chosen.spoil
    )
    outcomes = [_run(name, options, keep=chosen.store) for name in chosen.parts or PARTS]
    return 0 if all(outcomes) else 1


def _chosen() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.stability", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--minutes", type=float, default=MINUTES, help="of each run on the simulated venue")
    parser.add_argument("--reconnects", type=int, default=RECONNECTS, help="in a row")
    parser.add_argument("--rate", type=int, default=RATE, help="messages a second")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="that the rate is kept, twice")
    parser.add_argument("--seed", type=int, default=1, help="the same seed chooses the same faults")
    parser.add_argument("--store", action="store_true", help="keep the result")
    parser.add_argument("--spoil", action="store_true", help="spoil each part: its marks have to be missed")
    chosen = parser.parse_args()
    for name in chosen.parts:
        if name not in PARTS:
            parser.error(f"there is no part {name!r}; there are {', '.join(PARTS)}")
    return chosen


def _run(name: str, options: Options, *, keep: bool) -> bool:
    say(f"{name} ...")
    try:
        figures = apart(PARTS[name], options)
    except (BenchError, FeedmuxError, TimeoutError, BrokenProcessPool) as error:
        say(f"{name} could not be run: {error!r}")
        return False
    show(name, figures)
    if keep:
        say(f"stored in {store(f'stability-{name}', figures, quick=options.is_quick)}\n")
    return bool(figures["passed"])


if __name__ == "__main__":
    sys.exit(main())
