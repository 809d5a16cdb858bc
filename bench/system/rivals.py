"""The rivals as subjects of a bench: those of ``bench.rivals`` that are installed, or none."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

from bench.report import say
from bench.system.native import BenchError
from bench.system.run import Running, Topology, Workload, load_of

USUAL = ("bun", "socketify", "nchan")


class Rival(NamedTuple):
    """A server that makes the messages itself: ``make(client_bytes=, symbols= or topics=)`` starts it."""

    name: str
    make: Callable[..., AbstractContextManager[Any]]


def installed(names: Sequence[str]) -> list[Rival]:
    """Those of ``names`` that can be started here; what is not installed is named and left out."""
    try:
        subjects = importlib.import_module("bench.rivals").subjects
    except (ImportError, AttributeError):
        if names:
            say("There are no rivals to measure here: bench.rivals cannot be imported.")
        return []
    found = []
    for name in names:
        try:
            found += [Rival(name, make) for make in subjects([name])]
        except BenchError as error:
            say(f"{name} is left out: {error}")
    return found


def rival(one: Rival) -> Topology:
    """The rival on its own clock, with the same load."""

    @contextlib.contextmanager
    def topology(work: Workload) -> Iterator[Running]:
        wanted: dict[str, object] = {"topics": len(work.symbols)} if work.each else {"symbols": work.symbols}
        with (
            one.make(client_bytes=work.client_bytes, **wanted) as server,
            load_of(server, work) as load,
        ):
            yield Running(server, server, load)
            server.tell("stop")  # before the clients go

    return topology
