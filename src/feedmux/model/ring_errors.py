"""The branch of the tree of errors that is about rings in shared memory; see :mod:`feedmux.model.errors`."""

from __future__ import annotations

from feedmux.model.errors import NOW, CapacityError, LocalError, PeerError, Retry


class InvalidRing(PeerError):
    """Shared memory that is no ring of ours, or one that was damaged.

    Args:
        what: the part that is wrong, e.g. "version".
        found: what stands there.
        expected: what ought to.
    """

    code = "INVALID_RING"

    def __init__(self, what: str, found: object, expected: object) -> None:
        super().__init__(what, found, expected)
        self.what, self.found, self.expected = what, found, expected

    def __str__(self) -> str:
        return f"this memory is no ring: {self.what} is {self.found}; expected {self.expected}"


class InvalidPosition(LocalError):
    """A place in a ring at which no reader can begin.

    Args:
        position: which.
        published: up to there the ring has records.
    """

    code = "INVALID_POSITION"

    def __init__(self, position: int, published: int) -> None:
        super().__init__(position, published)
        self.position, self.published = position, published

    def __str__(self) -> str:
        return (
            f"no reader can begin at the position {self.position}; "
            f"expected a multiple of 16 from 0 to {self.published}"
        )


class Lapped(CapacityError):
    """The writer came round and overwrote what this reader had not read. It goes on with what comes next.

    Args:
        size_bytes: how much of the ring it missed, record headers included.
    """

    code = "LAPPED"
    retry: Retry = NOW

    def __init__(self, size_bytes: int) -> None:
        super().__init__(size_bytes)
        self.size_bytes = size_bytes

    def __str__(self) -> str:
        return f"the reader was too slow: {self.size_bytes} bytes were overwritten before it read them"


class RecordTooLarge(LocalError):
    """A record that the ring cannot hold.

    Args:
        size_bytes: its size.
        max_bytes: the largest that fits.
    """

    code = "RECORD_TOO_LARGE"

    def __init__(self, size_bytes: int, max_bytes: int) -> None:
        super().__init__(size_bytes, max_bytes)
        self.size_bytes, self.max_bytes = size_bytes, max_bytes

    def __str__(self) -> str:
        return f"a record of {self.size_bytes} bytes does not fit; this ring takes at most {self.max_bytes}"


class NoMemory(CapacityError):
    """The system does not lend the memory for a ring.

    Args:
        size_bytes: how much was asked for.
        reason: what the system said.
    """

    code = "NO_MEMORY"

    def __init__(self, size_bytes: int, reason: str) -> None:
        super().__init__(size_bytes, reason)
        self.size_bytes, self.reason = size_bytes, reason

    def __str__(self) -> str:
        return f"{self.size_bytes} bytes of shared memory cannot be had: {self.reason}"
