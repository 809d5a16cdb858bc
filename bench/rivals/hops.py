"""Ways from one process to another on the same machine: what each is, how it is started, what suits it.

What has a thread of its own (pyzmq on both sides, ``multiprocessing.Queue`` where it writes) would wait for
the core of a writer that spins; so its writer sleeps between messages instead.
"""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from bench.rivals.catalogue import PYTHON, version_of_distribution
from bench.rivals.choice import choose, named

_KIND = "way between processes"


@dataclass(frozen=True)
class Hop:
    """One way.

    Args:
        name: as on the command line and in the results.
        transport: its module in ``bench.hop``.
        design: how a message gets across, in one line.
        find_version: its version; None when it is not installed.
        python: what runs both processes.
        paces: how its writer waits when the reader polls: ``spin`` or ``sleep``.
        sleeps: how its reader sleeps: in asyncio's ``loop`` or, where it gives that nothing to wait for, in
            a call (``wait``).
        races: how its reader reads at full speed.
    """

    name: str
    transport: str
    design: str
    find_version: Callable[[], str | None]
    python: Path | str = sys.executable
    paces: str = "spin"
    sleeps: str = "loop"
    races: str = "poll"

    @property
    def version(self) -> str | None:
        """What is installed; None when it is not."""
        return self.find_version()


def hops(names: Sequence[str] | None = None) -> list[Hop]:
    """The ring, and the rivals of these names that are installed; all of them by default.

    Each one that is not installed is left out with one line.

    Raises:
        BenchError: there is no such rival.
    """
    return [RING, *choose(_RIVALS, names, _KIND)]


def missing(names: Sequence[str] | None = None) -> list[str]:
    """Those that are not installed, for the results to say."""
    return [way.name for way in named(_RIVALS, names, _KIND) if way.version is None]


def _of_feedmux() -> str:
    try:
        return version("feedmux")
    except PackageNotFoundError:
        return "not installed, run from its sources"


RING = Hop(
    "ring", "ring", "shared memory, a writer that never waits, an eventfd for those who sleep", _of_feedmux
)
_RIVALS = (
    Hop(
        "seqpacket",
        "seqpacket",
        "a pair of Unix sockets, a system call on each side",
        lambda: f"Linux {platform.release()}",
    ),
    Hop(
        "pyzmq",
        "zeromq",
        "PUSH to PULL over ipc://, a thread for the socket on each side",
        lambda: version_of_distribution("pyzmq"),
        python=PYTHON,
        paces="sleep",
    ),
    Hop(
        "iceoryx2",
        "iceoryx",
        "publish-subscribe in shared memory, an event for those who sleep",
        lambda: version_of_distribution("iceoryx2"),
        python=PYTHON,
        sleeps="wait",
    ),
    Hop(
        "queue",
        "queue",
        "multiprocessing.Queue: a thread pickles into a pipe",
        lambda: f"Python {platform.python_version()}",
        paces="sleep",
        sleeps="wait",
        races="wait",
    ),
)
NAMES = tuple(hop.name for hop in _RIVALS)
"""Every rival of the ring."""
