"""The parts by name, and how one of them is run by itself."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

from bench.stability import disturbed, rate, reconnects, undisturbed
from bench.stability.marks import Figures
from bench.stability.options import Options

PARTS: dict[str, Callable[[Options], Coroutine[Any, Any, Figures]]] = {
    "undisturbed": undisturbed.measure,
    "disturbed": disturbed.measure,
    "reconnects": reconnects.measure,
    "rate": rate.measure,
}


def apart(name: str, options: Options) -> Figures:
    """Run one part in a process of its own: what it holds at its end was not left there by another.

    Raises:
        BenchError: it could not be run.
        FeedmuxError: the link ended, or never began.
        TimeoutError: something took far too long.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_measure, name, options).result()


def _measure(name: str, options: Options) -> Figures:
    logging.basicConfig(level=logging.ERROR)  # that a connection ended is what is wanted here
    return asyncio.run(PARTS[name](options))
