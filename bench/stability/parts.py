"""The parts by name, and how one of them is run by itself."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

from bench.report import Cell, say, table
from bench.stability import disturbed, rate, reconnects, undisturbed
from bench.stability.marks import Figures
from bench.stability.options import Options

Measure = Callable[..., Coroutine[Any, Any, Figures]]

PARTS: dict[str, Callable[[Options], Coroutine[Any, Any, Figures]]] = {
    "undisturbed": undisturbed.measure,
    "disturbed": disturbed.measure,
    "reconnects": reconnects.measure,
    "rate": rate.measure,
}


def apart(measure: Measure, *arguments: object) -> Figures:
    """Run something in a process of its own: what it holds at its end was not left there by another.

    Raises:
        BenchError: it could not be run.
        FeedmuxError: the link ended, or never began.
        TimeoutError: something took far too long.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_run, measure, *arguments).result()


def _run(measure: Measure, *arguments: object) -> Figures:
    logging.basicConfig(level=logging.ERROR)  # that a connection ended is what is wanted here
    return asyncio.run(measure(*arguments))


def show(name: str, figures: Figures) -> None:
    """Print the marks, and what was wrong."""
    rows: list[list[Cell]] = [
        [mark, each["measured"], each["wanted"], "yes" if each["met"] else "NO"]
        for mark, each in figures["marks"].items()
    ]
    table(f"stability, {name}", ["mark", "measured", "wanted", "met"], rows)
    for error in (*figures.get("errors", ()), *figures.get("gaps_unsaid", ())):
        say(f"  {error}")
    say(f"{name}: {'passed' if figures['passed'] else 'MISSED'}")
