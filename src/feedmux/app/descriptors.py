"""Open files: each client is one, so there is room for all of them before the first one comes.

Two things are done at the start. The soft limit of the process is raised as far as the hard one
allows, since a shell's usual 1,024 would end a gateway at a tenth of its clients. And the kernel's
table of the process is made as large as it will have to be. It would grow by doubling, and while the
table of a process with several threads grows, the kernel waits for every core to have seen the old one
out of use (``expand_fdtable`` in Linux' fs/file.c, ``synchronize_rcu``): ``accept`` stands still for tens
of milliseconds, and with it everybody's data.
"""

from __future__ import annotations

import fcntl
import logging
import os
import resource
from pathlib import Path
from typing import Final

log = logging.getLogger(__name__)

SPARE: Final = 256
"""Files that are no clients: listening sockets, links to venues, the log, those of the libraries."""
OF_PROGRAM: Final = 5
"""Files of one local program: its socket, the memory of its ring and seat, its bell."""
_GROWN: Final = 1 << 17
"""Entries the table is grown to at most before they are needed, which is 1 MB."""


def make_room(max_clients: int, max_half_open: int, *, local_programs: int = 0) -> int:
    """Raise the limit of open files, and have the kernel's table grown; says so if it is too low.

    Args:
        max_clients: WebSocket clients at once.
        max_half_open: connections that are no clients yet.
        local_programs: those that read through rings.

    Returns:
        How many files may be open from now on.
    """
    wanted = max_clients + max_half_open + OF_PROGRAM * local_programs + SPARE
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = soft if soft >= wanted else min(hard, wanted)
    if limit != soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    if limit < wanted:
        log.warning(
            "This process may open %d files, which is too few for MAX_CLIENTS_TOTAL=%d and MAX_HALF_OPEN=%d "
            "(%d are needed): raise the hard limit (ulimit -Hn) or lower these",
            limit, max_clients, max_half_open, wanted,
        )  # fmt: skip
    _grow(min(limit, wanted, _GROWN))
    return limit


def _grow(entries: int) -> None:
    """Use the last of so many entries once; the table never shrinks."""
    with Path(os.devnull).open("rb") as file:
        os.close(fcntl.fcntl(file, fcntl.F_DUPFD_CLOEXEC, entries - 1))
