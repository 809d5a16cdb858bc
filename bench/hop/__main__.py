"""Measure one pair of processes once: ``python -m bench.hop ring poll spin --rate 1000``."""

from __future__ import annotations

import argparse
import json

from bench.hop.pair import run
from bench.hop.port import Work


def main() -> None:
    """Read the command line, measure, print the sample as one line of JSON."""
    parser = argparse.ArgumentParser(prog="python -m bench.hop", description=__doc__)
    parser.add_argument("transport", choices=("ring", "seqpacket", "zeromq", "iceoryx", "queue"))
    parser.add_argument("reading", choices=("poll", "many", "loop", "wait"))
    parser.add_argument("how", choices=("spin", "sleep", "bursts", "free"))
    parser.add_argument("--rate", type=float, default=1_000.0)
    parser.add_argument("--burst", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--warmup", type=float, default=0.2)
    parser.add_argument("--cores", default="0,1", help="the writer's and the reader's")
    options = parser.parse_args()
    works = [
        Work(0, "free", options.reading, options.rate, 64, options.warmup),  # through all of its memory
        Work(1, options.how, options.reading, options.rate, options.burst, options.warmup),
        Work(2, options.how, options.reading, options.rate, options.burst, options.seconds),
    ]
    writer, reader = (int(core) for core in options.cores.split(","))
    print(json.dumps(run(options.transport, works, (writer, reader))))


if __name__ == "__main__":
    main()
