"""What the system lends: memory that processes share, and a bell for each that sleeps.

Theory of operation
===================
Nothing here has a name, so nothing is left in the file system when everybody has died; who is to read
is handed descriptors. The writer makes everything:

=============  ===============================  =================================================
what           made of                          what its reader can do with it
=============  ===============================  =================================================
ring           memfd, sealed: its size stays,   map it to read; the kernel refuses every mapping
               no new mapping may write         that could write, and ``write`` too
page           memfd of one page, its size      map it to write: it holds a flag or counts, and
               sealed                           nothing is believed of it that could do harm
bell           eventfd that does not block      wait for it
=============  ===============================  =================================================

The sizes are sealed on both sides' behalf: memory that is cut off under a mapping ends a process. All of
the memory is taken when it is made, so that there is none missing later, in the middle of a write. What
is more than the system says it has left is not asked for: it would end processes before it said no.

This is the only module that knows the system. Linux 5.1 or newer has all of it; another system needs
another one of these.

**Source**: memfd_create(2), fcntl(2), eventfd(2), proc(5), Linux man-pages 6.03.
"""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
from pathlib import Path
from typing import Final, NamedTuple

from feedmux.core.ring import PAGE_BYTES, segment_bytes
from feedmux.model.ring_errors import InvalidRing, NoMemory

_SEAL: Final = 0x1
_SHRINK: Final = 0x2
_GROW: Final = 0x4
_FUTURE_WRITE: Final = 0x10
"""``F_SEAL_*`` of <linux/fcntl.h>; Python's ``fcntl`` does not have the last one."""


_BOOK: Final = Path("/proc/meminfo")
_MOST_BYTES: Final = 1 << 41


class Lent(NamedTuple):
    """Memory and its descriptor; whoever holds it closes both."""

    memory: mmap.mmap
    descriptor: int


def make_ring(capacity: int) -> Lent:
    """Take zeroed memory for a ring; only this mapping of it can ever be written to.

    Raises:
        InvalidSetting: the capacity is no power of two from 1,024 to 2⁴⁰.
        NoMemory: the system lends none.
    """
    return _make("feedmux-ring", segment_bytes(capacity), _SEAL | _SHRINK | _GROW | _FUTURE_WRITE)


def make_page() -> Lent:
    """Take a zeroed page, for a reader's seat or for counts.

    Raises:
        NoMemory: the system lends none.
    """
    return _make("feedmux-page", PAGE_BYTES, _SEAL | _SHRINK | _GROW)


def make_bell() -> int:
    """Make the eventfd that wakes one reader.

    Raises:
        NoMemory: the system lends none.
    """
    try:
        return os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
    except OSError as error:
        raise NoMemory(8, str(error)) from error


def open_ring(descriptor: int) -> mmap.mmap:
    """Map a ring to read it; the descriptor stays the caller's.

    Raises:
        InvalidRing: it is no memory that keeps its size.
        NoMemory: there is no room for it.
    """
    return _open(descriptor, "a ring", mmap.PROT_READ)


def open_page(descriptor: int) -> mmap.mmap:
    """Map a page to read and to write.

    Raises:
        InvalidRing: it is no memory that keeps its size.
        NoMemory: there is no room for it.
    """
    return _open(descriptor, "a page", mmap.PROT_READ | mmap.PROT_WRITE)


def ring_bell(bell: int) -> None:
    """Wake its reader."""
    with contextlib.suppress(BlockingIOError):  # it rings already, and has done so 2⁶⁴ times
        os.eventfd_write(bell, 1)


def silence_bell(bell: int) -> None:
    """Make it wake nobody until it rings again."""
    with contextlib.suppress(BlockingIOError):  # it did not ring
        os.eventfd_read(bell)


def _make(name: str, size_bytes: int, seals: int) -> Lent:
    free_bytes = _free_bytes()
    if size_bytes > free_bytes:
        raise NoMemory(size_bytes, f"{free_bytes} bytes are left")
    descriptor = -1
    try:
        descriptor = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.posix_fallocate(descriptor, 0, size_bytes)
        memory = mmap.mmap(descriptor, size_bytes)
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)
    except (OSError, OverflowError) as error:
        if descriptor >= 0:
            os.close(descriptor)
        raise NoMemory(size_bytes, str(error)) from error
    return Lent(memory, descriptor)


def _free_bytes() -> int:
    """What the machine has left, as far as the system says."""
    with contextlib.suppress(OSError, ValueError):
        for line in _BOOK.read_text().splitlines():
            name, _, value = line.partition(":")
            if name == "MemAvailable":
                return int(value.removesuffix("kB")) * 1024
    return _MOST_BYTES


def _open(descriptor: int, what: str, protection: int) -> mmap.mmap:
    try:
        seals = fcntl.fcntl(descriptor, fcntl.F_GET_SEALS)
        size_bytes = os.fstat(descriptor).st_size
    except OSError as error:
        raise InvalidRing(
            f"the memory of {what}", f"a descriptor that is none ({error})", "a memfd"
        ) from error
    if not seals & _SHRINK:
        raise InvalidRing(f"the memory of {what}", "of a size that may shrink", "sealed against it")
    try:
        return mmap.mmap(descriptor, size_bytes, flags=mmap.MAP_SHARED, prot=protection)
    except (OSError, ValueError) as error:
        raise NoMemory(size_bytes, str(error)) from error
