"""Ways from one node to another through Redis: what each is, and how it is started."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from bench.rivals.catalogue import PYTHON, version_of_distribution
from bench.rivals.choice import choose, named

_KIND = "way through Redis"


@dataclass(frozen=True)
class Bus:
    """One way.

    Args:
        name: as on the command line and in the results.
        module: its module in ``bench.bus``.
        design: how a message gets across, in one line.
        find_version: its version; None when it is not installed.
        python: what runs both processes.
    """

    name: str
    module: str
    design: str
    find_version: Callable[[], str | None]
    python: Path | str = sys.executable

    @property
    def version(self) -> str | None:
        """What is installed; None when it is not."""
        return self.find_version()


def buses(names: Sequence[str] | None = None) -> list[Bus]:
    """Our bus, and the rivals of these names that are installed; all of them by default.

    Each one that is not installed is left out with one line.

    Raises:
        BenchError: there is no such rival.
    """
    return [OURS, *choose(_RIVALS, names, _KIND)]


def missing(names: Sequence[str] | None = None) -> list[str]:
    """Those that are not installed, for the results to say."""
    return [way.name for way in named(_RIVALS, names, _KIND) if way.version is None]


def _hiredis() -> str:
    return f"hiredis {version('hiredis')}"


def _redis_py() -> str | None:
    found, parser = version_of_distribution("redis"), version_of_distribution("hiredis")
    return f"{found} (hiredis {parser})" if found and parser else None


OURS = Bus(
    "bus", "feedmux", "what one turn of the loop brings leaves in one write, no answer is awaited", _hiredis
)
_RIVALS = (
    Bus(
        "redis-py",
        "redis_py",
        "the seed's scheme with its library: a PUBLISH per message, awaited; JSON read and written again",
        _redis_py,
        python=PYTHON,
    ),
    Bus(
        "plain",
        "plain",
        "the seed's scheme without a library: a PUBLISH per message, awaited; JSON read and written again",
        _hiredis,
    ),
)
NAMES = tuple(bus.name for bus in _RIVALS)
"""Every rival of our bus."""
