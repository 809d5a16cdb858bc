"""Measure one pair of processes once: ``python -m bench.bus feedmux --redis 6379 --rate 1000``."""

from __future__ import annotations

import argparse
import json

from bench.bus.pair import run
from bench.bus.port import Work


def main() -> None:
    """Read the command line, measure, print the sample as one line of JSON."""
    parser = argparse.ArgumentParser(prog="python -m bench.bus", description=__doc__)
    parser.add_argument("way", choices=("feedmux", "redis_py", "plain"))
    parser.add_argument("--redis", type=int, required=True, help="its port on this machine")
    parser.add_argument("--redis-pid", type=int, required=True, help="its process")
    parser.add_argument("--rate", type=float, default=1_000.0)
    parser.add_argument("--burst", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--warmup", type=float, default=0.5)
    options = parser.parse_args()
    works = [
        Work(1, options.rate, options.burst, options.warmup),
        Work(2, options.rate, options.burst, options.seconds),
    ]
    print(json.dumps(run(options.way, options.redis, options.redis_pid, works)))


if __name__ == "__main__":
    main()
