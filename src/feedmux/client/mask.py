"""Make the masking keys of our frames unpredictable.

picows 2.3 takes each key from the C library's ``rand()`` and never seeds it, so every process sends
the same keys in the same order. The keys are there to keep a page's script from choosing the bytes
that a proxy between us and the server sees, so they must not be guessed. Reseeding from the system's
entropy before the next frame makes each key a number of its own; ``rand()`` itself could be worked
out from a few keys, if it were seeded only once.

Source: RFC 6455 §5.3 and §10.3; picows 2.3.1, ``picows.pyx``, ``send`` (31 bits of a key are random,
the highest is 0).
"""

from __future__ import annotations

import ctypes
import os
from typing import Final

_SEED: Final = ctypes.CDLL(None).srand
_SEED.argtypes = (ctypes.c_uint,)
_SEED.restype = None


def refresh() -> None:
    """Have the next frame masked with a key that does not follow from any before."""
    _SEED(int.from_bytes(os.urandom(4), "little"))
