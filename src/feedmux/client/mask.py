"""Make the masking keys of our frames unpredictable.

picows 2.3 takes each key from the C library's ``rand()`` and never seeds it, so every process sends
the same keys in the same order. The keys are there to keep a page's script from choosing the bytes
that a proxy between us and the server sees, so they must not be guessed. Reseeding from the system's
entropy before the next frame makes each key a number of its own; ``rand()`` itself could be worked
out from a few keys, if it were seeded only once.

The generator is put into its simplest form, because only its first number after a seed is ever used:
there ``srand`` sets four bytes, where it otherwise stirs a table for a microsecond.

Source: RFC 6455 §5.3 and §10.3; picows 2.3.1, ``picows.pyx``, ``send`` (31 bits of a key are random,
the highest is 0).
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from typing import Final

_POOL_BYTES: Final = 4096
_LIBRARY: Final = ctypes.CDLL(None)
_seed: Final = _LIBRARY.srand
_seed.argtypes = (ctypes.c_uint,)
_seed.restype = None
_STATE: Final = ctypes.create_string_buffer(8)
"""The smallest state that initstate(3) knows; with it every seed leads to a number at once."""
if hasattr(_LIBRARY, "initstate"):  # not in every C library
    _LIBRARY.initstate(1, _STATE, len(_STATE))


def _seeds() -> Iterator[int]:
    """Numbers of 32 bits from the system's entropy, read some at a time."""
    while True:
        yield from memoryview(os.urandom(_POOL_BYTES)).cast("I")


_pool = _seeds()


def _draw_anew() -> None:
    """Share nothing with the process that this one was forked from."""
    global _pool  # noqa: PLW0603 - the system calls this, and there is one pool
    _pool = _seeds()


os.register_at_fork(after_in_child=_draw_anew)


def refresh() -> None:
    """Have the next frame masked with a key that does not follow from any before."""
    _seed(next(_pool))
